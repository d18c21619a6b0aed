"""Sessions that go on: over workers, over reloads, and never under other rules than those under which they began."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Start
from tests.support.certificates import Authority
from tests.support.gateway import Tidegate
from tests.support.tls import SITE, Secure, context, s_client


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def serving(entry: dict[str, Any], **tls: Any) -> dict[str, Any]:
    listener = {"address": "127.0.0.1:0", "name": "site", "tls": {"certificates": [entry], **tls}}
    return {"listeners": [listener], "workers": 2, "routes": [{"respond": {"body": "${tls_client_verified}"}}]}


def client(authority: Authority, version: str, pair: tuple[str, str] | None = None) -> ssl.SSLContext:
    made = context(authority.file, pair)
    made.minimum_version = made.maximum_version = ssl.TLSVersion[version]
    return made


def session(address: str, made: ssl.SSLContext, name: str = SITE) -> ssl.SSLSession:
    """The session of a first connection; in TLS 1.3 it comes with the first answer."""
    with Secure(address, made, name) as first:
        assert first.request(host=name).status == 200
        assert not first.sock.session_reused
        found = first.sock.session
        assert found is not None
        return found


def goes_on(address: str, made: ssl.SSLContext, kept: ssl.SSLSession, name: str = SITE) -> bool:
    """Whether the session is taken up again."""
    with Secure(address, made, name, session=kept) as again:
        assert again.request(host=name).status == 200
        return bool(again.sock.session_reused)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_goes_on_at_every_worker(start: Start, authority: Authority, version: str) -> None:
    gateway = start(serving(authority.sign(SITE).entry))
    made = client(authority, version)
    kept = session(gateway.address, made)
    assert all(goes_on(gateway.address, made, kept) for _ in range(12))
    metrics = gateway.metrics()
    assert metrics.one("tidegate_tls_handshakes_total", kind="resumed") == 12
    assert metrics.one("tidegate_tls_handshakes_total", kind="full") == 1
    by_worker = metrics.some("tidegate_worker_requests_total")
    assert len(by_worker) == 2
    assert all(by_worker.values()), "the kernel gave each its share"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_goes_on_after_a_reload(start: Start, authority: Authority, version: str) -> None:
    signed = authority.sign(SITE)
    config = serving(signed.entry)
    gateway = start(config)
    made = client(authority, version)
    kept = session(gateway.address, made)
    renewed = authority.sign(SITE)
    assert gateway.reload({**config, "routes": [{"respond": 200}]}).startswith("reloaded ")
    assert goes_on(gateway.address, made, kept)
    with Secure(gateway.address, client(authority, version)) as fresh:
        assert fresh.certificate.serial_number == renewed.serial


def test_without_tickets_no_session_goes_on(start: Start, authority: Authority) -> None:
    gateway = start(serving(authority.sign(SITE).entry, tickets=False))
    assert "New Session Ticket" not in s_client(gateway.address, "-tls1_3", "-ign_eof", send=REQUEST)
    made = client(authority, "TLSv1_2")
    with Secure(gateway.address, made) as first:
        kept = first.sock.session
    assert kept is None or not kept.has_ticket


def test_a_tickets_lifetime_is_told(start: Start, authority: Authority) -> None:
    gateway = start(serving(authority.sign(SITE).entry, tickets="10m"))
    said = s_client(gateway.address, "-tls1_3", "-ign_eof", send=REQUEST)
    assert said.count("Post-Handshake New Session Ticket arrived") == 2
    assert "TLS session ticket lifetime hint: 600 (seconds)" in said


def test_a_session_of_one_listener_is_nothing_at_another(start: Start, authority: Authority, tmp_path: Path) -> None:
    """CVE-2025-23419: who came in without a certificate must not come in on that at a listener that asks for one."""
    staff = Authority(tmp_path, "Staff CA")
    entry = authority.sign(SITE).entry
    config = serving(entry)
    strict = {"certificates": [entry], "client": {"ca": staff.file, "verify": "optional"}}
    config["listeners"].append({"address": "127.0.0.1:0", "name": "strict", "tls": strict})
    gateway = start(config)
    for version in ("TLSv1_2", "TLSv1_3"):
        made = client(authority, version)
        kept = session(gateway.addresses[0], made)
        assert goes_on(gateway.addresses[0], made, kept)
        assert not goes_on(gateway.addresses[1], made, kept)


def test_a_session_of_one_name_is_nothing_at_another(start: Start, authority: Authority) -> None:
    gateway = start(serving(authority.sign(SITE, "www.site.test").entry))
    for version in ("TLSv1_2", "TLSv1_3"):
        made = client(authority, version)
        kept = session(gateway.address, made)
        assert not goes_on(gateway.address, made, kept, "www.site.test")


def test_other_rules_for_clients_end_their_sessions(start: Start, authority: Authority, tmp_path: Path) -> None:
    staff, strangers = Authority(tmp_path, "Staff CA"), Authority(tmp_path, "Strangers CA")
    entry = authority.sign(SITE).entry
    shown = staff.sign("web.test", client=True).pair
    gateway: Tidegate = start(serving(entry, client={"ca": staff.file, "verify": "optional"}))
    made = client(authority, "TLSv1_3", shown)
    with Secure(gateway.address, made) as first:
        assert first.request().body == b"success"
        kept = first.sock.session
    with Secure(gateway.address, made, session=kept) as again:
        assert again.request().body == b"success", "a session knows whose it is"
        assert again.sock.session_reused
    assert gateway.reload(serving(entry, client={"ca": strangers.file, "verify": "optional"})).startswith("reloaded ")
    with pytest.raises(ssl.SSLError), Secure(gateway.address, made, session=kept) as refused:
        refused.request()


REQUEST = f"GET / HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n".encode()
