"""Tokens at the door: signed by every kind of key, with keys that turn over, die and answer garbage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.gateway import Tidegate, command
from tests.support.http import Response
from tests.support.issuer import Issuer, Key, b64
from tests.support.upstream import Upstream
from tests.support.waiting import until

RSA = Key("RS256")
NEXT = Key("RS256", "two")
SECRET = b"a secret of forty-eight bytes, which is quite enough"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask(gateway: Tidegate, token: str, target: str = "/") -> Response:
    return gateway.get(target, **bearer(token))


def published(serve: Serve, *keys: Key, control: str | None = None) -> tuple[Issuer, Upstream]:
    issuer = Issuer(*keys, control=control)
    upstream = serve(issuer.answer)
    issuer.url = upstream.url
    return issuer, upstream


def route(jwt: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"auth": {"jwt": jwt}, "respond": {"body": "${user} ${claim:org.id}"}, **more}


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS512", "ES256", "ES384", "EdDSA"])
def test_a_token_of_a_public_key_in_a_file_is_let_in(run: Start, tmp_path: Path, algorithm: str) -> None:
    key = RSA if algorithm == "RS256" else Key(algorithm)
    (tmp_path / "key.pem").write_text(key.pem)
    gateway = run({"routes": [route({"key": str(tmp_path / "key.pem")})]})
    answer = ask(gateway, key.token(org={"id": 7}))
    assert (answer.status, answer.body) == (200, b"ann 7")
    assert ask(gateway, Key(algorithm).token()).problem == "token_signature"


def test_a_token_of_a_shared_secret_is_let_in(run: Start) -> None:
    gateway = run({"routes": [route({"secret": SECRET.decode(), "algorithms": "HS256"})]})
    assert ask(gateway, Key("HS256", None, SECRET).token()).status == 200
    assert ask(gateway, Key("HS384", None, SECRET).token()).problem == "token_algorithm"
    assert ask(gateway, Key("HS256", None, b"another").token()).problem == "token_signature"


def test_a_refusal_says_why_as_rfc_6750_has_it(run: Start) -> None:
    rules = {"key": RSA.pem, "issuer": "https://id", "audience": "api", "scopes": ["read"], "realm": "Orders"}
    gateway = run({"routes": [route(rules)]})
    good: dict[str, Any] = {"iss": "https://id", "aud": ["api"], "scope": "write read"}
    assert ask(gateway, RSA.token(good)).status == 200
    now = int(time.time())
    cases = [
        (RSA.token(good, exp=now - 60), "token_expired"),
        (RSA.token(good, exp=None), "token_claim_missing"),
        (RSA.token(good, nbf=now + 60), "token_not_yet_valid"),
        (RSA.token(good, iss="https://other"), "token_issuer"),
        (RSA.token(good, aud="other"), "token_audience"),
        (NEXT.token(good), "token_signature"),
        (RSA.token(good, header={"crit": ["b64"]}), "token_critical"),
        ("a.b.c", "token_malformed"),
        ("abc", "token_malformed"),
    ]
    for token, reason in cases:
        answer = ask(gateway, token)
        assert (answer.status, answer.problem) == (401, reason)
        told = answer.fields.get("WWW-Authenticate") or ""
        assert told.startswith('Bearer realm="Orders", error="invalid_token", error_description="'), told
    narrow = ask(gateway, RSA.token(good, scope="write"))
    assert (narrow.status, narrow.problem) == (403, "insufficient_scope")
    assert narrow.fields.get("WWW-Authenticate") == 'Bearer realm="Orders", error="insufficient_scope", scope="read"'
    nothing = gateway.get("/")
    assert (nothing.status, nothing.problem) == (401, "unauthorized")
    assert nothing.fields.get("WWW-Authenticate") == 'Bearer realm="Orders"'


def test_unsigned_tokens_and_confused_keys_are_refused(run: Start) -> None:
    gateway = run({"routes": [route({"key": RSA.pem})]})
    header, body = b64(b'{"alg":"none"}'), b64(b'{"sub":"root","exp":9999999999}')
    for alg in ("none", "None", "NONE"):
        unsigned = b64(b'{"alg":"%s"}' % alg.encode())
        assert ask(gateway, f"{unsigned}.{body}.").problem == "token_algorithm"
    assert ask(gateway, f"{header}.{body}").problem == "token_malformed"
    for secret in (RSA.pem.encode(), RSA.jwk["n"].encode()):
        assert ask(gateway, Key("HS256", "one", secret).token(sub="root")).problem == "token_algorithm"


def test_a_token_is_found_where_it_is_looked_for_and_goes_no_further(run: Start, serve: Serve) -> None:
    upstream = serve()
    places = ["bearer", "header:X-Token", "cookie:session", "query:token"]
    config = {
        "auth": {"jwt": {"key": RSA.pem, "token": places, "claims": {"sub": "X-User", "org.id": "X-Org"}}},
        "upstream": upstream.url,
    }
    gateway = run({"routes": [config]})
    token = RSA.token(org={"id": "a\r\nX-Evil: 1"})
    sent = [
        ("/", bearer(token)),
        ("/", {"X-Token": token}),
        ("/", {"Cookie": f"a=b; session={token}; c=d"}),
        (f"/?a=b&token={token}&c=d", {}),
    ]
    for target, fields in sent:
        mine = {"X-User": "root", "x-org": "root", "X-Org": "other"}
        assert gateway.get(target, **{**fields, **mine}).status == 200
    for request in upstream.wait(4):
        told = request.fields
        assert (told.all("X-User"), told.all("X-Org")) == (["ann"], ["aX-Evil: 1"])
        assert token not in f"{request.target} {told!r}"
    assert upstream.requests[2].fields.get("Cookie") == "a=b; c=d"
    assert upstream.requests[3].target == "/?a=b&c=d"
    assert token not in gateway.log_file.read_text()


def test_claims_are_variables_and_keys_of_limits(run: Start) -> None:
    limited = route({"key": RSA.pem}, limit={"key": "claim:tenant", "rate": "1/h", "burst": 2})
    gateway = run({"routes": [limited]})
    for tenant in ("a", "b"):
        answers = [ask(gateway, RSA.token(tenant=tenant, sub=f"u{number}")).status for number in range(3)]
        assert answers == [200, 200, 429]


def test_any_of_several_ways_lets_in(run: Start) -> None:
    auth = {
        "api_keys": {"keys": [{"name": "web", "key": "k-1"}]},
        "jwt": {"key": RSA.pem},
        "basic": {"users": [{"name": "ada", "password": "lovelace"}]},
    }
    gateway = run({"routes": [{"auth": auth, "respond": {"body": "${user}"}}]})
    basic = "Basic YWRhOmxvdmVsYWNl"
    for value, user in ((f"Bearer {RSA.token()}", b"ann"), ("Bearer k-1", b"web"), (basic, b"ada")):
        assert gateway.get("/", Authorization=value).body == user
    refused = gateway.get("/", Authorization=f"Bearer {NEXT.token()}")
    assert (refused.status, refused.problem) == (401, "token_signature")
    assert len(refused.fields.all("WWW-Authenticate")) == 3


def test_keys_are_fetched_and_new_ones_are_asked_for_at_once(start: Start, serve: Serve) -> None:
    issuer, upstream = published(serve, RSA)
    gateway = start({"routes": [route({"jwks": f"{upstream.url}/jwks"})]})
    assert ask(gateway, RSA.token()).status == 200
    issuer.keys = [NEXT]
    answer = ask(gateway, NEXT.token())
    assert (answer.status, answer.body) == (200, b"ann ")
    assert ask(gateway, RSA.token()).problem == "token_key_unknown", "the old key is no longer one of the issuer's"
    count = len(upstream.requests)
    for number in range(20):
        assert ask(gateway, Key("ES256", f"made-up-{number}").token()).problem == "token_key_unknown"
    assert len(upstream.requests) == count, "made-up keys are not asked for again and again"
    assert gateway.status()["key_sets"][0]["keys"] == 1
    where = {"key_set": f"{upstream.url}/jwks", "outcome": "ok"}
    assert gateway.metrics().one("tidegate_key_set_fetches_total", **where) >= 2


def test_an_issuer_is_enough_to_find_its_keys(start: Start, serve: Serve) -> None:
    issuer, upstream = published(serve, RSA)
    gateway = start({"routes": [route({"issuer": upstream.url})]})
    assert ask(gateway, RSA.token(iss=issuer.url)).status == 200
    assert ask(gateway, RSA.token(iss="https://other")).problem == "token_issuer"
    assert [request.target for request in upstream.requests][:2] == ["/.well-known/openid-configuration", "/jwks"]


def test_keys_that_cannot_be_fetched_are_not_the_clients_fault(start: Start, serve: Serve) -> None:
    issuer, upstream = published(serve, RSA)
    issuer.garbage = b"<html>we are down</html>"
    gateway = start({"routes": [route({"jwks": f"{upstream.url}/jwks"}), {"match": {"path": "/else"}, "respond": 204}]})
    answer = ask(gateway, RSA.token())
    assert (answer.status, answer.problem) == (503, "keys_unavailable")
    assert gateway.get("/else").status == 204
    assert gateway.get("/").status == 401, "who brings no token is told so all the same"
    gateway.said.wait("keys of .*/jwks could not be taken: the answer is no JSON")
    assert "no JSON" in gateway.status()["key_sets"][0]["error"]
    where = {"key_set": f"{upstream.url}/jwks", "outcome": "failed"}
    assert gateway.metrics().one("tidegate_key_set_fetches_total", **where) >= 1
    issuer.garbage = None
    until(lambda: ask(gateway, RSA.token()).status == 200, "keys that are fetched again", 20)
    gateway.said.wait("keys of .*/jwks are fetched again")


def test_garbage_leaves_the_keys_that_there_are(start: Start, serve: Serve) -> None:
    issuer, upstream = published(serve, RSA)
    gateway = start({"routes": [route({"jwks": f"{upstream.url}/jwks"})]})
    assert ask(gateway, RSA.token()).status == 200
    for garbage in (b'{"keys": []}',):
        issuer.garbage = garbage
        assert ask(gateway, NEXT.token()).problem == "keys_unavailable", "it may be a new key of the issuer"
        gateway.said.wait("there is no key in this set; the 1 keys before stay")
    assert ask(gateway, RSA.token(jti="fresh")).status == 200


def test_the_last_good_keys_are_used_when_a_start_finds_nobody(start: Start, serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    _, upstream = published(serve, RSA)
    config = {"routes": [route({"jwks": f"{upstream.url}/jwks"})]}
    gateway = start(config, folder=folder)
    assert ask(gateway, RSA.token()).status == 200
    until(lambda: list((folder / "state" / "key-sets").glob("*.json")), "keys that are kept")
    gateway.stop()
    upstream.close()
    gateway = start(config, folder=folder)
    assert ask(gateway, RSA.token()).status == 200
    gateway.said.wait("keys of .* could not be taken")


def test_a_reload_keeps_the_keys_that_were_fetched(start: Start, serve: Serve) -> None:
    _, upstream = published(serve, RSA)
    config = {"routes": [route({"jwks": f"{upstream.url}/jwks"})]}
    gateway = start(config)
    assert ask(gateway, RSA.token()).status == 200
    upstream.close()
    gateway.reload({"routes": [*config["routes"], {"match": {"path": "/new"}, "respond": 204}]})
    assert gateway.get("/new").status == 204
    assert ask(gateway, RSA.token(jti="fresh")).status == 200


def test_check_names_what_is_wrong_with_keys(tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text(RSA.private_pem)
    (tmp_path / "t.yaml").write_text("routes:\n  - {auth: {jwt: {key: private.pem}}, respond: 204}\n")
    told = command(tmp_path, "check", "-c", "t.yaml")
    assert told.returncode == 1
    assert "t.yaml:2:24: this is a private key, which Tidegate must not have" in told.stderr + told.stdout
