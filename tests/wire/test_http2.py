"""HTTP/2 on both sides: curl, nghttp and httpx before a gateway, gateways before gateways, bodies of every kind."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import Serve, Start
from tests.support.gateway import Tidegate, program
from tests.support.http import Request
from tests.support.upstream import Peer, Upstream, echo

LARGE = 8 * 1024 * 1024


def curl(*arguments: str, prior: bool = True) -> bytes:
    mode = ("--http2-prior-knowledge",) if prior else ()
    command = [program("curl"), "-sS", "--max-time", "30", *mode, *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def records(gateway: Tidegate) -> list[dict[str, object]]:
    return [json.loads(line) for line in gateway.log_file.read_text().splitlines()]


def before(upstream: Upstream, **more: object) -> dict[str, object]:
    return {"routes": [{"upstream": "up"}], "upstreams": {"up": {"endpoints": [upstream.url], **more}}}


def test_a_request_by_prior_knowledge_takes_the_same_journey(start: Start, serve: Serve) -> None:
    upstream = serve()
    gateway = start(before(upstream))
    head = curl("-i", "-H", "X-Odd: a  b", f"http://{gateway.address}/path?q=1").decode()
    assert head.startswith("HTTP/2 200")
    assert "connection:" not in head.lower()
    assert "transfer-encoding:" not in head.lower()
    assert head.endswith("ok")
    request = upstream.wait(1)[0]
    assert (request.method, request.target) == ("GET", "/path?q=1")
    assert request.fields.get("host") == gateway.address
    assert request.fields.get("x-odd") == "a  b"
    assert request.fields.get("x-forwarded-proto") == "http"


def test_the_log_says_which_version_was_spoken(start: Start, serve: Serve) -> None:
    gateway = start({**before(serve()), "access_log": {"format": "combined", "path": "access.log", "flush": "10ms"}})
    curl(f"http://{gateway.address}/x")
    gateway.stop()
    assert '"GET /x HTTP/2.0" 200' in gateway.log_file.read_text()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, LARGE])
def test_bodies_of_any_size_come_back_as_they_went(start: Start, serve: Serve, tmp_path: Path, size: int) -> None:
    gateway = start(before(serve(echo)))
    content = os.urandom(size)
    (tmp_path / "body").write_bytes(content)
    given = f"@{tmp_path / 'body'}"
    back = curl("--data-binary", given, f"http://{gateway.address}/")
    assert hashlib.sha256(back).digest() == hashlib.sha256(content).digest()
    # Without a length, in chunks to the upstream.
    back = curl("-T", "-", "-X", "POST", "-H", "Expect:", f"http://{gateway.address}/") if size == 0 else back
    assert len(back) == size


def test_many_streams_share_one_connection_and_none_is_lost(start: Start, serve: Serve) -> None:
    gateway = start({**before(serve()), "workers": 1})
    command = ["h2load", "-n", "2000", "-c", "4", "-m", "50", f"http://{gateway.address}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    assert "2000 2xx" in done.stdout


def test_answers_of_the_gateways_own_come_by_http2(start: Start) -> None:
    gateway = start({"routes": [{"match": {"path": "/a"}, "respond": {"status": 200, "body": "here"}}]})
    assert curl(f"http://{gateway.address}/a") == b"here"
    told = curl("-i", f"http://{gateway.address}/none").decode()
    assert told.startswith("HTTP/2 404")
    assert '"reason":"no_route"' in told
    assert curl("-I", f"http://{gateway.address}/a").startswith(b"HTTP/2 200")


def test_http2_is_refused_where_it_is_switched_off(start: Start) -> None:
    gateway = start({"listeners": [{"address": "127.0.0.1:0", "http2": False}], "routes": []})
    command = [program("curl"), "-sS", "--max-time", "5", "--http2-prior-knowledge", f"http://{gateway.address}/"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_an_upstream_is_spoken_to_by_http2_and_its_connection_is_shared(start: Start, serve: Serve) -> None:
    upstream = serve(echo)
    back = start(before(upstream))
    front = start({"routes": [{"upstream": "up"}], "upstreams": {"up": {
        "endpoints": [f"http://{back.address}"], "protocol": "http2"}}})  # fmt: skip

    def opened() -> float:
        return back.metrics().sum("tidegate_connections_opened_total")

    first = opened()

    def ask(number: int) -> bytes:
        return curl("--data-binary", f"body {number}", f"http://{front.address}/", prior=number % 2 == 0)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(24))) == [f"body {number}".encode() for number in range(24)]
    assert opened() - first == 2, "one that all share, and the one that looks at metrics"


def test_trailers_pass_through_every_pair_of_versions(start: Start, serve: Serve) -> None:
    def answer(request: Request, peer: Peer) -> None:
        peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
        )

    back = start(before(serve(answer)))
    front = start({"routes": [{"upstream": "up"}], "upstreams": {"up": {
        "endpoints": [f"http://{back.address}"], "protocol": "http2"}}})  # fmt: skip
    for gateway in (back, front):
        told = subprocess.run(
            ["nghttp", "-v", f"http://{gateway.address}/"], capture_output=True, text=True, check=True
        )
        assert "x-sum: 7" in told.stdout, told.stdout
        with_chunks = subprocess.run(
            [program("curl"), "-sS", "--raw", f"http://{gateway.address}/"], capture_output=True, text=True, check=True
        )
        assert "x-sum: 7" in with_chunks.stdout.lower()


def test_a_connection_that_is_drained_finishes_its_streams(start: Start, serve: Serve) -> None:
    held: list[Peer] = []

    def hold(request: Request, peer: Peer) -> None:
        held.append(peer)

    upstream = serve(hold)
    gateway = start(before(upstream))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(curl, f"http://{gateway.address}/slow")
        upstream.wait(1)
        gateway.reload({**before(upstream), "server": {"keep_alive": "1s"}})
        held[0].respond(200, b"whole")
        assert answer.result() == b"whole"
