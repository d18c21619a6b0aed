"""What a client of HTTP/2 could hide in a head so that it is another message in HTTP/1.1 reaches no upstream."""

from __future__ import annotations

import pytest
from tests.conftest import Serve, Start
from tests.support import http2 as h2
from tests.support.gateway import Tidegate
from tests.support.waiting import until

SMUGGLED = b"x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: b.example\r\n\r\n"


def pseudo(**changed: bytes | None) -> list[tuple[bytes, bytes]]:
    """A request's pseudo-header fields but for those that are changed; `None` leaves one out."""
    whole: dict[str, bytes | None] = {"method": b"GET", "scheme": b"http", "path": b"/", "authority": b"a.example"}
    return [(b":" + name.encode(), value) for name, value in {**whole, **changed}.items() if value is not None]


def with_field(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return [*pseudo(), (name, value)]


HEADS = {
    "CR LF in a value": (with_field(b"x-a", SMUGGLED), "invalid_value"),
    "LF in a value": (with_field(b"x-a", b"b\nx-c: d"), "invalid_value"),
    "CR in a value": (with_field(b"x-a", b"b\rc"), "invalid_value"),
    "NUL in a value": (with_field(b"x-a", b"b\0c"), "invalid_value"),
    "a space before a value": (with_field(b"x-a", b" b"), "invalid_value"),
    "CR LF in a name": (with_field(b"x-a: b\r\nx-c", b"d"), "invalid_name"),
    "a colon in a name": (with_field(b"transfer-encoding: chunked\r\nx", b"y"), "invalid_name"),
    "a space in a name": (with_field(b"content-length ", b"5"), "invalid_name"),
    "an empty name": (with_field(b"", b"b"), "invalid_name"),
    "capitals in a name": (with_field(b"X-A", b"b"), "uppercase_name"),
    "transfer-encoding": (with_field(b"transfer-encoding", b"chunked"), "connection_field"),
    "connection": (with_field(b"connection", b"close"), "connection_field"),
    "keep-alive": (with_field(b"keep-alive", b"1"), "connection_field"),
    "proxy-connection": (with_field(b"proxy-connection", b"close"), "connection_field"),
    "upgrade": (with_field(b"upgrade", b"h2c"), "connection_field"),
    "te": (with_field(b"te", b"gzip"), "invalid_te"),
    "a path with a space": (pseudo(path=b"/ HTTP/1.1"), "invalid_path"),
    "a path with CR LF": (pseudo(path=b"/ HTTP/1.1\r\nHost: " + SMUGGLED), "invalid_value"),
    "a path that is another URL": (pseudo(path=b"http://b.example/"), "invalid_path"),
    "an empty path": (pseudo(path=b""), "invalid_path"),
    "a method with a space": (pseudo(method=b"GET /smuggled HTTP/1.1\r\nX:"), "invalid_value"),
    "a method that is no token": (pseudo(method=b"GET /smuggled"), "invalid_method"),
    "an authority with CR LF": (pseudo(authority=SMUGGLED), "invalid_value"),
    "an authority with a space": (pseudo(authority=b"a.example b.example"), "invalid_authority"),
    "a scheme that is none": (pseudo(scheme=b"http://b.example/?"), "invalid_scheme"),
    "another host": (with_field(b"host", b"b.example"), "host_mismatch"),
    "a pseudo-header field twice": ([*pseudo(), (b":path", b"/b")], "repeated_pseudo"),
    "a pseudo-header field behind a field": ([*with_field(b"x-a", b"b"), (b":protocol", b"x")], "pseudo_after_field"),
    "a field before all pseudo-header fields": ([(b"x-a", b"b"), *pseudo()], "missing_pseudo"),
    "a pseudo-header field of answers": ([*pseudo(), (b":status", b"200")], "unknown_pseudo"),
    "a pseudo-header field that nobody knows": ([*pseudo(), (b":smuggled", b"1")], "unknown_pseudo"),
    "no path": (pseudo(path=None), "missing_pseudo"),
    "no method": (pseudo(method=None), "missing_pseudo"),
    "a length with a sign": (with_field(b"content-length", b"+5"), "invalid_length"),
    "a length that is two": ([*with_field(b"content-length", b"5"), (b"content-length", b"6")], "invalid_length"),
    "a length where the head is all": (with_field(b"content-length", b"5"), "length_mismatch"),
}


@pytest.mark.parametrize("what", HEADS)
def test_what_would_be_another_message_in_http1_reaches_nobody(run: Start, serve: Serve, what: str) -> None:
    head, reason = HEADS[what]
    upstream = serve()
    gateway = run({"routes": [{"upstream": "up"}], "upstreams": {"up": {"endpoints": [upstream.url]}}})
    before = refusals(gateway)
    with h2.Crafted(gateway.address) as client:
        client.send(h2.headers(1, head) + h2.headers(3, h2.fields(path=b"/after")))
        client.until(lambda: 3 in client.whole(), "the stream after it to be served")
        assert client.resets() == {1: h2.PROTOCOL_ERROR}
        assert 1 not in client.answered()
    assert [request.target for request in upstream.requests] == ["/after"]
    until(lambda: refusals(gateway) == {**before, reason: before.get(reason, 0) + 1}, f"{reason} to be counted")


def refusals(gateway: Tidegate) -> dict[str, float]:
    """By reason; what was never counted is left out."""
    found = gateway.metrics().some("tidegate_refusals_total")
    return {dict(labels)["reason"]: count for labels, count in found.items() if count}


@pytest.mark.parametrize(("said", "sent"), [(b"3", b"abcde"), (b"8", b"abcde"), (b"0", b"GET /smuggled")])
def test_bodies_that_are_not_as_long_as_they_say_are_never_whole_upstream(
    run: Start, serve: Serve, said: bytes, sent: bytes
) -> None:
    upstream = serve()
    gateway = run({"routes": [{"upstream": "up"}], "upstreams": {"up": {"endpoints": [upstream.url]}}})
    with h2.Crafted(gateway.address) as client:
        head = h2.fields(b"POST", more=[(b"content-length", said)])
        client.send(h2.headers(1, head, ends=False) + h2.frame(h2.DATA, h2.END_STREAM, 1, sent))
        client.until(lambda: client.resets().get(1) == h2.PROTOCOL_ERROR, "it to be reset")
        client.send(h2.headers(3, h2.fields(path=b"/after")))
        client.until(lambda: 3 in client.whole(), "the stream after it to be served")
    assert [request.target for request in upstream.requests if request.target != "/after"] in ([], ["/"])
    assert all(len(request.body) <= int(said) for request in upstream.requests)
