"""Logging in at an OpenID provider: there and back, on and out; and everything that could be made up on the way."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.conftest import Serve, Start
from tests.support.gateway import Tidegate
from tests.support.oidc import Browser, OpenIdProvider
from tests.support.upstream import Upstream
from tests.support.waiting import until

SECRET = "0123456789abcdef0123456789abcdef"


def provided(serve: Serve, **options: Any) -> OpenIdProvider:
    provider = OpenIdProvider(**options)
    provider.url = serve(provider.answer).url
    return provider


def site(start: Start, serve: Serve, provider: OpenIdProvider, **more: Any) -> tuple[Tidegate, Upstream]:
    upstream = serve()
    oidc = {
        "issuer": provider.url,
        "client_id": provider.client_id,
        **({"client_secret": provider.client_secret} if provider.client_secret else {}),
        "cookie": {"secret": SECRET, "name": "s"},
        "logout_path": "/_oidc/logout",
        "user": "email",
        "claims": {"sub": "X-User", "org.id": "X-Org"},
        **more,
    }
    return start({"routes": [{"auth": {"oidc": oidc}, "upstream": upstream.url}]}), upstream


def log_in(browser: Browser, provider: OpenIdProvider, target: str = "/") -> Any:
    begun = browser.get(target)
    assert begun.status == 302, begun
    back = urlsplit(provider.authorize(begun.fields.get("Location")))
    return browser.get(f"{back.path}?{back.query}")


@pytest.mark.parametrize("secret", ["hush", None])
def test_who_logs_in_comes_back_to_where_they_were_and_is_known(start: Start, serve: Serve, secret: str | None) -> None:
    provider = provided(serve, client_secret=secret)
    gateway, upstream = site(start, serve, provider)
    browser = Browser(gateway.address)
    back = log_in(browser, provider, "/a%20b?c=d&e=%2F")
    assert (back.status, back.fields.get("Location")) == (302, "/a%20b?c=d&e=%2F")
    assert list(browser.cookies) == ["s"], "the login's own cookie is gone"
    assert all("; HttpOnly; SameSite=Lax" in line for line in browser.set)
    browser.cookies["theirs"] = "1"
    assert browser.get("/a", **{"X-User": "root"}).status == 200
    seen = upstream.requests[-1].fields
    assert (seen.all("X-User"), seen.get("X-Org"), seen.get("Cookie")) == (["u-1"], "7", "theirs=1")
    assert gateway.records(3)[-1]["user"] == "ann@example.com"
    for text in ("u-1", "ann@example.com", "opaque"):
        assert text not in browser.cookies["s"]
    assert len(provider.asked) == 1, "a session asks nobody"


def test_only_who_looks_at_a_page_is_sent_to_log_in(start: Start, serve: Serve) -> None:
    gateway, upstream = site(start, serve, provided(serve))
    browser = Browser(gateway.address)
    for method, fields in (
        ("POST", {}),
        ("GET", {"Accept": "application/json"}),
        ("GET", {"Sec-Fetch-Mode": "cors"}),
    ):
        answer = browser.get("/", method=method, **fields)
        assert (answer.status, answer.problem) == (401, "login_needed")
    assert not upstream.requests


def test_a_cookie_that_was_made_up_or_changed_is_none(start: Start, serve: Serve) -> None:
    provider = provided(serve)
    gateway, upstream = site(start, serve, provider)
    browser = Browser(gateway.address)
    log_in(browser, provider)
    good = browser.cookies["s"]
    other = "B" if good[-5] == "A" else "A"
    for bad in ("", "1.", "1.AAAA", good[:-5] + other + good[-4:], "2" + good[1:], good[2:], "9" + good[1:]):
        browser.cookies = {"s": bad}
        assert browser.get("/").status == 302, bad
    assert not upstream.requests
    browser.cookies = {"s": good}
    assert browser.get("/").status == 200


def test_a_login_that_was_not_begun_here_is_refused(start: Start, serve: Serve) -> None:
    provider = provided(serve)
    gateway, _ = site(start, serve, provider)
    mine, theirs = Browser(gateway.address), Browser(gateway.address)
    location = theirs.get("/").fields.get("Location")
    back = urlsplit(provider.authorize(location))
    lured = mine.get(f"{back.path}?{back.query}")
    assert (lured.status, lured.problem) == (400, "login_state")
    assert "s" not in mine.cookies
    mine.get("/")
    swapped = mine.get(f"{back.path}?{back.query}")
    assert (swapped.status, swapped.problem) == (400, "login_state"), "another login's state is none"
    assert mine.get("/_oidc/callback").status == 400
    denied = parse_qs(urlsplit(theirs.get("/").fields.get("Location")).query)["state"][0]
    answer = theirs.get(f"/_oidc/callback?error=access_denied&error_description=%3Cscript%3E&state={denied}")
    assert (answer.status, answer.problem) == (403, "login_refused")
    assert b"script" not in answer.body


@pytest.mark.parametrize(
    ("change", "reason", "status"),
    [
        ({"nonce": "another"}, "login_nonce", 403),
        ({"aud": "another"}, "login_token", 502),
        ({"iss": "https://another"}, "login_token", 502),
        ({"exp": 1000}, "login_token", 502),
        ({"azp": "another"}, "login_token", 502),
    ],
)
def test_a_token_that_was_made_for_something_else_is_none(
    start: Start, serve: Serve, change: dict[str, Any], reason: str, status: int
) -> None:
    provider = provided(serve)
    gateway, upstream = site(start, serve, provider)
    provider.change = change
    browser = Browser(gateway.address)
    answer = log_in(browser, provider)
    assert (answer.status, answer.problem) == (status, reason)
    assert "s" not in browser.cookies
    assert not upstream.requests


@pytest.mark.parametrize("target", ["//evil.example/a", "/\\evil.example", "/%5Cevil.example", "http://evil.example/"])
def test_nobody_is_sent_elsewhere_after_the_login(start: Start, serve: Serve, target: str) -> None:
    provider = provided(serve)
    gateway, _ = site(start, serve, provider)
    browser = Browser(gateway.address)
    answer = browser.get(target)
    if answer.status == 302:
        back = urlsplit(provider.authorize(answer.fields.get("Location")))
        location = browser.get(f"{back.path}?{back.query}").fields.get("Location")
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))
    else:
        assert answer.status == 400


def test_a_session_is_refreshed_before_its_end_and_goes_on_while_nobody_can_be_asked(
    start: Start, serve: Serve
) -> None:
    provider = provided(serve)
    provider.lasts_s = 2
    gateway, upstream = site(start, serve, provider)
    browser = Browser(gateway.address)
    log_in(browser, provider)
    provider.claims["org"] = {"id": 8}
    until(lambda: browser.get("/").status == 200 and len(provider.asked) >= 2, "a refresh")
    assert provider.asked[-1]["grant_type"] == "refresh_token"
    until(lambda: browser.get("/").status == 200 and upstream.requests[-1].fields.get("X-Org") == "8", "the new claim")
    provider.down = True
    count = len(upstream.requests)
    until(lambda: "gave no tokens" in gateway.said.text or browser.get("/").status != 200, "a refresh that fails")
    assert browser.get("/").status == 200
    assert len(upstream.requests) > count
    provider.down = False
    provider.revoke()
    until(lambda: browser.get("/", method="POST").status == 401, "the end of a session that was revoked")
    assert "s" not in browser.cookies


def test_without_refreshes_a_session_ends_with_its_token(start: Start, serve: Serve) -> None:
    provider = provided(serve)
    provider.refreshes, provider.lasts_s = False, 2
    gateway, _ = site(start, serve, provider)
    browser = Browser(gateway.address)
    log_in(browser, provider)
    assert browser.get("/").status == 200
    until(lambda: browser.get("/").status == 302, "the end of the session")


def test_logging_out_ends_the_session_here_and_there(start: Start, serve: Serve) -> None:
    provider = provided(serve)
    gateway, _ = site(start, serve, provider)
    browser = Browser(gateway.address)
    log_in(browser, provider)
    answer = browser.get("/_oidc/logout")
    assert answer.status == 302
    where = urlsplit(answer.fields.get("Location"))
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{provider.url}/logout"
    assert parse_qs(where.query)["client_id"] == ["web"]
    assert "s" not in browser.cookies
    assert browser.get("/").status == 302


def test_a_provider_that_is_down_is_not_the_clients_fault(start: Start, serve: Serve) -> None:
    provider = provided(serve)
    provider.down = True
    gateway, _ = site(start, serve, provider)
    answer = Browser(gateway.address).get("/")
    assert (answer.status, answer.problem) == (502, "login_provider")
    gateway.said.wait("the provider can't be asked: it answers 503")


def test_a_large_session_comes_in_several_cookies_and_a_larger_one_is_refused(start: Start, serve: Serve) -> None:
    provider = provided(serve)
    gateway, upstream = site(start, serve, provider, keep="groups")
    browser = Browser(gateway.address)
    provider.claims["groups"] = [f"group-{number:03}" for number in range(400)]
    log_in(browser, provider)
    assert len(browser.cookies) > 1
    assert all(len(name) + len(value) < 4000 for name, value in browser.cookies.items())
    assert browser.get("/").status == 200
    assert upstream.requests[-1].fields.get("Cookie") is None
    provider.claims["groups"] = [f"group-{number:04}" for number in range(870)]
    again = Browser(gateway.address)
    answer = log_in(again, provider)
    assert (answer.status, answer.problem) == (502, "login_too_large")
