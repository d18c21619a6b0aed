"""The cache over real sockets: what is kept, who waits for whom, what happens when origin or client fail."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.client import message, once
from tests.support.gateway import Tidegate, command
from tests.support.http import Request, Response
from tests.support.upstream import Peer, Upstream
from tests.support.waiting import until


class Origin:
    """Answers by path: what a test says of each, with a count of how often it was asked."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.status: dict[str, int] = {}
        self.body: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.down = False

    def __call__(self, request: Request, peer: Peer) -> None:
        path = request.target
        self.asked.append(path)
        if self.down:
            peer.close()
            return
        fields = self.fields.get(path, ["Cache-Control: max-age=60"])
        etag = next((line[6:] for line in fields if line.startswith("ETag: ")), None)
        if etag is not None and request.fields.get("If-None-Match") == etag:
            peer.send(("\r\n".join(["HTTP/1.1 304 X", *fields]) + "\r\n\r\n").encode())
            return
        body = self.body.get(path, f"{request.method} {path} {self.asked.count(path)}".encode())
        if request.method == "HEAD":
            head = ["HTTP/1.1 200 X", *fields, f"Content-Length: {len(body)}"]
            peer.send(("\r\n".join(head) + "\r\n\r\n").encode())
            return
        peer.respond(self.status.get(path, 200), body, *fields)

    def times(self, path: str) -> int:
        return self.asked.count(path)


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def gateway(start: Start, serve: Serve, origin: Origin) -> Tidegate:
    upstream = serve(origin)
    routes: list[dict[str, Any]] = [
        {"name": "swr", "match": {"path": "/swr"}, "cache": {"stale_while_revalidate": "1m"}, "upstream": upstream.url},
        {"name": "sie", "match": {"path": "/sie"}, "cache": {"stale_if_error": "1m"}, "upstream": upstream.url},
        {"name": "small", "match": {"path": "/small"}, "cache": {"max_object": "100KiB"}, "upstream": upstream.url},
        {"name": "by", "match": {"path": "/by"}, "cache": {"bypass": ["cookie:session"]}, "upstream": upstream.url},
        {
            "name": "ttl",
            "match": {"path": "/ttl"},
            "cache": {"ttl": {"200": "1m", "404": "1m"}},
            "upstream": upstream.url,
        },
        {
            "name": "key",
            "match": {"path": "/key"},
            "cache": {"key": {"query": {"drop": ["utm_*"]}}, "debug": {}},
            "upstream": upstream.url,
        },
        {"name": "all", "cache": {}, "upstream": upstream.url},
    ]
    return start({"workers": 2, "routes": routes})


def told(response: Response) -> str:
    """What the cache did, in its own words."""
    return response.fields.get("Cache-Status") or ""


def test_what_is_kept_is_given_with_its_age(gateway: Tidegate, origin: Origin) -> None:
    first = gateway.get("/a")
    assert (first.status, first.body) == (200, b"GET /a 1")
    assert told(first) == "tidegate; fwd=uri-miss; fwd-status=200; stored; detail=uri_miss"
    second = gateway.get("/a")
    assert (second.status, second.body, origin.times("/a")) == (200, b"GET /a 1", 1)
    assert told(second).startswith("tidegate; hit; ttl=")
    assert int(second.fields.get("Age") or "-1") >= 0
    assert second.fields.get("Date") is not None
    head = once(gateway.address, "HEAD", "/a")
    assert (head.status, head.fields.get("Content-Length"), origin.times("/a")) == (200, "8", 1)


def test_a_hit_costs_the_origin_nothing_even_on_one_connection(gateway: Tidegate, origin: Origin) -> None:
    with gateway.client() as client:
        bodies = {client.request("GET", "/a").body for _ in range(50)}
    assert (bodies, origin.times("/a")) == ({b"GET /a 1"}, 1)


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 32_768, 32_769, 300_000, 3_000_000])
def test_a_content_of_any_size_is_the_same_from_the_store(gateway: Tidegate, origin: Origin, size: int) -> None:
    origin.body["/a"] = bytes(number % 251 for number in range(size))
    assert gateway.get("/a").body == origin.body["/a"]
    again = gateway.get("/a")
    assert (again.body, origin.times("/a")) == (origin.body["/a"], 1)


def test_chunks_without_a_length_are_kept_too(start: Start, serve: Serve) -> None:
    def chunks(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        peer.send(b"4\r\ndefg\r\n0\r\n\r\n")

    upstream = serve(chunks)
    gateway = start({"routes": [{"cache": {}, "upstream": upstream.url}]})
    first, second = gateway.get("/"), gateway.get("/")
    assert (first.body, second.body, len(upstream.requests)) == (b"abcdefg", b"abcdefg", 1)
    assert second.fields.get("Content-Length") == "7"


def test_conditions_and_ranges_are_answered_from_the_store(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/a"] = ["Cache-Control: max-age=60", 'ETag: "1"']
    origin.body["/a"] = b"0123456789"
    gateway.get("/a")
    same = gateway.get("/a", if_none_match='"1"')
    assert (same.status, same.body, same.fields.get("ETag")) == (304, b"", '"1"')
    part = gateway.get("/a", range="bytes=2-4")
    assert (part.status, part.body, part.fields.get("Content-Range")) == (206, b"234", "bytes 2-4/10")
    parts = gateway.get("/a", range="bytes=0-1,8-")
    assert parts.status == 206
    assert (parts.fields.get("Content-Type") or "").startswith("multipart/byteranges; boundary=")
    assert b"bytes 0-1/10\r\n\r\n01\r\n--" in parts.body
    assert b"bytes 8-9/10\r\n\r\n89\r\n--" in parts.body
    none = gateway.get("/a", range="bytes=20-")
    assert (none.status, none.fields.get("Content-Range")) == (416, "bytes */10")
    assert origin.times("/a") == 1


def test_a_stale_answer_is_asked_about_and_given_again(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/a"] = ["Cache-Control: max-age=0", 'ETag: "1"']
    bodies = [gateway.get("/a").body for _ in range(3)]
    assert bodies == [b"GET /a 1"] * 3
    assert told(gateway.get("/a")).startswith("tidegate; fwd=stale; fwd-status=304")
    assert origin.times("/a") == 4


def test_a_client_that_has_it_is_told_so_after_the_origin_was_asked(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/a"] = ["Cache-Control: max-age=0", 'ETag: "1"']
    gateway.get("/a")
    assert gateway.get("/a", if_none_match='"1"').status == 304
    assert gateway.get("/a", if_none_match='"2"').body == b"GET /a 1"


def test_what_may_not_be_kept_is_not(gateway: Tidegate, origin: Origin) -> None:
    for reason, fields in {
        "no_store": ["Cache-Control: no-store"],
        "private": ["Cache-Control: private, max-age=60"],
        "set_cookie": ["Cache-Control: max-age=60", "Set-Cookie: a=b"],
        "vary_star": ["Cache-Control: max-age=60", "Vary: *"],
        "no_freshness": ["X: y"],
    }.items():
        origin.fields[f"/{reason}"] = fields
        first, second = gateway.get(f"/{reason}"), gateway.get(f"/{reason}")
        assert told(first) == f"tidegate; fwd=uri-miss; fwd-status=200; detail={reason}" or reason in told(first)
        assert (first.body, second.body) == (f"GET /{reason} 1".encode(), f"GET /{reason} 2".encode())


def test_credentials_are_kept_apart(gateway: Tidegate, origin: Origin) -> None:
    assert gateway.get("/a", authorization="Basic YTpi").body == b"GET /a 1"
    assert gateway.get("/a").body == b"GET /a 2"
    assert gateway.get("/a").body == b"GET /a 2"


def test_an_unsafe_request_makes_it_invalid(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/post"] = ["Location: /b", "Content-Location: /c"]
    for path in ("/post", "/b", "/c", "/d"):
        origin.fields.setdefault(path, ["Cache-Control: max-age=60"])
        gateway.get(path)
    assert once(gateway.address, "POST", "/post", body=b"x").status == 200
    before = len(origin.asked)
    assert [gateway.get(path).status for path in ("/b", "/c", "/d")] == [200] * 3
    assert origin.asked[before:] == ["/b", "/c"]


def test_variants_are_told_apart(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/a"] = ["Cache-Control: max-age=60", "Vary: Foo, Accept-Encoding"]
    assert gateway.get("/a", foo="1", accept_encoding="gzip, br").body == b"GET /a 1"
    assert gateway.get("/a", foo="2", accept_encoding="gzip, br").body == b"GET /a 2"
    assert gateway.get("/a", foo="1", accept_encoding="br;q=0.9, gzip, foo").body == b"GET /a 1"
    assert gateway.get("/a", foo="1", accept_encoding="br").body == b"GET /a 3"


def test_a_bypass_neither_takes_nor_gives(gateway: Tidegate, origin: Origin) -> None:
    assert gateway.get("/by").body == b"GET /by 1"
    passed = gateway.get("/by", cookie="session=1")
    assert (passed.body, told(passed)) == (b"GET /by 2", "tidegate; fwd=bypass; fwd-status=200; detail=bypass")
    assert gateway.get("/by").body == b"GET /by 1"


def test_what_the_origin_does_not_say_the_route_does(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/ttl"] = origin.fields["/ttl/gone"] = []
    origin.status["/ttl/gone"] = 404
    for path in ("/ttl", "/ttl/gone"):
        assert gateway.get(path).body == gateway.get(path).body
        assert origin.times(path) == 1


def test_what_is_not_in_the_key_does_not_reach_the_origin(gateway: Tidegate, serve: Serve, origin: Origin) -> None:
    assert gateway.get("/key?a=1&utm_source=x", x_original_url="/admin").status == 200
    assert origin.asked == ["/key?a=1"]
    hit = gateway.get("/key?a=1&utm_source=y", x_tidegate_debug="1")
    assert 'key="key http://' in told(hit)
    assert told(hit).startswith("tidegate; hit")


def test_a_stale_answer_is_given_while_a_new_one_is_fetched(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/swr"] = ["Cache-Control: max-age=1"]
    assert gateway.get("/swr").body == b"GET /swr 1"
    seen = [gateway.get("/swr")]

    def turned_stale() -> bool:
        seen.append(gateway.get("/swr"))
        return told(seen[-1]).endswith("detail=stale_while_revalidate")

    until(turned_stale, "a stale answer")
    assert {answer.body for answer in seen} == {b"GET /swr 1"}
    until(lambda: gateway.get("/swr").body == b"GET /swr 2", "the new one")


def test_a_stale_answer_is_given_where_the_origin_fails(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/sie"] = ["Cache-Control: max-age=0", 'ETag: "1"']
    gateway.get("/sie")
    origin.down = True
    stale = gateway.get("/sie")
    assert (stale.status, stale.body) == (200, b"GET /sie 1")
    assert told(stale).endswith("detail=stale_if_error")
    assert gateway.get("/other").status == 502


def test_only_if_cached_asks_nobody(gateway: Tidegate, origin: Origin) -> None:
    refused = gateway.get("/a", cache_control="only-if-cached")
    assert (refused.status, refused.problem, origin.asked) == (504, "only_if_cached", [])


class Slow:
    """Sends a head and a first piece, and the rest when it is told to."""

    def __init__(self, length: int = 20, *fields: str) -> None:
        self.go = threading.Event()
        self.fields = fields or ("Cache-Control: max-age=60",)
        self.length = length

    def __call__(self, request: Request, peer: Peer) -> None:
        head = "\r\n".join(["HTTP/1.1 200 OK", *self.fields, f"Content-Length: {self.length}"])
        peer.send(head.encode() + b"\r\n\r\n" + b"x" * (self.length // 2))
        assert self.go.wait(20)
        peer.send(b"x" * (self.length - self.length // 2))


def cached(start: Start, upstream: Upstream, **rules: Any) -> Tidegate:
    return start({"workers": 2, "routes": [{"name": "all", "cache": rules, "upstream": upstream.url}]})


def test_many_who_ask_at_once_are_one_request_and_none_waits_for_the_end(start: Start, serve: Serve) -> None:
    slow = Slow()
    upstream = serve(slow)
    gateway = cached(start, upstream)
    clients = [gateway.client() for _ in range(100)]
    for client in clients:
        client.send(message("GET", "/a"))
    for client in clients:
        assert client.receive_head()[0] == 200
        assert client.stream.exactly(10) == b"x" * 10
    assert len(upstream.requests) == 1
    slow.go.set()
    for client in clients:
        assert client.stream.exactly(10) == b"x" * 10
    assert len(upstream.requests) == 1
    assert gateway.metrics().one("tidegate_cache_requests_total", route="all", outcome="joined") == 99


def test_a_fetch_goes_on_when_its_client_leaves(start: Start, serve: Serve) -> None:
    slow = Slow()
    upstream = serve(slow)
    gateway = cached(start, upstream)
    first = gateway.client()
    first.send(message("GET", "/a"))
    assert first.receive_head()[0] == 200
    second = gateway.client()
    second.send(message("GET", "/a"))
    assert second.receive_head()[0] == 200
    first.reset()
    slow.go.set()
    assert second.stream.exactly(20) == b"x" * 20
    until(lambda: told(gateway.get("/a")).startswith("tidegate; hit"), "it is kept")
    assert len(upstream.requests) == 1


def test_a_client_that_leaves_before_the_head_ends_nothing(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def late(request: Request, peer: Peer) -> None:
        assert go.wait(20)
        peer.respond(200, b"late", "Cache-Control: max-age=60")

    upstream = serve(late)
    gateway = cached(start, upstream)
    first, second = gateway.client(), gateway.client()
    first.send(message("GET", "/a"))
    upstream.wait(1)
    second.send(message("GET", "/a"))
    first.reset()
    go.set()
    assert second.receive().body == b"late"
    assert len(upstream.requests) == 1


def test_all_who_wait_are_told_of_a_failure_and_the_origin_is_asked_once(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def fails(request: Request, peer: Peer) -> None:
        assert go.wait(20)
        peer.send(b"HTTP/9 nonsense\r\n\r\n")
        peer.close()

    upstream = serve(fails)
    gateway = cached(start, upstream)
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(gateway.get, "/a") for _ in range(20)]
        upstream.wait(1)
        until(lambda: gateway.connections() >= 20, "all are there")
        go.set()
        assert {answer.result().status for answer in answers} == {502}
    assert len(upstream.requests) == 1


def test_what_is_cut_is_cut_for_all_and_not_kept(start: Start, serve: Serve) -> None:
    cut = threading.Event()
    bodies: list[int] = []

    def half(request: Request, peer: Peer) -> None:
        bodies.append(1)
        peer.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 20\r\n\r\n" + b"x" * 10)
        if len(bodies) == 1:
            assert cut.wait(20)
            peer.close()
        else:
            peer.send(b"y" * 10)

    upstream = serve(half)
    gateway = cached(start, upstream)
    clients = [gateway.client() for _ in range(3)]
    for client in clients:
        client.send(message("GET", "/a"))
        assert client.receive_head()[0] == 200
        assert client.stream.exactly(10) == b"x" * 10
    cut.set()
    for client in clients:
        assert client.stream.rest() == b""
    whole = gateway.get("/a")
    assert (whole.body, len(upstream.requests)) == (b"x" * 10 + b"y" * 10, 2)


def test_what_turns_out_to_be_for_one_is_fetched_by_each(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def private(request: Request, peer: Peer) -> None:
        assert go.wait(20)
        peer.respond(200, (request.fields.get("Cookie") or "").encode(), "Cache-Control: private")

    upstream = serve(private)
    gateway = cached(start, upstream)
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(gateway.get, "/a", cookie=f"s={number}") for number in range(10)]
        upstream.wait(1)
        go.set()
        assert [answer.result().body for answer in answers] == [f"s={number}".encode() for number in range(10)]


def test_who_has_waited_long_enough_asks_for_himself(start: Start, serve: Serve) -> None:
    go = threading.Event()

    def first_hangs(request: Request, peer: Peer) -> None:
        if request.fields.get("X-First"):
            assert go.wait(20)
        peer.respond(200, b"here", "Cache-Control: max-age=60")

    upstream = serve(first_hangs)
    gateway = cached(start, upstream, coalesce={"wait": "100ms"})
    first = gateway.client()
    first.send(message("GET", "/a", {"X-First": "1"}))
    upstream.wait(1)
    assert gateway.get("/a").body == b"here"
    go.set()
    assert first.receive().body == b"here"


def test_what_is_larger_than_is_kept_passes_through(start: Start, serve: Serve) -> None:
    def large(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(400):
            peer.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        peer.send(b"0\r\n\r\n")

    upstream = serve(large)
    gateway = cached(start, upstream, max_object="100KiB")
    for count in (1, 2):
        assert len(gateway.get("/a").body) == 4_000_000
        assert len(upstream.requests) == count
    assert gateway.metrics().one("tidegate_cache_entries") <= 1


def test_trailers_make_an_answer_one_that_is_not_kept(start: Start, serve: Serve) -> None:
    def trailing(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")

    upstream = serve(trailing)
    gateway = cached(start, upstream)
    assert [gateway.get("/a").body for _ in range(2)] == [b"abc"] * 2
    assert len(upstream.requests) == 2


def test_parts_grow_into_the_whole(start: Start, serve: Serve) -> None:
    whole = b"0123456789"

    def ranges(request: Request, peer: Peer) -> None:
        asked = request.fields.get("Range")
        assert asked is not None
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = int(last) + 1 if last else len(whole)
        part = whole[int(first) : end]
        fields = ["Cache-Control: max-age=60", 'ETag: "1"', f"Content-Range: bytes {first}-{end - 1}/{len(whole)}"]
        peer.respond(206, part, *fields)

    upstream = serve(ranges)
    gateway = cached(start, upstream)
    assert gateway.get("/a", range="bytes=0-4").body == b"01234"
    assert gateway.get("/a", range="bytes=1-3").body == b"123"
    assert gateway.get("/a", range="bytes=5-9").body == b"56789"
    assert len(upstream.requests) == 2
    whole_one = gateway.get("/a")
    assert (whole_one.status, whole_one.body, len(upstream.requests)) == (200, whole, 2)


def test_purges_by_the_verbs_of_the_command(gateway: Tidegate, origin: Origin) -> None:
    origin.fields["/a"] = origin.fields["/b"] = ["Cache-Control: max-age=60", "Cache-Tag: news, x"]
    url = "http://a.example"

    def kept() -> list[str]:
        for path in ("/a", "/b", "/c"):
            gateway.get(path)
        before = len(origin.asked)
        return origin.asked[before:]

    def purge(*arguments: str) -> list[str]:
        kept()
        done = command(gateway.folder, "cache", "purge", "-c", str(gateway.file), *arguments)
        assert done.returncode == 0, done.stderr
        before = len(origin.asked)
        for path in ("/a", "/b", "/c"):
            gateway.get(path)
        return origin.asked[before:]

    assert purge(f"{url}/a") == ["/a"]
    assert purge("--tag", "news") == ["/a", "/b"]
    assert purge("--prefix", "http://a.example/c") == ["/c"]
    assert purge("--host", "a.example") == ["/a", "/b", "/c"]
    assert purge("--all") == ["/a", "/b", "/c"]
    shown = command(gateway.folder, "cache", "get", "-c", str(gateway.file), f"{url}/a")
    assert '"status": 200' in shown.stdout, shown.stderr
    stats = command(gateway.folder, "cache", "stats", "-c", str(gateway.file))
    assert "entries" in stats.stdout, stats.stderr
    key = command(gateway.folder, "cache", "key", "-c", str(gateway.file), f"{url}/a")
    assert key.stdout.endswith("all\nhttp://a.example/a\n"), key.stderr


def test_a_reload_keeps_what_is_kept(gateway: Tidegate, origin: Origin) -> None:
    gateway.get("/a")
    assert origin.times("/a") == 1
    gateway.control("/reload", "POST")
    assert gateway.get("/a").body == b"GET /a 1"
