"""What is allowed and hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, lowered

CASES = [
    pytest.param(
        'listeners: [":1"]\n',
        "t.yaml:1:1: warning: there is no route: everything is answered 404; "
        "add `routes: [{upstream: http://HOST:PORT}]`",
        id="no-route",
    ),
    pytest.param(
        ROUTES + "  - respond: 204\nupstreams: {api: http://a}\n",
        "t.yaml:4:13: warning: no route leads to the upstream `api`; leave it out",
        id="unused-upstream",
    ),
    pytest.param(
        ROUTES + "  - {match: {path: /a}, respond: 204}\n  - {match: {path: /a}, respond: 200}\n",
        "t.yaml:4:5: warning: this never comes: the route at t.yaml:3:5 matches the same; leave one out",
        id="same-route",
    ),
    pytest.param(
        ROUTES + "  - {match: {host: [a.b, c.d], headers: {X-A: b}}, respond: 204}\n"
        "  - {match: {host: C.D, headers: {x-a: b}}, respond: 200}\n",
        "t.yaml:4:5: warning: this never comes: the route at t.yaml:3:5 matches the same; leave one out",
        id="same-route-of-one-host",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: api_key, rate: 1/s}, respond: 204}\n",
        "t.yaml:3:13: warning: `api_key` counts everybody as one where there is no `auth`; "
        "add `auth`, or count by `client_ip`",
        id="key-without-auth",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {host: a}, respond: 204}\n",
        "t.yaml:3:15: warning: nothing is sent upstream from here, so nothing is rewritten; leave it out",
        id="rewrite-without-upstream",
    ),
    pytest.param(
        ROUTES + "  - {headers: {response: {set: {X-Ip: a $remote_addr}}}, respond: 204}\n",
        "t.yaml:3:41: warning: `$remote_addr` is sent as it stands; for a variable write `${client_ip}`",
        id="nginx-variable",
    ),
    pytest.param(
        "admin: 0.0.0.0:9640\n" + ROUTES + "  - respond: 204\n",
        "t.yaml:1:8: warning: whoever reaches `0.0.0.0:9640` sees the configuration and the metrics; "
        "bind 127.0.0.1 or a Unix socket, or guard it by a firewall",
        id="open-admin",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_hardly_meant_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "\n".join(str(warning) for warning in lowered(text).warnings) == expected


QUIET = [
    pytest.param(
        "  - {match: {path: /a, methods: GET}, respond: 204}\n  - {match: {path: /a}, respond: 200}\n", id="method"
    ),
    pytest.param("  - {match: {host: a.b}, respond: 204}\n  - respond: 200\n", id="host"),
    pytest.param("  - respond: 200\n  - {match: {host: a.b}, respond: 204}\n", id="host-behind"),
    pytest.param(
        "  - {match: {query: {a: b}}, respond: 204}\n  - {match: {query: {A: b}}, respond: 200}\n", id="query"
    ),
    pytest.param(
        "  - hook: 'a:b'\n    upstream: http://b\nupstreams: {api: http://a}\n", id="a-hook-may-pick-any-upstream"
    ),
    pytest.param("  - {respond: {body: 'it costs $5 or $name'}}\n", id="a-dollar-is-a-dollar"),
]


@pytest.mark.parametrize("text", QUIET)
def test_what_may_well_be_meant_is_not(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lowered(ROUTES + text).warnings == []
