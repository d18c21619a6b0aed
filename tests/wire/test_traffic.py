"""Real traffic shapes against real servers: curl, httpx and a browser's way of asking, before nginx and http.server."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import itertools
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.support.client import Client, message
from tests.support.gateway import Tidegate, program
from tests.support.http import Response
from tests.support.nginx import Nginx

LARGE = 20 * 1024 * 1024


class Site:
    """A gateway of two workers before nginx, and before Python's own server under /py."""

    def __init__(self, gateway: Tidegate, nginx: Nginx) -> None:
        self.gateway = gateway
        self.folder = nginx.site
        self.url = f"http://{gateway.address}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class calls it so
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("traffic")
    nginx = Nginx(folder)
    (nginx.site / "index.html").write_text("<link rel=stylesheet href=a.css>")
    for number in range(12):
        (nginx.site / f"{number}.css").write_text(f"p {{ order: {number} }}" * 50)
    (nginx.site / "new.txt").write_text("moved here")
    (nginx.site / "gz").mkdir()
    (nginx.site / "gz" / "text.txt").write_text("again and again. " * 1000)
    (nginx.site / "large.bin").write_bytes(os.urandom(LARGE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=nginx.site))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    routes = [
        {"match": {"path": "/py"}, "rewrite": {"prefix": "/"}, "upstream": f"http://127.0.0.1:{server.server_port}"},
        {"upstream": nginx.url},
    ]
    gateway = Tidegate(folder, {"routes": routes, "workers": 2})
    try:
        yield Site(gateway.ready(), nginx)
    finally:
        gateway.stop()
        server.shutdown()
        server.server_close()
        nginx.stop()


def curl(*arguments: str) -> bytes:
    done = subprocess.run([program("curl"), "-sS", "--max-time", "30", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("server", ["", "/py"], ids=["nginx", "http.server"])
def test_curl_fetches_a_page_with_its_head_and_a_range(site: Site, server: str) -> None:
    assert curl(f"{site.url}{server}/new.txt") == b"moved here"
    head = curl("-I", f"{site.url}{server}/new.txt").decode().lower()
    assert head.startswith("http/1.1 200 ")
    assert "content-length: 10" in head
    assert curl("--http1.0", f"{site.url}{server}/new.txt") == b"moved here"


@pytest.mark.parametrize("server", ["", "/py"], ids=["nginx", "http.server"])
def test_a_large_download_comes_whole_over_both_servers(site: Site, server: str) -> None:
    assert digest(curl(f"{site.url}{server}/large.bin")) == digest((site.folder / "large.bin").read_bytes())


def test_curl_gets_the_range_that_it_asks_for(site: Site) -> None:
    assert curl("-r", "6-9", f"{site.url}/new.txt") == b"here"


def test_curl_follows_a_redirect_of_the_upstream(site: Site) -> None:
    assert curl("-L", f"{site.url}/old") == b"moved here"


@pytest.mark.parametrize("framing", [[], ["-H", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
def test_a_large_upload_arrives_whole_however_it_is_framed(
    site: Site, tmp_path: Path, framing: list[str], expect: str
) -> None:
    content = os.urandom(LARGE)
    source = tmp_path / "up"
    source.write_bytes(content)
    name = f"/put/{digest(content)}"
    curl("-T", str(source), "-H", expect, *framing, f"{site.url}{name}")
    stored = site.folder / name.lstrip("/")
    assert digest(stored.read_bytes()) == digest(content)
    stored.unlink()


def test_httpx_keeps_its_connection_over_many_requests(site: Site) -> None:
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        for number in range(12):
            answer = client.get(f"/{number}.css")
            assert answer.status_code == 200
            assert answer.text.startswith(f"p {{ order: {number} }}")


def test_compressed_bodies_pass_as_they_are(site: Site) -> None:
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        answer = client.get("/gz/text.txt", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.text == "again and again. " * 1000
    with site.gateway.client() as raw:
        answer_bytes = raw.request("GET", "/gz/text.txt", {"Accept-Encoding": "gzip"}).body
        assert gzip.decompress(answer_bytes).decode() == "again and again. " * 1000


def test_cookies_come_and_go_line_by_line(site: Site) -> None:
    with httpx.Client(base_url=site.url, trust_env=False) as client:
        first = client.get("/cookie")
        assert first.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
        assert client.get("/cookie").text == "a=1; b=2"


class Browser:
    """Six connections kept alive, a cache that asks again with validators, every kind of resource at once."""

    def __init__(self, address: str) -> None:
        self._idle = [Client(address) for _ in range(6)]
        self._lock = threading.Lock()
        self._etags: dict[str, str] = {}
        self.asked = itertools.count(1)

    def get(self, target: str) -> Response:
        with self._lock:
            client = self._idle.pop()
        try:
            fields = [
                ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                ("Accept-Language", "en-US,en;q=0.5"),
                ("Accept-Encoding", "gzip, deflate, br, zstd"),
                ("Connection", "keep-alive"),
                ("Cookie", "session=0123456789abcdef; theme=dark"),
                ("Sec-Fetch-Dest", "style"),
            ]
            if etag := self._etags.get(target):
                fields.append(("If-None-Match", etag))
            answer = client.request("GET", target, fields)
            if known := answer.fields.get("ETag"):
                self._etags[target] = known
            return answer
        finally:
            with self._lock:
                self._idle.append(client)

    def close(self) -> None:
        for client in self._idle:
            client.close()


def test_a_browser_loads_a_page_twice_and_the_second_time_from_its_cache(site: Site) -> None:
    browser = Browser(site.gateway.address)
    targets = ["/index.html", *(f"/{number}.css" for number in range(12))]
    try:
        with ThreadPoolExecutor(6) as threads:
            assert [answer.status for answer in threads.map(browser.get, targets)] == [200] * 13
            again = list(threads.map(browser.get, targets))
        assert [answer.status for answer in again] == [304] * 13
        assert all(answer.body == b"" for answer in again)
    finally:
        browser.close()


def test_a_head_and_the_get_behind_it_share_a_connection(site: Site) -> None:
    with site.gateway.client() as client:
        head = client.request("HEAD", "/new.txt")
        assert (head.status, head.fields.get("Content-Length"), head.body) == (200, "10", b"")
        assert client.request("GET", "/new.txt").body == b"moved here"
        missing = client.request("HEAD", "/nothing")
        assert missing.status == 404
        assert client.request("GET", "/new.txt").body == b"moved here"


def test_an_http_1_0_client_gets_its_page_and_the_end_of_the_connection(site: Site) -> None:
    with site.gateway.client() as client:
        client.send(b"GET /new.txt HTTP/1.0\r\n\r\n")
        answer = client.receive()
        assert (answer.status, answer.body) == (200, b"moved here")
        assert client.is_closed()


def test_an_http_1_0_client_may_keep_its_connection(site: Site) -> None:
    with site.gateway.client() as client:
        for _ in range(3):
            client.send(b"GET /new.txt HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n")
            answer = client.receive()
            assert (answer.body, answer.fields.get("Connection")) == (b"moved here", "keep-alive")


def test_an_http_1_0_client_gets_a_compressed_stream_without_chunks(site: Site) -> None:
    with site.gateway.client() as client:
        client.send(b"GET /gz/text.txt HTTP/1.0\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n")
        answer = client.receive()
        assert "Transfer-Encoding" not in answer.fields
        assert b"again" in (gzip.decompress(answer.body) if answer.fields.get("Content-Encoding") else answer.body)


def test_the_upstream_hears_who_asked_and_for_which_host(site: Site) -> None:
    with site.gateway.client() as client:
        seen = client.request("GET", "/seen?a=1%20b", {"Host": "shop.example:8080"}).body
    assert seen == b"GET /seen?a=1%20b shop.example:8080 127.0.0.1"


def test_a_hundred_clients_at_once_all_get_their_own_answer(site: Site) -> None:
    clients = [site.gateway.client() for _ in range(100)]
    for number, client in enumerate(clients):
        client.send(message("GET", f"/seen?{number}"))
    for number, client in enumerate(clients):
        assert client.receive().body.startswith(b"GET /seen?%d " % number)
        client.close()
