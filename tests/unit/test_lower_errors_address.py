"""What is wrong with listeners, upstreams and their addresses is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, told

CASES = [
    pytest.param(
        "routes: [{respond: 204}]\n", 't.yaml:1:1: there is no listener; add `listeners: [":8080"]`', id="no-listener"
    ),
    pytest.param(
        "listeners: [localhost]\n",
        "t.yaml:1:13: `localhost` is not an address to listen on; write `localhost:8080`",
        id="address-word",
    ),
    pytest.param(
        "listeners: [8080]\n",
        "t.yaml:1:13: `8080` is not an address to listen on; write `:8080` for all addresses, or `127.0.0.1:8080`",
        id="address-port",
    ),
    pytest.param(
        "listeners: ['http://127.0.0.1:80/x']\n",
        "t.yaml:1:13: `http://127.0.0.1:80/x` is a URL, a listener has an address; write `127.0.0.1:80`",
        id="address-url",
    ),
    pytest.param(
        "listeners: ['*:80']\n", "t.yaml:1:13: `*` is not an IP address of this machine; write `:80`", id="address-star"
    ),
    pytest.param(
        "listeners: ['example.com:80']\n",
        (
            "t.yaml:1:13: `example.com` is not an IP address of this machine; write the IP address of "
            "example.com, or `:80` for all"
        ),
        id="address-name",
    ),
    pytest.param(
        "listeners: [':65536']\n",
        "t.yaml:1:13: there is no port 65536; write 1 to 65535, or 0 to let the system choose",
        id="address-high",
    ),
    pytest.param(
        "listeners: ['::1:80']\n",
        "t.yaml:1:13: `::1:80` is not an address to listen on; write `[::1]:80`",
        id="address-v6",
    ),
    pytest.param(
        "listeners: ['unix:']\n", "t.yaml:1:13: `unix:` names no socket; write `unix:/run/app.sock`", id="address-unix"
    ),
    pytest.param(
        """\
listeners: ['unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']
""",
        (
            "t.yaml:1:13: "
            "`/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is longer than a socket's path may be; use at most 107 bytes"
        ),
        id="address-unix-long",
    ),
    pytest.param(
        "listeners: [':80', '127.0.0.1:81', '[::]:80']\n",
        "t.yaml:1:36: `[::]:80` is already taken at t.yaml:1:13; keep one of them",
        id="port-twice",
    ),
    pytest.param(
        "listeners: [':80', '0.0.0.0:80']\n",
        "t.yaml:1:20: `0.0.0.0:80` is already taken by `:80` at t.yaml:1:13; keep one of them",
        id="port-any",
    ),
    pytest.param(
        """\
listeners: ['127.0.0.1:80']
admin: 127.0.0.1:80
""",
        "t.yaml:2:8: `127.0.0.1:80` is already taken at t.yaml:1:13; keep one of them",
        id="port-admin",
    ),
    pytest.param(
        "listeners: [{address: ':80', name: a}, {address: ':81', name: a}]\n",
        "t.yaml:1:50: `a` is already the name of the listener at t.yaml:1:23; give it another `name`",
        id="listener-name",
    ),
    pytest.param(
        "listeners: [{address: ':80', proxy_protocol: on}]\n",
        (
            "t.yaml:1:46: `proxy_protocol` without `server.trusted_proxies` would refuse every connection; list "
            "the balancers: `server: {trusted_proxies: [10.0.0.0/8]}`"
        ),
        id="proxy-protocol",
    ),
    pytest.param(
        ROUTES + "  - {listeners: 127.0.0.1:8081, respond: 204}\n",
        "t.yaml:3:17: no listener is called `127.0.0.1:8081`; did you mean `127.0.0.1:8080`?",
        id="listener-unknown",
    ),
    pytest.param(
        ROUTES
        + """\
  - upstream: app
upstreams: {api: http://a}
""",
        "t.yaml:3:15: no upstream is called `app`; did you mean `api`?",
        id="upstream-unknown",
    ),
    pytest.param(
        ROUTES + "  - upstream: 127.0.0.1:3000\n",
        "t.yaml:3:15: no upstream is called `127.0.0.1:3000`; write `http://127.0.0.1:3000`",
        id="upstream-bare",
    ),
    pytest.param(
        ROUTES + "  - upstream: app\n",
        "t.yaml:3:15: no upstream is called `app`; add it: `upstreams: {app: http://HOST:PORT}`",
        id="upstream-none",
    ),
    pytest.param(
        ROUTES
        + """\
  - upstream: [api, http://b]
upstreams: {api: http://a}
""",
        "t.yaml:3:16: `api` is an upstream's name in a list of URLs; write `upstream: api`",
        id="upstream-mixed",
    ),
    pytest.param(
        ROUTES + "  - upstream: []\n", "t.yaml:3:15: there is no endpoint; add `http://HOST:PORT`", id="upstream-empty"
    ),
    pytest.param(
        ROUTES + "  - upstream: https://api.example.com/v1\n",
        (
            "t.yaml:3:15: an endpoint has no path, this one has `/v1`; write `https://api.example.com` and, in the route, "
            "`rewrite: {prefix: /v1}`"
        ),
        id="https",
    ),
    pytest.param(
        ROUTES + "  - upstream: ftp://a\n",
        "t.yaml:3:15: `ftp://` is not spoken to upstreams; write `http://a`, `https://a` or `unix:/path`",
        id="ftp",
    ),
    pytest.param(
        ROUTES + "  - upstream: [http://a, https://b]\n",
        "t.yaml:3:26: `https://b` stands beside endpoints of another scheme; write `https://` at all of them or at none",
        id="https-mixed",
    ),
    pytest.param(
        ROUTES + "  - upstream: a\nupstreams: {a: {endpoints: http://a, tls: {verify: off}}}\n",
        ("t.yaml:4:43: the endpoints are spoken to without TLS; write `https://` at the endpoints, or leave `tls` out"),
        id="tls-plain",
    ),
    pytest.param(
        ROUTES
        + "  - upstream: a\nupstreams: {a: {endpoints: https://a, tls: {verify: off, ca: x, server_name: 'a b'}}}\n",
        """\
t.yaml:4:62: nothing is checked, so nobody is asked; leave `ca` out, or `verify: off`
t.yaml:4:78: `a b` is not a host name; write `api.example.com`""",
        id="tls-keys",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://a:80/base/?x=1\n",
        (
            "t.yaml:3:15: an endpoint has no path, this one has `/base/?x=1`; write `http://a:80` and, in the "
            "route, `rewrite: {prefix: /base}`"
        ),
        id="base-path",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://u:p@a:80\n",
        (
            "t.yaml:3:15: a name and a password do not belong into this URL; write `http://a:80` and set the "
            "Authorization header by `headers: {request: {set: …}}`"
        ),
        id="userinfo",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://:80\n",
        "t.yaml:3:15: `http://:80` has no proper host and port; write `http://HOST:PORT`",
        id="no-host",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://a..b:80\n",
        "t.yaml:3:15: `a..b` is neither a host name nor an IP address; write `http://HOST:PORT`",
        id="bad-host",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://300.1.1.1\n",
        "t.yaml:3:15: `300.1.1.1` is neither a host name nor an IP address; write `http://HOST:PORT`",
        id="bad-ip",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://a:0\n", "t.yaml:3:15: there is no port 0; write 1 to 65535", id="port-zero"
    ),
    pytest.param(
        ROUTES + "  - upstream: http://unix:/run/a.sock\n",
        "t.yaml:3:15: a socket has no `http://` before it; write `unix:/run/a.sock`",
        id="http-unix",
    ),
    pytest.param(
        ROUTES + "  - upstream: [http://a, 'http://A:80']\n",
        "t.yaml:3:26: `http://A:80` is there twice; give it a `weight: 2` instead",
        id="endpoint-twice",
    ),
    pytest.param(
        """\
listeners: [":1"]
upstreams: {"http://a": http://a}
""",
        "t.yaml:2:13: `http://a` cannot be a name; write letters, digits, `-` and `_`",
        id="upstream-name",
    ),
    pytest.param(
        """\
listeners: [":1"]
upstreams: {a: {endpoints: http://a, health: {active: {path: x, status: 400-200, interval: 1ms}}}}
""",
        """\
t.yaml:2:62: `x` is not a path; write `/healthz`
t.yaml:2:73: `400-200` is no range of status codes; write `200` or `200-399`
t.yaml:2:92: `1ms` is too short here; write `100ms` or more""",
        id="health",
    ),
    pytest.param(
        """\
listeners: [":1"]
upstreams: {a: {endpoints: [], health: {active: {host: x}}}}
""",
        """\
t.yaml:2:28: there is no endpoint; add `http://HOST:PORT`
t.yaml:2:56: a connection has no Host field; add `path: /healthz`""",
        id="health-host",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_wrong_with_an_address_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(text) == expected
