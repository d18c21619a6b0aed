"""What is wrong with who may come is told, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, lowered, told

LONG = "0123456789abcdef0123456789abcdef"


def auth(text: str) -> str:
    return f"{ROUTES}  - {{auth: {text}, respond: 204}}\n"


def cors(text: str) -> str:
    return f"{ROUTES}  - {{cors: {text}, respond: 204}}\n"


CASES = [
    (auth("{}"), "t.yaml:3:12: this asks for nothing; add `api_keys`, `jwt`, `basic`, `forward` or `oidc`, or leave"),
    (auth("{jwt: {}}"), "t.yaml:3:18: there is no key to check tokens with; add `jwks: https://…`"),
    (auth("{jwt: {secret: short}}"), "t.yaml:3:27: the secret has 5 bytes, and HS256 needs 32"),
    (auth(f"{{jwt: {{secret: {LONG}, algorithms: RS256}}}}"), "t.yaml:3:73: these keys don't sign with `RS256`"),
    (auth(f"{{jwt: {{secret: {LONG}, algorithms: none}}}}"), "t.yaml:3:73: a token of `none` is not signed"),
    (auth(f"{{jwt: {{secret: {LONG}, algorithms: HS255}}}}"), "t.yaml:3:73: `HS255` is no algorithm; write"),
    (auth(f"{{jwt: {{secret: {LONG}, key: a}}}}"), "`key` and `secret` are both here; keep one of them"),
    (auth("{jwt: {jwks: 'ftp://a/b'}}"), "t.yaml:3:25: `ftp://a/b` is no URL that keys can be fetched from"),
    (auth("{jwt: {jwks: 'https://me:pw@a/b'}}"), "t.yaml:3:25: the URL has a password in it"),
    (auth("{jwt: {jwks: nothere.json}}"), "nothere.json` can't be read: No such file or directory"),
    (auth("{jwt: {key: '-----BEGIN'}}"), "t.yaml:3:24: there is no PEM block in it"),
    (
        auth(f"{{jwt: {{secret: {LONG}, token: authorization}}}}"),
        "t.yaml:3:68: `authorization` is no place for a token",
    ),
    (
        auth(f"{{jwt: {{secret: {LONG}, token: 'header:Authorization'}}}}"),
        "`Authorization` has a scheme before the token",
    ),
    (auth(f"{{jwt: {{secret: {LONG}, claims: {{sub: Host}}}}}}"), "t.yaml:3:75: `Host` cannot tell a claim"),
    (auth(f"{{jwt: {{secret: {LONG}, claims: {{a: X-A, b: x-a}}}}}}"), "`x-a` tells a claim already"),
    (auth(f"{{jwt: {{secret: {LONG}, scopes: 'a b'}}}}"), "`a b` is no scope (RFC 6749 §3.3); write one word for each"),
    (auth("{basic: {}}"), "no user is let in; add `users: [{name: ann, password:"),
    (auth("{basic: {users: [{name: a, hash: secret}]}}"), "t.yaml:3:45: the password stands there as it is"),
    (auth("{basic: {users: [{name: a, hash: '$2y$15$" + "a" * 53 + "'}]}}"), "bcrypt of cost 15 takes seconds"),
    (auth("{basic: {users: [{name: a, hash: '$1$a$b', password: x}]}}"), "`hash` and `password` are both here"),
    (auth("{basic: {file: nothere}}"), "nothere` can't be read: No such file or directory"),
    (auth("{api_keys: {header: X-A, cookie: a, keys: [{name: a, key: b}]}}"), "`header` and `cookie` are both here"),
    (auth("{forward: {url: nobody/check}}"), "t.yaml:3:28: no upstream is called `nobody`"),
    (auth("{forward: {url: 'http://a/b c'}}"), "t.yaml:3:28: `/b c` is no path"),
    (
        auth("{forward: {url: 'http://a/b', headers: {response: Cookie}}}"),
        "t.yaml:3:62: `Cookie` would take the client's place",
    ),
    (
        auth("{forward: {url: 'http://a/b'}, basic: {users: [{name: a, password: b}]}}"),
        "t.yaml:3:22: somebody else decides, and there are other ways in",
    ),
    (
        auth("{oidc: {issuer: 'https://a', client_id: b, cookie: {secret: short}}}"),
        "t.yaml:3:72: the secret has 5 characters, and could be guessed",
    ),
    (
        auth(f"{{oidc: {{issuer: a, client_id: b, cookie: {{secret: {LONG}}}}}}}"),
        "t.yaml:3:28: `a` is no issuer; write `https://id.example.com`",
    ),
    (
        auth(f"{{oidc: {{issuer: 'https://a', client_id: b, scopes: email, cookie: {{secret: {LONG}}}}}}}"),
        "without `openid` nobody tells who it is",
    ),
    (cors("{origins: '*', credentials: true}"), "t.yaml:3:22: every page of the web could act as its user"),
    (cors("{origins: 'null'}"), "t.yaml:3:22: `null` is every page in a sandbox"),
    (
        cors("{origins: app.example.com}"),
        "t.yaml:3:22: `app.example.com` is no origin; write `https://app.example.com`",
    ),
    (cors("{origins: 'https://a.example/'}"), "`https://a.example/` has more than an origin has; write `https://a.ex"),
    (cors("{origins: 'https://A.example'}"), "is not as browsers write it; write `https://a.example`"),
    (cors("{origins: 'https://a.example:443'}"), "browsers leave the port of `https://a.example:443` out"),
    (cors("{origins: 'https://*.*.example'}"), "`https://*.*.example` is no origin"),
    (cors("{origins: []}"), "no origin is named"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_it_is_told(text: str, expected: str) -> None:
    assert expected in told(text), told(text)


def test_no_error_tells_a_secret() -> None:
    for text, _ in CASES:
        said = told(text)
        assert "short" not in said
        assert LONG not in said


def test_keys_without_tls_and_questions_that_never_come_are_warned_of() -> None:
    warned = lowered(auth("{jwt: {jwks: 'http://id.example.com/keys'}}")).warnings
    assert "whoever is on the way can put other keys in their place" in str(warned[0])
    route = "  - {match: {methods: [GET]}, cors: {origins: 'https://a.example'}, respond: 204}\n"
    assert "(OPTIONS) never comes to this route" in str(lowered(ROUTES + route).warnings[0])
