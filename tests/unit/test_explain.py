"""What would happen to a request, told for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.told import lowered

from tidegate.explain import explain
from tidegate.lower import Lowered

TEXT = """\
listeners: ["127.0.0.1:8080"]
admin: 127.0.0.1:9640
routes:
  - name: everything
    match:
      host: ["*.example.com"]
      path: /v1/
      methods: [GET, POST]
      headers: {X-A: b, X-B: {regex: c}}
      query: {q: {present: true}, r: {present: false}}
    access: {allow: 10.0.0.0/8, deny: 10.9.0.0/16}
    auth: {api_keys: {header: X-Key, keys: [{name: web, key: k}]}}
    limit: {key: [client_ip, "header:X-T"], rate: 10/s, burst: 20, cost: 2}
    concurrency: {key: route, max: 5}
    hook: {call: "a:b", body: on, on_failure: allow}
    rewrite: {prefix: /, host: "api.${capture:host}", query: ""}
    headers: {request: {remove: Cookie, set: {X-Ip: "${client_ip}"}}, response: {add: {X-C: d}}}
    timeouts: {total: 1m}
    upstream: api
  - {name: there, match: {exact: /there}, redirect: "https://a${path}"}
  - {name: gone, match: {regex: "^/gone"}, respond: {status: 410, body: gone}, max_body: off, access_log: off}
  - {name: alive, match: {exact: /alive}, builtin: healthz, auth: {basic: {users: [{name: a, password: b}]}}}
  - {name: hooked, match: {path: /hooked, methods: PUT}, hook: "a:b"}
upstreams:
  api: {balance: {hash: client_ip}, endpoints: [http://10.0.0.1, {url: "http://api:81", weight: 3}]}
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lowered:
    monkeypatch.chdir(tmp_path)
    return lowered(TEXT)


def said(route: int | None, path: str = "/", host: str = "a.example.com", **more: Any) -> dict[str, Any]:
    decision = {"listener": 0, "host": host, "path": path, "route": route, "matched_prefix": 0, "refused": None}
    return decision | more


def test_a_route_is_told_with_all_its_stages(made: Lowered) -> None:
    decision = said(0, "/v1/x", matched_prefix=4, captures={"host": "a"}, why=["it is the longest prefix"])
    text = explain(
        made.plan,
        json.dumps(decision).encode(),
        method="GET",
        url="http://a.example.com/v1/x?q=1",
        place=made.paths.place,
    )
    assert (
        text
        == """\
GET http://a.example.com/v1/x?q=1
  listener  127.0.0.1:8080
  host      a.example.com
  path      /v1/x
  route     everything (t.yaml:4:5)
  capture   host = a
  why       the host is *.example.com
            the path begins with /v1/
            the method is GET or POST
            the header X-A is b
            the header X-B has c in it
            the parameter q is there
            the parameter r is not there
            /v1/ is what a rewrite replaces
            it is the longest prefix
  stages    access: deny 10.9.0.0/16, allow 10.0.0.0/8 only (else 403)
            auth: API key in the header X-Key, 1 key (else 401)
            limit everything: 10/s by client_ip and header:X-T, burst 20, 2 tokens a request (else 429)
            concurrency everything: 5 in flight by route (else 503)
            hook: a:b within 1s, with the body up to 1MiB (failing: goes on)
            body: up to 100MiB (else 413)
            rewrite: the matched prefix becomes /
            rewrite: the host becomes api.${capture:host}
            rewrite: the query becomes (nothing)
            request header: remove Cookie
            request header: set X-Ip: ${client_ip}
            response header: add X-C: d
  action    upstream api: hash of client_ip of 10.0.0.1:80, api:81 (weight 3)
            timeouts: connect 5s, head 1m, idle 1m, total 1m
            attempts: 2 on connect, reset
"""
    )


@pytest.mark.parametrize(
    ("route", "action"),
    [
        (1, "redirect 302 to https://a${path}"),
        (2, "respond 410, text/plain; charset=utf-8"),
        (3, "the engine's healthz"),
        (4, "the hook answers"),
    ],
)
def test_every_action_has_its_words(route: int, action: str, made: Lowered) -> None:
    assert f"  action    {action}\n" in explain(made.plan, said(route), method="GET", url="/")


def test_a_refusal_is_told_by_its_reason(made: Lowered) -> None:
    text = explain(made.plan, said(None, refused="bad_path"), method="GET", url="/%00")
    assert text.endswith("  refused   bad_path: answered by the engine, no route is asked\n")


@pytest.mark.parametrize(
    ("path", "method", "host", "why"),
    [
        ("/hooked", "GET", "x", ["hooked asks for the method PUT"]),
        (
            "/there/",
            "GET",
            "x",
            [
                "there asks for the path /there",
                "gone asks for a path with ^/gone in it",
                "alive asks for the path /alive",
            ],
        ),
        (
            "/v1/x",
            "GET",
            "a.example.com",
            ["everything asks for that X-A is b and X-B has c in it and q is there and r is not there"],
        ),
        ("/v1/x", "GET", "b.example", ["everything asks for the host *.example.com"]),
    ],
)
def test_where_no_route_takes_it_the_near_ones_are_told(
    path: str, method: str, host: str, why: list[str], made: Lowered
) -> None:
    text = explain(made.plan, said(None, path, host), method=method, url=path)
    assert "  route     none: 404\n" in text
    for line in why:
        assert line in text


def test_admin_listeners_are_told_as_such(made: Lowered) -> None:
    routes = [route.name for route in made.plan.routes]
    decision = said(routes.index("admin:metrics"), "/metrics") | {"listener": 1}
    text = explain(made.plan, decision, method="GET", url="/metrics", place=made.paths.place)
    assert "listener  127.0.0.1:9640 (admin)" in text
    assert "route     admin:metrics\n" in text
