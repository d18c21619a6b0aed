"""Which route takes a request, and what comes of it: redirects, fixed responses, rewrites, header edits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, once
from tests.support.gateway import Tidegate
from tests.support.upstream import Upstream


def says(name: str, **match: Any) -> dict[str, Any]:
    """A route that answers with its own name."""
    return {"name": name, "match": match, "respond": {"body": name}}


ROUTES = [
    says("exact host", host="api.example.com"),
    says("wildcard host", host="*.example.com"),
    says("prefix", host="paths.test", path="/v1"),
    says("longer prefix", host="paths.test", path="/v1/users"),
    says("below", host="paths.test", path="/below/"),
    says("exact", host="paths.test", exact="/v1/users/exactly"),
    says("regex", host="paths.test", regex="^/u/(?<id>[0-9]+)$"),
    says("post", host="methods.test", methods=["POST", "PUT"]),
    says("get", host="methods.test", methods="GET"),
    says("header value", host="headers.test", headers={"X-Kind": "a"}),
    says("header there", host="headers.test", headers={"X-Beta": {"present": True}}),
    says("header pattern", host="headers.test", headers={"X-Kind": {"regex": "^b[0-9]+$"}}),
    says("query value", host="query.test", query={"v": "2"}),
    says("query pattern", host="query.test", query={"v": {"regex": "^3"}}),
    says("rest"),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    gateway = Tidegate(tmp_path_factory.mktemp("routing"), {"routes": ROUTES, "workers": 2})
    try:
        yield gateway.ready()
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("request_line", "fields", "route"),
    [
        ("GET /", {"Host": "api.example.com"}, "exact host"),
        ("GET /", {"Host": "API.Example.COM:8080"}, "exact host"),
        ("GET /", {"Host": "api.example.com."}, "exact host"),
        ("GET /", {"Host": "other.example.com"}, "wildcard host"),
        ("GET /", {"Host": "a.b.example.com"}, "wildcard host"),
        ("GET /", {"Host": "example.com"}, "rest"),
        ("GET /v1", {"Host": "paths.test"}, "prefix"),
        ("GET /v1/", {"Host": "paths.test"}, "prefix"),
        ("GET /v1/x?y=/v1/users", {"Host": "paths.test"}, "prefix"),
        ("GET /v10", {"Host": "paths.test"}, "rest"),
        ("GET /v1/users/7", {"Host": "paths.test"}, "longer prefix"),
        ("GET /v1/usersx", {"Host": "paths.test"}, "prefix"),
        ("GET /below", {"Host": "paths.test"}, "rest"),
        ("GET /below/x", {"Host": "paths.test"}, "below"),
        ("GET /v1/users/exactly", {"Host": "paths.test"}, "exact"),
        ("GET /v1/users/exactly/", {"Host": "paths.test"}, "longer prefix"),
        ("GET /u/17", {"Host": "paths.test"}, "regex"),
        ("GET /u/x", {"Host": "paths.test"}, "rest"),
        ("GET /v1/x/../users/7", {"Host": "paths.test"}, "longer prefix"),
        ("GET /v1/%75sers/7", {"Host": "paths.test"}, "longer prefix"),
        ("GET //v1//users/7", {"Host": "paths.test"}, "longer prefix"),
        ("GET /other/%2e%2e/v1/x", {"Host": "paths.test"}, "prefix"),
        ("GET http://paths.test/v1/x", {"Host": "paths.test"}, "prefix"),
        ("POST /", {"Host": "methods.test"}, "post"),
        ("GET /", {"Host": "methods.test"}, "get"),
        ("DELETE /", {"Host": "methods.test"}, "rest"),
        ("GET /", {"Host": "headers.test", "x-kind": "a"}, "header value"),
        ("GET /", {"Host": "headers.test", "X-Beta": ""}, "header there"),
        ("GET /", {"Host": "headers.test", "X-Kind": "b12"}, "header pattern"),
        ("GET /", {"Host": "headers.test", "X-Kind": "c"}, "rest"),
        ("GET /?v=2", {"Host": "query.test"}, "query value"),
        ("GET /?a=1&v=31", {"Host": "query.test"}, "query pattern"),
        ("GET /?v=1", {"Host": "query.test"}, "rest"),
    ],
)
def test_a_request_takes_the_route_that_says_most(
    gateway: Tidegate, request_line: str, fields: dict[str, str], route: str
) -> None:
    method, target = request_line.split(" ")
    assert once(gateway.address, method, target, fields).body.decode() == route


@pytest.mark.parametrize("target", ["/..", "/a/../../b", "/%2e%2e/x", "/a%2fb/../..", "/%zz", "/a%00b"])
def test_a_path_that_could_be_read_in_two_ways_is_refused(gateway: Tidegate, target: str) -> None:
    with gateway.client() as client:
        answer = client.request("GET", target)
        assert answer.status == 400
        assert re.fullmatch(r"[a-z0-9_]+", answer.problem)
        assert client.is_closed()


@pytest.fixture
def seen(start: Start, serve: Serve) -> tuple[Tidegate, Upstream]:
    """A gateway that rewrites, and the upstream that sees what came of it."""
    upstream = serve()
    to = {"upstream": upstream.url}
    routes = [
        {"match": {"path": "/old"}, "rewrite": {"prefix": "/new"}, **to},
        {
            "match": {"regex": "^/items/(?<id>[0-9]+)/(.*)$"},
            "rewrite": {"path": "/i/${id}/${2}", "query": "n=${id}"},
            **to,
        },
        {"match": {"path": "/dated"}, "rewrite": {"regex": "-([0-9]+)", "with": "/$1", "host": "internal.test"}, **to},
        {"match": {"path": "/empty"}, "rewrite": {"query": ""}, **to},
        {
            "name": "edits",
            "match": {"path": "/edits"},
            "headers": {
                "request": {
                    "set": {"X-Who": "${client_ip} ${method} ${path} ${host} ${route}", "X-Kept": "new"},
                    "add": {"X-More": ["one", "${header:X-From}"]},
                    "remove": ["X-Debug"],
                },
                "response": {"set": {"X-Edge": "tidegate", "Server": "mine"}, "remove": ["X-Inner"]},
            },
            **to,
        },
        to,
    ]
    return start({"routes": routes}), upstream


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("/old", "/new"),
        ("/old/a%20b?c=d", "/new/a%20b?c=d"),
        ("/items/42/a/b?x=y", "/i/42/a/b?n=42"),
        ("/dated/2024-05-06?q=1", "/dated/2024/05/06?q=1"),
        ("/empty?a=b", "/empty"),
        ("/as/it/is?a=1&&b=%41", "/as/it/is?a=1&&b=%41"),
    ],
)
def test_the_upstream_gets_the_rewritten_target(seen: tuple[Tidegate, Upstream], asked: str, got: str) -> None:
    gateway, upstream = seen
    assert gateway.get(asked).status == 200
    assert upstream.requests[-1].target == got
    assert upstream.requests[-1].fields.get("Host") == ("internal.test" if asked.startswith("/dated") else "a.example")


def test_header_edits_reach_both_sides_with_their_variables(seen: tuple[Tidegate, Upstream]) -> None:
    gateway, upstream = seen
    upstream.answer = lambda request, peer: peer.respond(200, b"", "X-Inner: secret", "Server: inner", "X-Own: 1")
    fields = [("X-Debug", "1"), ("X-Kept", "old"), ("X-Kept", "older"), ("X-From", "me"), ("X-More", "zero")]
    answer = once(gateway.address, "GET", "/edits", fields)
    assert answer.fields.get("X-Edge") == "tidegate"
    assert answer.fields.get("Server") == "mine"
    assert answer.fields.get("X-Own") == "1"
    assert "X-Inner" not in answer.fields
    got = upstream.requests[-1].fields
    assert got.get("X-Who") == "127.0.0.1 GET /edits a.example edits"
    assert got.get("X-Kept") == "new"
    assert got.all("X-More") == ["zero", "one", "me"]
    assert "X-Debug" not in got


def test_redirects_keep_what_their_template_keeps(start: Start) -> None:
    routes = [
        {"match": {"path": "/moved"}, "redirect": "https://${host}${request_uri}"},
        {"match": {"path": "/gone"}, "redirect": {"to": "https://new.example/${query:a}", "status": 308}},
    ]
    gateway = start({"routes": routes})
    first = gateway.get("/moved/a?b=c")
    assert (first.status, first.fields.get("Location")) == (302, "https://a.example/moved/a?b=c")
    second = gateway.get("/gone?a=x")
    assert (second.status, second.fields.get("Location")) == (308, "https://new.example/x")


def test_a_variable_never_splits_a_head(start: Start) -> None:
    routes = [{"redirect": "https://x.example/${query:to}"}]
    gateway = start({"routes": routes})
    with gateway.client() as client:
        answer = client.request("GET", "/?to=a%0d%0aSet-Cookie:%20evil=1")
        assert "Set-Cookie" not in answer.fields
        assert client.request("GET", "/?to=b").status == 302


def test_fixed_responses_answer_every_method_and_read_its_body(start: Start) -> None:
    routes = [
        {"match": {"path": "/empty"}, "respond": 204},
        {
            "match": {"path": "/json"},
            "respond": {"status": 418, "body": '{"p":"${path}"}', "content_type": "application/json"},
        },
    ]
    gateway = start({"routes": routes})
    with gateway.client() as client:
        assert client.request("GET", "/empty").status == 204
        answer = client.request("POST", "/json", (), b"x" * 100)
        assert (answer.status, answer.json()) == (418, {"p": "/json"})
        assert answer.fields.get("Content-Type") == "application/json"
        head = client.request("HEAD", "/json")
        assert (head.fields.get("Content-Length"), head.body) == ("13", b"")
        assert client.request("GET", "/empty").status == 204
        nothing = client.request("GET", "/nowhere")
        assert (nothing.status, nothing.problem) == (404, "no_route")
        assert client.request("GET", "/empty").status == 204


def test_routes_belong_to_the_listeners_that_they_name(start: Start) -> None:
    config = {
        "listeners": [{"address": "127.0.0.1:0", "name": "public"}, {"address": "127.0.0.1:0", "name": "inner"}],
        "routes": [
            {"listeners": "public", "respond": {"body": "public"}},
            {"listeners": "inner", "respond": {"body": "inner"}},
        ],
        "workers": 2,
    }
    gateway = start(config)
    public, inner = gateway.addresses
    for _ in range(20):
        assert once(public).body == b"public"
        assert once(inner).body == b"inner"


def test_many_connections_never_end_up_at_another_listener(start: Start) -> None:
    """Connections move between workers; the listener that they came to moves with them."""
    gateway = start({"workers": 4, "routes": [{"respond": {"body": "public"}}]})
    clients: list[Client] = []
    try:
        clients.extend(gateway.client() for _ in range(200))
        answers = {client.request("GET", "/status").body for client in clients}
    finally:
        for client in clients:
            client.close()
    assert answers == {b"public"}
