"""What is wrong with a route's name, its conditions and who may come is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, told

CASES = [
    pytest.param(
        ROUTES
        + """\
  - {name: a, respond: 204, match: {path: /a}}
  - {name: a, respond: 204}
""",
        "t.yaml:4:12: `a` is already the name of the route at t.yaml:3:12; give it another",
        id="names-twice",
    ),
    pytest.param(
        ROUTES + "  - {name: 'admin:x', respond: 204}\n",
        "t.yaml:3:12: `admin:x` cannot be a name; leave out `admin:`, which is Tidegate's own",
        id="name-admin",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: /a, exact: /a}, respond: 204}\n",
        "t.yaml:3:31: `path` and `exact` are both here; keep one of them",
        id="paths-two",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: a}, respond: 204}\n",
        "t.yaml:3:20: `a` does not begin with `/`; write `/a`",
        id="path-slash",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: /a/*}, respond: 204}\n",
        "t.yaml:3:20: `/a/*`: a `*` stands for itself here; write `path: /a/`, it takes all that is below",
        id="path-star",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: '*.php'}, respond: 204}\n",
        "t.yaml:3:20: `*.php` does not begin with `/`; write `regex: '[.]php$'` for a pattern",
        id="path-star-first",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: '/a?b=1'}, respond: 204}\n",
        "t.yaml:3:20: `/a?b=1` has more than a path in it; match the query by `query: {NAME: VALUE}`",
        id="path-query",
    ),
    pytest.param(
        ROUTES + "  - {match: {exact: '/a b'}, respond: 204}\n",
        "t.yaml:3:21: `/a b` has a blank or a control character in it; write it as `%20`",
        id="path-blank",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: /a//b}, respond: 204}\n",
        "t.yaml:3:20: `/a//b` never comes: `//` counts as `/`; write `/a/b`",
        id="path-slashes",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: /a/../b}, respond: 204}\n",
        "t.yaml:3:20: `/a/../b` never comes: `.` and `..` are resolved first; write the resolved path",
        id="path-dots",
    ),
    pytest.param(
        ROUTES + "  - {match: {regex: ''}, respond: 204}\n",
        "t.yaml:3:21: the pattern is empty; leave it out to match every path",
        id="regex-empty",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: '*'}, respond: 204}\n",
        "t.yaml:3:20: `*` is no host; leave `host` out to take any",
        id="host-star",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: 'http://a.b/c'}, respond: 204}\n",
        "t.yaml:3:20: `http://a.b/c` is a URL; write `a.b`",
        id="host-url",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: 'a.b:80'}, respond: 204}\n",
        "t.yaml:3:20: `a.b:80` has a port, which never takes part; write `a.b`, and `listeners` for the port",
        id="host-port",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: 'api.*.com'}, respond: 204}\n",
        "t.yaml:3:20: `api.*.com`: a `*` takes whole labels at the beginning; write `*.example.com`, or every host",
        id="host-inner-star",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: 'a_b c'}, respond: 204}\n",
        "t.yaml:3:20: `a_b c` is not a host's name; write `api.example.com` or `*.example.com`",
        id="host-bad",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: 'bücher.example'}, respond: 204}\n",
        "t.yaml:3:20: `bücher.example` is not a host's name; write `xn--bcher-kva.example`",
        id="host-idn",
    ),
    pytest.param(
        ROUTES + "  - {match: {methods: [get]}, respond: 204}\n",
        "t.yaml:3:24: `get`: methods are told apart by case (RFC 9110 §9.1); write `GET`",
        id="method-lower",
    ),
    pytest.param(
        ROUTES + "  - {match: {methods: 'GET, POST'}, respond: 204}\n",
        "t.yaml:3:23: `GET, POST` is not a method; write `[GET, POST]`",
        id="method-bad",
    ),
    pytest.param(
        ROUTES + "  - {match: {methods: CONNECT}, respond: 204}\n",
        "t.yaml:3:23: CONNECT is never passed on; leave it out",
        id="method-connect",
    ),
    pytest.param(
        ROUTES + "  - {match: {headers: {'X A': b}}, respond: 204}\n",
        "t.yaml:3:24: `X A` is not a header's name; write letters, digits and `-`",
        id="header-match-name",
    ),
    pytest.param(
        ROUTES + "  - {match: {headers: {Host: b}}, respond: 204}\n",
        "t.yaml:3:24: `Host` is not matched as a header; write `match: {host: NAME}`",
        id="header-match-host",
    ),
    pytest.param(
        ROUTES + "  - {match: {headers: {X: {}}}, respond: 204}\n",
        "t.yaml:3:27: this tests nothing; write one of `{present: true}`, `{exact: …}`, `{regex: …}`",
        id="test-none",
    ),
    pytest.param(
        ROUTES + "  - {match: {query: {x: {present: on, exact: b}}}, respond: 204}\n",
        "t.yaml:3:25: `present` and `exact` are both here; write one of `{present: true}`, `{exact: …}`, `{regex: …}`",
        id="test-two",
    ),
    pytest.param(
        ROUTES + "  - {access: {}, respond: 204}\n",
        "t.yaml:3:14: this lets everybody in; add `allow` or `deny`, or leave `access` out",
        id="access-empty",
    ),
    pytest.param(
        ROUTES + "  - {access: {allow: 10.0.0.1/8}, respond: 204}\n",
        "t.yaml:3:22: `10.0.0.1/8` has bits set behind its mask; write `10.0.0.0/8`",
        id="cidr-host-bits",
    ),
    pytest.param(
        ROUTES + "  - {access: {deny: [example.com]}, respond: 204}\n",
        (
            "t.yaml:3:22: `example.com` is not an address or CIDR block; write `10.0.0.0/8`, `192.0.2.7` or "
            "`2001:db8::/32`"
        ),
        id="cidr-bad",
    ),
    pytest.param(
        ROUTES + "  - {auth: {}, respond: 204}\n",
        "t.yaml:3:12: this asks for nothing; add `api_keys`, `jwt`, `basic`, `forward` or `oidc`, or leave `auth` out",
        id="auth-none",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {keys: []}}, respond: 204}\n",
        't.yaml:3:30: no key is let in; add `keys: [{name: web, key: "${WEB_KEY}"}]`',
        id="auth-no-keys",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {header: X-A, query: b, keys: [{name: a, key: k}]}}, respond: 204}\n",
        "t.yaml:3:44: `header` and `query` are both here; keep one of them",
        id="auth-two-sources",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {header: Authorization, keys: [{name: a, key: k}]}}, respond: 204}\n",
        "t.yaml:3:32: `Authorization` has a scheme before the key; leave `header` out for `Authorization: Bearer KEY`",
        id="auth-authorization",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {keys: [{name: a}]}}, respond: 204}\n",
        't.yaml:3:31: `key` is missing; add `key: "${NAME}"` or `sha256: …`',
        id="auth-key-missing",
    ),
    pytest.param(
        ROUTES
        + """\
  - {auth: {api_keys: {keys: [{name: a, key: k, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}]}}, respond: 204}
""",
        "t.yaml:3:31: `key` and `sha256` are both here; keep one of them",
        id="auth-key-both",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {keys: [{name: a, key: k}, {name: a, key: l}]}}, respond: 204}\n",
        "t.yaml:3:57: `a` is already the name of the key at t.yaml:3:31; give it another",
        id="auth-name-twice",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {keys: [{name: a, key: k}, {name: b, key: k}]}}, respond: 204}\n",
        "t.yaml:3:50: this is the same key as `a`; keep one of them",
        id="auth-same-key",
    ),
    pytest.param(
        ROUTES + "  - {auth: {basic: {users: [{name: 'a:b', password: k}]}}, respond: 204}\n",
        "t.yaml:3:36: `a:b` has a colon, which ends a name (RFC 7617 §2); write it without",
        id="basic-colon",
    ),
    pytest.param(
        ROUTES + "  - {auth: {basic: {realm: 'a\"b', users: [{name: a, password: k}]}}, respond: 204}\n",
        "t.yaml:3:28: a realm has no quotation marks and no control characters; write letters and spaces",
        id="basic-realm",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_wrong_with_a_condition_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(text) == expected
