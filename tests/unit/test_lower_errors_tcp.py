"""What is wrong with listeners that pass connections on, with their upstreams, and with the loop guard is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import lowered, told

from tidegate import plan

TCP = "listeners:\n- {address: ':1', protocol: tcp, %s}\n"
UP = "upstreams: {a: 'tcp://10.0.0.1:1', h: 'http://10.0.0.1'}\n"

CASES = [
    pytest.param(
        "listeners: [{address: ':1', protocol: tcp}]\n",
        "connections are passed on to nowhere; add `upstream: tcp://HOST:PORT`",
        id="nowhere",
    ),
    pytest.param(TCP % "upstream: b" + UP, "no upstream is called `b`", id="unknown"),
    pytest.param(
        TCP % "upstream: h" + UP,
        "`http://10.0.0.1` is spoken HTTP to, a tcp listener is not; write `tcp://10.0.0.1`",
        id="http-upstream",
    ),
    pytest.param(
        TCP % "upstream: 'https://10.0.0.1'", "a tcp listener is not; write `tls://10.0.0.1`", id="https-upstream"
    ),
    pytest.param(
        "listeners: [':1']\nroutes: [{upstream: 'tcp://10.0.0.1:5'}]\n",
        "`tcp://10.0.0.1:5` is for tcp listeners, a route speaks HTTP; write `http://10.0.0.1:5`",
        id="route-to-tcp",
    ),
    pytest.param(
        TCP % "upstream: u" + "- ':2'\nroutes: [{upstream: u}]\nupstreams: {u: 'unix:/run/u'}\n",
        "`u` is spoken HTTP to elsewhere; name another upstream with the same endpoints",
        id="both",
    ),
    pytest.param(
        TCP % "upstream: 'tcp://10.0.0.1'",
        "`tcp://10.0.0.1` has no port; write `tcp://10.0.0.1:PORT`",
        id="no-port",
    ),
    pytest.param(
        TCP % "upstream: 'tcp://10.0.0.1:1/x'",
        "an endpoint has no path, this one has `/x`; write `tcp://10.0.0.1:1`",
        id="path",
    ),
    pytest.param(
        TCP % "upstream: 'tcp://u:p@10.0.0.1:1'",
        "a name and a password do not belong into this URL; write `tcp://10.0.0.1:1`",
        id="password",
    ),
    pytest.param(
        TCP % "upstream: ['tcp://10.0.0.1:1', 'http://10.0.0.1:2']",
        "some of the endpoints speak HTTP and some do not; write two upstreams",
        id="mixed",
    ),
    pytest.param(
        TCP % "upstream: ['tcp://10.0.0.1:1', 'tls://10.0.0.1:2']",
        "`tls://10.0.0.1:2` stands beside endpoints of another scheme",
        id="mixed-tls",
    ),
    pytest.param(
        TCP % "sni: [{host: a.b, upstream: a}, {host: A.B, upstream: a}]" + UP,
        "`A.B` is there twice; leave one out",
        id="name-twice",
    ),
    pytest.param(
        TCP % "sni: [{host: 'https://a.b', upstream: a}]" + UP, "`https://a.b` is a URL; write `a.b`", id="name-url"
    ),
    pytest.param(TCP % "sni: [{host: [], upstream: a}]" + UP, "there is no name; write `a.example.com`", id="no-name"),
    pytest.param(
        TCP % "upstream: a, limit: {key: 'header:X', rate: 1/s}" + UP,
        (
            "t.yaml:2:54: a connection that is passed on has none of this to count by; write `client_ip`, `host` "
            "(the name that a TLS client asks for) or `route` (the listener)"
        ),
        id="limit-key",
    ),
    pytest.param(
        TCP % "upstream: a, concurrency: {key: path, max: 1}" + UP, "has none of this to count by", id="cap-key"
    ),
    pytest.param(
        TCP % "upstream: a, timeouts: {hello: 0s}" + UP, "`0s` is too short here; write `1ms` or more", id="hello"
    ),
    pytest.param(TCP % "upstream: a, access: {}" + UP, "this lets everybody in", id="access"),
    pytest.param(
        "listeners: [{address: ':1', upstream: 'tcp://10.0.0.1:1'}]\n",
        (
            "t.yaml:1:29: `upstream` is for listeners that pass connections on; "
            "add `protocol: tcp`, or write it in a route"
        ),
        id="forgotten",
    ),
    pytest.param(
        TCP % "upstream: a, http2: off" + UP, "`http2` is for listeners that speak HTTP; leave it out", id="http2"
    ),
    pytest.param(
        TCP % "upstream: u" + "upstreams: {u: {endpoints: 'tcp://10.0.0.1:1', protocol: http2}}\n",
        "tcp listeners speak no HTTP to these endpoints",
        id="h2-over-tcp",
    ),
    pytest.param(
        "listeners: [':1']\nroutes: [{upstream: u}]\n"
        "upstreams: {u: {endpoints: 'http://10.0.0.1', protocol: auto, proxy_protocol: v2}}\n",
        "a PROXY header tells of one client, and a connection of HTTP/2 is shared by many",
        id="proxy-and-h2",
    ),
    pytest.param(
        TCP % "upstream: a, name: t" + UP + "routes: [{listeners: t, respond: 204}]\n",
        "`t` passes connections on, it serves no routes; name a listener without `protocol`",
        id="route-on-it",
    ),
    pytest.param(
        "listeners: [':1']\nserver: {loop_guard: {id: 'a b'}}\n",
        "t.yaml:2:27: `a b` is not a token; write letters, digits, `-`, `.` and `_`",
        id="loop-id",
    ),
    pytest.param(
        "listeners: [':1']\nserver: {tunnel_idle: x}\nroutes: [{respond: 204}, {respond: 204}]\n",
        "t.yaml:2:23: `x` is not a time",
        id="tunnel-idle-once",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_wrong_with_it_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = told(text)
    assert expected in said, said
    assert said.count("\n") == 0, said


def test_a_listener_and_a_route_may_share_a_limits_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        TCP % "upstream: a, limit: {name: l, key: client_ip, rate: 1/s}"
        + UP
        + "- ':2'\nroutes: [{limit: {name: l}, respond: 204}]\n".replace("- ':2'\n", "")
    )
    made = lowered(text.replace("upstreams:", "- ':2'\nupstreams:", 1)).plan
    assert len(made.limits) == 1
    assert made.listeners[0].tcp is not None
    assert made.listeners[0].tcp.limits == made.routes[0].limits == [0]
    assert made.routes[0].listeners == [1], "a route is not served where connections are passed on"


def test_attempts_are_three_unless_the_upstream_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def attempts(retry: str) -> int:
        text = TCP % "upstream: a" + f"upstreams: {{a: {{endpoints: 'tcp://10.0.0.1:1'{retry}}}}}\n"
        tcp = lowered(text).plan.listeners[0].tcp
        assert isinstance(tcp, plan.Tcp)
        assert tcp.default is not None
        return tcp.default.retry.attempts

    assert attempts("") == 3
    assert attempts(", retry: {attempts: 7}") == 7
    assert attempts(", retry: off") == 1
    assert attempts(", retry: {budget: 10%}") == 3
