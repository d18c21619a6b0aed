"""TLS to upstreams: whom the gateway trusts, what it shows, and that bytes and connections fare as without."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.conftest import Serve, Start
from tests.support.client import message
from tests.support.gateway import Tidegate
from tests.support.http import Cut, Request
from tests.support.upstream import Peer, Upstream, echo
from tests.support.waiting import until

Secured = Callable[..., Upstream]


class Authority:
    """An authority of the test's own, and a folder for what it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.made.cert_pem.write_to_path(self.file)

    def context(self, *names: str, expired: bool = False, ask: bool = False) -> ssl.SSLContext:
        """What a server of these names needs; one that asks takes only clients that this authority knows."""
        past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        self.made.issue_cert(*names, not_after=past if expired else None).configure_cert(context)
        if ask:
            context.verify_mode = ssl.CERT_REQUIRED
            self.made.configure_trust(context)
        return context

    def client(self) -> dict[str, str]:
        """Files of a client's certificate and key."""
        signed = self.made.issue_cert("gateway.test")
        chain, key = self.folder / "client.pem", self.folder / "client.key"
        signed.private_key_pem.write_to_path(str(key))
        for at, part in enumerate(signed.cert_chain_pems):
            part.write_to_path(str(chain), append=at > 0)
        return {"cert": str(chain), "key": str(key)}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def through(upstream: Upstream, **tls: Any) -> dict[str, Any]:
    """A configuration with one upstream."""
    entry = {"endpoints": upstream.url, "tls": tls} if tls else {"endpoints": upstream.url}
    return {"upstreams": {"api": entry}, "routes": [{"upstream": "api", "retry": {"attempts": 1}}]}


def refusal(gateway: Tidegate) -> str:
    """The reason of a gateway's first answer, a 502, as it is told and as it is logged."""
    reason = refused(gateway)
    assert gateway.records(1)[0]["reason"] == reason
    return reason


def refused(gateway: Tidegate) -> str:
    """The reason of a 502."""
    answer = gateway.get()
    assert answer.status == 502
    return answer.problem


def left_out(gateway: Tidegate) -> set[str]:
    """Endpoints that no worker chooses."""
    seen = gateway.metrics().some("tidegate_upstream_endpoint_up")
    return {dict(labels)["endpoint"] for labels, up in seen.items() if up == 0}


def test_a_request_goes_through_to_an_upstream_whose_authority_is_trusted(
    start: Start, serve: Serve, authority: Authority
) -> None:
    upstream = serve(echo, tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    with gateway.client() as client:
        answer = client.request("POST", "/", body=b"hello")
    assert (answer.status, answer.body) == (200, b"hello")


def test_the_name_is_told_and_the_application_protocol_agreed(start: Start, serve: Serve, authority: Authority) -> None:
    seen: list[tuple[str | None, str | None]] = []
    names: list[str | None] = []
    context = authority.context("api.test")
    context.sni_callback = lambda sock, name, context: names.append(name)

    def answer(request: Request, peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        seen.append((peer.sock.version(), peer.sock.selected_alpn_protocol()))
        peer.respond()

    upstream = serve(answer, tls=context)
    gateway = start(through(upstream, ca=authority.file, server_name="api.test"))
    assert gateway.get().status == 200
    assert seen == [("TLSv1.3", "http/1.1")]
    assert names == ["api.test"]


def test_an_upstream_that_knows_no_newer_version_is_spoken_to_by_tls_1_2(
    start: Start, serve: Serve, authority: Authority
) -> None:
    context = authority.context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    upstream = serve(tls=context)
    gateway = start(through(upstream, ca=authority.file))
    assert gateway.get().status == 200


def test_a_certificate_of_an_authority_that_is_not_trusted_is_refused(
    start: Start, serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    upstream = serve(tls=Authority(tmp_path / "other").context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    assert refusal(gateway) == "tls_certificate_refused"
    gateway.said.wait(rf"upstream api: no connection to {upstream.address}: TLS: the certificate's issuer is unknown")
    assert upstream.requests == []


def test_a_certificate_of_another_name_is_refused(start: Start, serve: Serve, authority: Authority) -> None:
    upstream = serve(tls=authority.context("other.test"))
    gateway = start(through(upstream, ca=authority.file, server_name="api.test"))
    assert refusal(gateway) == "tls_certificate_refused"
    gateway.said.wait(r"TLS: the certificate bears another name .*other\.test")


def test_a_certificate_that_has_expired_is_refused(start: Start, serve: Serve, authority: Authority) -> None:
    upstream = serve(tls=authority.context("127.0.0.1", expired=True))
    gateway = start(through(upstream, ca=authority.file))
    assert refusal(gateway) == "tls_certificate_refused"
    gateway.said.wait(r"TLS: the certificate has expired")


def test_without_verification_every_certificate_is_taken_and_that_is_said(
    start: Start, serve: Serve, authority: Authority
) -> None:
    upstream = serve(tls=authority.context("other.test", expired=True))
    gateway = start(through(upstream, verify=False))
    assert gateway.get().status == 200
    gateway.said.wait(r"warn upstream api: tls.verify is off")


def test_an_upstream_that_does_not_speak_tls_is_told_apart(start: Start, serve: Serve, authority: Authority) -> None:
    def plain(peer: Peer) -> None:
        peer.sock.recv(4096)
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    upstream = serve(serve=plain)
    config = through(upstream, ca=authority.file)
    config["upstreams"]["api"]["endpoints"] = upstream.url.replace("http:", "https:")
    gateway = start(config)
    assert refusal(gateway) == "tls_handshake_failed"
    gateway.said.wait(r"TLS: what came is not TLS")


def test_a_handshake_that_does_not_end_counts_as_no_connection_in_time(
    start: Start, serve: Serve, authority: Authority
) -> None:
    upstream = serve(serve=lambda peer: peer.stream.rest())
    config = through(upstream, ca=authority.file)
    config["upstreams"]["api"]["endpoints"] = upstream.url.replace("http:", "https:")
    config["routes"][0]["timeouts"] = {"connect": "200ms"}
    gateway = start(config)
    answer = gateway.get()
    assert (answer.status, answer.problem) == (504, "connect_timeout")


def test_a_failed_handshake_is_tried_again_at_another_endpoint(
    start: Start, serve: Serve, authority: Authority
) -> None:
    bad, good = serve(tls=authority.context("other.test")), serve(tls=authority.context("127.0.0.1"))
    config: dict[str, Any] = {
        "upstreams": {
            "api": {"endpoints": [bad.url, good.url], "tls": {"ca": authority.file}, "balance": "round_robin"}
        },
        "routes": [{"upstream": "api"}],
    }
    gateway = start(config)
    for _ in range(4):
        assert gateway.get().status == 200
    assert len(good.requests) == 4


def test_a_client_certificate_is_shown(start: Start, serve: Serve, authority: Authority) -> None:
    upstream = serve(tls=authority.context("127.0.0.1", ask=True))
    gateway = start(through(upstream, ca=authority.file, client=authority.client()))
    assert gateway.get().status == 200


def test_an_upstream_that_misses_a_client_certificate_says_so_in_the_log(
    start: Start, serve: Serve, authority: Authority
) -> None:
    upstream = serve(tls=authority.context("127.0.0.1", ask=True))
    gateway = start(through(upstream, ca=authority.file))
    assert gateway.get().status == 502
    gateway.said.wait(rf"upstream api: {upstream.address}: TLS failed: .*CertificateRequired")


def test_connections_are_kept_and_used_again(start: Start, serve: Serve, authority: Authority) -> None:
    upstream = serve(tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    with gateway.client() as client:
        for _ in range(5):
            assert client.request("GET").status == 200
    assert upstream.accepted == 1


def test_a_new_connection_resumes_an_old_session(start: Start, serve: Serve, authority: Authority) -> None:
    resumed: list[bool] = []

    def answer(request: Request, peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        resumed.append(bool(peer.sock.session_reused))
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        peer.close()

    upstream = serve(answer, tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    for _ in range(3):
        assert gateway.get().status == 200
    assert resumed == [False, True, True]


def test_large_bodies_go_both_ways(start: Start, serve: Serve, authority: Authority) -> None:
    body = bytes(range(256)) * 20_000
    upstream = serve(echo, tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    with gateway.client() as client:
        for _ in range(2):
            answer = client.request("POST", "/", body=body)
            assert answer.status == 200
            assert answer.body == body
    assert upstream.accepted == 1


def test_an_idle_connection_whose_upstream_ends_it_is_not_used_again(
    start: Start, serve: Serve, authority: Authority
) -> None:
    ended = threading.Event()

    def answer(request: Request, peer: Peer) -> None:
        peer.respond()
        if peer.number == 1:
            assert isinstance(peer.sock, ssl.SSLSocket)
            peer.closed = True
            peer.sock.settimeout(20)
            ended.set()
            peer.sock.unwrap()  # close_notify, and waits for the gateway's

    upstream = serve(answer, tls=authority.context("127.0.0.1"))
    config = through(upstream, ca=authority.file)
    gateway = start(config)
    with gateway.client() as client:
        assert client.request("POST").status == 200
        assert ended.wait(20)
        until(lambda: upstream.open == 0, "the gateway lets the connection go")
        # A POST that was sent is not tried again: it never went to the connection that has ended.
        assert client.request("POST").status == 200
    assert upstream.accepted == 2


def test_a_body_without_length_that_is_cut_is_not_taken_for_whole(
    start: Start, serve: Serve, authority: Authority
) -> None:
    def answer(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome of it")
        peer.close()  # without close_notify: anybody in between could have done that

    upstream = serve(answer, tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    with gateway.client() as client, pytest.raises(Cut):
        client.request("GET")


def test_a_body_without_length_ends_with_the_notice(start: Start, serve: Serve, authority: Authority) -> None:
    def answer(request: Request, peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        peer.closed = True
        peer.sock.settimeout(20)
        peer.sock.unwrap()

    upstream = serve(answer, tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    assert gateway.get().body == b"all of it"


def test_a_tunnel_passes_the_end_of_one_direction_on(start: Start, serve: Serve, authority: Authority) -> None:
    def answer(request: Request, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        said = peer.stream.rest()
        peer.send(said)
        peer.close()

    upstream = serve(answer, tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file))
    with gateway.client() as client:
        client.send(message("GET", "/", {"Connection": "Upgrade", "Upgrade": "echo"}))
        assert client.receive_any().status == 101
        client.send(b"hello")
        client.no_more()
        assert client.stream.rest() == b"hello"


def test_probes_go_by_tls_too(start: Start, serve: Serve, authority: Authority) -> None:
    good, bad = serve(tls=authority.context("127.0.0.1")), serve(tls=authority.context("other.test"))
    active = {"path": "/healthz", "interval": "100ms", "unhealthy": 1, "healthy": 1}
    config: dict[str, Any] = {
        "upstreams": {
            "api": {
                "endpoints": [good.url, bad.url],
                "tls": {"ca": authority.file},
                "balance": "round_robin",
                "health": {"active": active, "passive": False},
            }
        },
        "routes": [{"upstream": "api", "retry": {"attempts": 1}}],
    }
    gateway = start(config)
    gateway.said.wait(rf"probes find {bad.address} down: no connection: TLS: the certificate bears another name")
    good.wait(1)
    until(lambda: bad.address in left_out(gateway), "it is left out")
    for _ in range(4):
        assert gateway.get().status == 200


def test_a_file_with_other_authorities_holds_from_the_reload_on(
    start: Start, serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    upstream = serve(tls=authority.context("127.0.0.1"))
    config = through(upstream, ca=authority.file)
    gateway = start(config)
    assert gateway.get().status == 200
    other.made.cert_pem.write_to_path(authority.file)
    assert "reloaded" in gateway.reload(config)
    assert refused(gateway) == "tls_certificate_refused"
    assert "nothing has changed" in gateway.reload(config)


def test_a_file_with_other_authorities_is_noticed_without_being_told(
    start: Start, serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    upstream = serve(tls=authority.context("127.0.0.1"))
    gateway = start(through(upstream, ca=authority.file), watch=True)
    assert gateway.get().status == 200
    other.made.cert_pem.write_to_path(authority.file)
    gateway.said.wait(r"reloaded \(its files changed\)")
    assert refused(gateway) == "tls_certificate_refused"


def test_a_file_that_is_not_there_is_told_with_its_place(start: Start, serve: Serve, authority: Authority) -> None:
    upstream = serve(tls=authority.context("127.0.0.1"))
    config = through(upstream, ca=authority.file)
    gateway = start(config)
    Path(authority.file).write_text("no certificate")
    gateway.reload(config)
    gateway.said.wait(rf"tidegate\.yaml:\d+:\d+: {authority.file} has no certificate in it")
    assert gateway.get().status == 200
