"""Who may come: API keys, names and passwords, addresses; and what the upstream sees of it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from tests.conftest import Serve, Start
from tests.support.client import once
from tests.support.http import Request
from tests.support.upstream import Peer


def test_an_api_key_lets_in_and_never_reaches_the_upstream(start: Start, serve: Serve) -> None:
    upstream = serve()
    keys = [{"name": "web", "key": "${WEB_KEY}"}, {"name": "ci", "sha256": hashlib.sha256(b"hashed").hexdigest()}]
    route = {"auth": {"api_keys": {"header": "X-Api-Key", "keys": keys}}, "upstream": upstream.url}
    gateway = start({"routes": [route]}, environment={"WEB_KEY": "s3cret"})
    with gateway.client() as client:
        for key in ("s3cret", "hashed"):
            assert client.request("GET", "/", {"X-Api-Key": key}).status == 200
        for fields in ({}, {"X-Api-Key": ""}, {"X-Api-Key": "s3cre"}, {"Authorization": "Bearer s3cret"}):
            answer = client.request("GET", "/", fields)
            assert (answer.status, answer.problem) == (401, "unauthorized")
            assert answer.fields.get("WWW-Authenticate")
    assert len(upstream.requests) == 2
    assert not any("X-Api-Key" in request.fields for request in upstream.requests)
    assert [record["user"] for record in gateway.records(6)][:2] == ["web", "ci"]
    assert "s3cret" not in gateway.log_file.read_text() + gateway.said.text


def test_a_key_may_come_as_a_bearer_token_or_in_the_query(start: Start, serve: Serve) -> None:
    upstream = serve()
    keys = [{"name": "one", "key": "k"}]
    routes = [
        {"match": {"path": "/b"}, "auth": {"api_keys": {"keys": keys, "forward": True}}, "upstream": upstream.url},
        {"match": {"path": "/q"}, "auth": {"api_keys": {"query": "key", "keys": keys}}, "upstream": upstream.url},
    ]
    gateway = start({"routes": routes})
    assert gateway.get("/b", Authorization="bearer k").status == 200
    assert upstream.requests[-1].fields.get("Authorization") == "bearer k"
    assert gateway.get("/b").fields.get("WWW-Authenticate") == "Bearer"
    assert gateway.get("/q?a=b&key=k&c=d").status == 200
    assert gateway.get("/q?key=x").status == 401


def test_a_key_in_the_query_is_not_forwarded_unless_asked_for(start: Start, serve: Serve) -> None:
    upstream = serve()
    auth = {"api_keys": {"query": "key", "keys": [{"name": "one", "key": "k"}]}}
    gateway = start({"routes": [{"auth": auth, "upstream": upstream.url}]})
    assert gateway.get("/?a=b&key=k&c=d").status == 200
    assert upstream.requests[-1].target == "/?a=b&c=d"


def test_names_and_passwords_let_in_and_tell_the_realm(start: Start, serve: Serve) -> None:
    upstream = serve()
    users = [
        {"name": "ada", "password": "lovelace"},
        {"name": "al", "sha256": hashlib.sha256(b"al:a:b").hexdigest()},
    ]
    route = {"auth": {"basic": {"users": users, "realm": "Back office"}}, "upstream": upstream.url}
    gateway = start({"routes": [route]})

    def basic(pair: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    for pair in ("ada:lovelace", "al:a:b"):
        assert once(gateway.address, headers=basic(pair)).status == 200
    for fields in (basic("ada:lovelac"), basic("bob:lovelace"), {"Authorization": "Basic !!!"}, {}):
        answer = once(gateway.address, headers=fields)
        assert answer.status == 401
        assert answer.fields.get("WWW-Authenticate") == 'Basic realm="Back office", charset="UTF-8"'
    assert not any("Authorization" in request.fields for request in upstream.requests)
    assert [record["user"] for record in gateway.records(6)][:2] == ["ada", "al"]


@pytest.mark.parametrize(
    ("access", "status"),
    [
        ({"allow": ["127.0.0.0/8"]}, 200),
        ({"allow": ["10.0.0.0/8", "::1"]}, 403),
        ({"deny": ["127.0.0.1"]}, 403),
        ({"deny": ["10.0.0.0/8"]}, 200),
        ({"allow": ["0.0.0.0/0"], "deny": ["127.0.0.0/30"]}, 403),
    ],
)
def test_an_access_list_decides_by_address(start: Start, access: dict[str, list[str]], status: int) -> None:
    gateway = start({"routes": [{"access": access, "respond": 200}]})
    answer = gateway.get()
    assert answer.status == status
    assert status == 200 or answer.problem == "address_denied"


def test_somebody_else_decides_and_is_asked_over_and_over(start: Start, serve: Serve) -> None:
    upstream = serve()

    def decide(request: Request, peer: Peer) -> None:
        known = request.fields.get("Cookie") == "s=1"
        peer.respond(200 if known else 401, b"", *(["X-User: ann"] if known else ["WWW-Authenticate: Other"]))

    decides = serve(decide)
    forward = {"url": f"{decides.url}/check", "headers": {"response": "X-User"}, "user": "X-User"}
    gateway = start({"routes": [{"auth": {"forward": forward}, "upstream": upstream.url}]})
    with gateway.client() as client:
        for _ in range(3):
            assert client.request("POST", "/a?b", {"Cookie": "s=1", "X-User": "root"}, b"body").status == 200
            refused = client.request("GET", "/a?b", {"X-User": "root"})
            assert (refused.status, refused.fields.get("WWW-Authenticate")) == (401, "Other")
    assert [request.fields.all("X-User") for request in upstream.requests] == [["ann"]] * 3
    assert [request.fields.get("X-Original-URI") for request in decides.requests] == ["/a?b"] * 6
    assert decides.accepted == 1
    assert gateway.records(6)[0]["user"] == "ann"
    decides.close()
    failed = gateway.get("/", Cookie="s=1")
    assert (failed.status, failed.problem) == (502, "auth_unreachable")


def test_pages_of_other_origins_are_told_what_they_may(start: Start, serve: Serve) -> None:
    upstream = serve(lambda request, peer: peer.respond(200, b"", "Access-Control-Allow-Origin: *"))
    cors = {"origins": ["https://app.example", "https://*.pages.example"], "credentials": True}
    gateway = start({"routes": [{"cors": cors, "upstream": upstream.url}]})
    for origin in ("https://app.example", "https://a.pages.example"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        before = once(gateway.address, "OPTIONS", "/", asked)
        assert (before.status, before.fields.get("Access-Control-Allow-Origin")) == (204, origin)
        after = gateway.get("/", Origin=origin)
        assert after.fields.all("Access-Control-Allow-Origin") == [origin]
    assert gateway.get("/", Origin="https://evil.example").fields.get("Access-Control-Allow-Origin") is None
    assert [request.method for request in upstream.requests] == ["GET"] * 3
