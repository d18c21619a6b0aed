"""Whatever a client writes and a configuration does with it: no header is split, none forged, none read twice."""

from __future__ import annotations

import pytest
from tests.conftest import Serve, Start
from tests.support.client import Client, message
from tests.support.http import Request, read_request_head
from tests.support.upstream import Peer
from tests.support.waiting import until

EVIL = "%0d%0aX-Evil:%201%0d%0a%0d%0aHTTP/1.1%20200%20OK%00"
"""Two line ends, a header, a response and a NUL, for whoever decodes them."""


def head_of(address: str, request: bytes) -> bytes:
    """Everything that comes back up to the end of the head, as bytes."""
    with Client(address) as client:
        client.send(request)
        client.no_more()
        return client.stream.rest().partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    "template",
    [
        "https://x${path}",
        "https://x/?q=${query:q}",
        "https://x/${1}",
        "https://x${request_uri}",
        "https://x/${cookie:c}",
    ],
)
@pytest.mark.parametrize("target", [f"/a{EVIL}?q=b{EVIL}", f"/{EVIL}", f"/?q={EVIL}", f"//{EVIL}"])
def test_a_redirect_is_one_line_whatever_the_target_holds(run: Start, template: str, target: str) -> None:
    gateway = run({"routes": [{"match": {"regex": "^/(.*)$"}, "redirect": template}]})
    head = head_of(gateway.address, message("GET", target, {"Cookie": f"c=a{EVIL}"}))
    assert b"\nHTTP/1." not in head, head
    assert b"\0" not in head
    lines = head.split(b"\r\n")
    assert not [line for line in lines if line.lower().startswith(b"x-evil") or b"\r" in line or b"\n" in line], head
    if lines[0].startswith(b"HTTP/1.1 30"):
        assert sum(line.startswith(b"Location: https://x") for line in lines) == 1


def test_headers_that_are_made_from_a_request_are_one_line_each(run: Start, serve: Serve) -> None:
    def say(request: Request, peer: Peer) -> None:
        peer.respond(200, b"ok", "X-Up: 1")

    upstream = serve(say)
    value = "${query:q}|${path}|${header:x-in}|${cookie:c}|${host}"
    edits = {"request": {"set": {"X-Made": value}}, "response": {"set": {"X-Made": value}, "add": {"X-More": value}}}
    gateway = run({"routes": [{"headers": edits, "upstream": upstream.url}]})
    request = message("GET", f"/{EVIL.replace('%00', '')}?q={EVIL}", {"X-In": "a\tb", "Cookie": f"c={EVIL}"})
    head = head_of(gateway.address, request)
    assert head.startswith(b"HTTP/1.1 200 "), head
    assert head.lower().count(b"\r\nx-evil") == 0
    assert head.count(b"\r\nX-Made: ") == 1
    assert b"\0" not in head
    seen = upstream.wait(1)[0]
    made = seen.fields.get("X-Made") or ""
    assert "X-Evil: 1" in made, "it is there, as text"
    assert not set(made) & set("\r\n\0")
    assert seen.fields.get("X-Evil") is None


@pytest.mark.parametrize("line_end", [b"\r", b"\n", b"\0", b"\r\n\r\n"])
def test_a_split_response_of_an_upstream_does_not_pass(run: Start, serve: Serve, line_end: bytes) -> None:
    """What is within a value is refused; what ends the head early is the body, counted by its length."""

    def split(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nX-A: b" + line_end + b"X-Evil: 1\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    gateway = run({"routes": [{"upstream": serve(split).url, "retry": "off"}]})
    head = head_of(gateway.address, message("GET"))
    assert b"\r\nX-Evil" not in head, head
    assert head.startswith(b"HTTP/1.1 502 ") or line_end == b"\r\n\r\n"


FORGED = [
    ("X_Forwarded_For", "192.0.2.1"),
    ("x-forwarded_for", "192.0.2.1"),
    ("X_Request_Id", "forged"),
    ("X_Team", "forged"),
    ("Content_Length", "5"),
    ("Transfer_Encoding", "chunked"),
    ("X_Kept", "1"),
]


def test_what_tidegate_says_is_not_forged_by_underscores(run: Start, serve: Serve) -> None:
    """To CGI, WSGI and their like `X_Team` and `X-Team` are one name (RFC 3875 section 4.1.18)."""
    upstream = serve()
    gateway = run({"routes": [{"headers": {"request": {"set": {"X-Team": "core"}}}, "upstream": upstream.url}]})
    with gateway.client() as client:
        assert client.request("POST", "/", FORGED, b"hello").status == 200
    seen = upstream.wait(1)[0]
    as_cgi: dict[str, list[str]] = {}
    for name, value in seen.fields:
        as_cgi.setdefault(name.upper().replace("-", "_"), []).append(value)
    assert as_cgi["X_TEAM"] == ["core"]
    assert as_cgi["X_FORWARDED_FOR"] == ["127.0.0.1"]
    assert as_cgi["CONTENT_LENGTH"] == ["5"]
    assert "TRANSFER_ENCODING" not in as_cgi
    assert len(as_cgi["X_REQUEST_ID"]) == 1
    assert as_cgi["X_REQUEST_ID"] != ["forged"]
    assert as_cgi["X_KEPT"] == ["1"], "what is nobody else's name passes"


SECRET_HOST = [
    "secret.example",
    "SECRET.Example",
    "secret.example.",
    "secret.example:80",
    "secret.example:8443",
    "secret.example.:80",
    "secret.example:",
]


@pytest.mark.parametrize("host", SECRET_HOST)
def test_a_host_is_one_host_however_it_is_written(run: Start, serve: Serve, host: str) -> None:
    upstream = serve()
    secret = {"match": {"host": "secret.example"}, "respond": {"status": 403}}
    gateway = run({"routes": [secret, {"upstream": upstream.url}]})
    with gateway.client() as client:
        assert client.request("GET", "/", {"Host": host}).status == 403
    with gateway.client() as client:
        assert client.request("GET", f"http://{host}/", {"Host": "open.example"}).status == 403
    with gateway.client() as client:
        assert client.request("GET", "http://open.example/", {"Host": host}).status == 200
    seen = upstream.wait(1)[0]
    assert seen.fields.get("Host") == "open.example", "who was matched is who is named"
    assert seen.target == "/"


@pytest.mark.parametrize(
    "hosts", [["open.example", "secret.example"], ["open.example", "open.example"], ["secret.example, open.example"]]
)
def test_two_hosts_reach_nobody(run: Start, serve: Serve, hosts: list[str]) -> None:
    upstream = serve()
    gateway = run({"routes": [{"upstream": upstream.url}]})
    with gateway.client() as client:
        assert client.request("GET", "/", [("Host", host) for host in hosts]).status == 400
        assert client.is_closed()
    assert not upstream.requests


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize("status", [200, 400, 413])
def test_an_early_answer_leaves_no_connection_on_which_a_body_could_be_a_request(
    run: Start, serve: Serve, expect: str, status: int
) -> None:
    """0.CL: an upstream that answers before it has read the body may take the body for a request."""

    def early(peer: Peer) -> None:
        while True:
            read_request_head(peer.stream)
            peer.respond(status)

    upstream = serve(serve=early)
    gateway = run({"routes": [{"upstream": upstream.url, "retry": "off"}]})
    with gateway.client() as client:
        length = len(SMUGGLED) + 10
        client.send(f"POST / HTTP/1.1\r\nHost: a.example\r\n{expect}Content-Length: {length}\r\n\r\n".encode())
        assert client.receive("POST").status == status
        client.send_what_is_taken(SMUGGLED + b"0123456789")
        assert client.is_closed(), "the rest of the body is nobody's request"
    before = upstream.accepted
    assert gateway.get("/victim").status == status
    assert upstream.accepted == before + 1, "the connection that was answered early is not used again"


def test_a_connection_that_was_answered_early_is_not_used_again_though_all_of_the_body_went_out(
    run: Start, serve: Serve
) -> None:
    def early(peer: Peer) -> None:
        while True:
            method, *_ = read_request_head(peer.stream)
            if method == "GET":
                peer.respond()
                continue
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            peer.stream.exactly(len(SMUGGLED))
            peer.send(b"k")

    upstream = serve(serve=early)
    gateway = run({"routes": [{"upstream": upstream.url, "retry": "off"}]})
    with gateway.client() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n".encode())
        assert client.stream.begun()
        client.send(SMUGGLED)
        assert client.receive("POST").body == b"ok"
    assert gateway.get().status == 200
    assert upstream.accepted == 2


def test_a_body_that_no_one_reads_is_not_the_next_request(run: Start) -> None:
    """The same at our own answers: what was announced as a body is passed over or the connection ends."""
    gateway = run({"routes": [{"match": {"exact": "/smuggled"}, "respond": 404}, {"respond": 200}]})
    with gateway.client() as client:
        client.send(message("POST", "/", (), SMUGGLED) + message("GET", "/"))
        assert [client.receive("POST").status, client.receive().status] == [200, 200]
    with gateway.client() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n".encode())
        assert client.receive("POST").fields.get("Connection") == "close"
        client.send_what_is_taken(SMUGGLED)
        assert client.is_closed()
    until(lambda: gateway.connections() <= 1, "the connections to be gone")
