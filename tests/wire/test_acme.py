"""Certificates from a real authority, by both kinds of proof: had, shown, renewed, refused."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.conftest import Start
from tests.support.certificates import Authority
from tests.support.client import once
from tests.support.gateway import Tidegate, command
from tests.support.pebble import Pebble, free_ports
from tests.support.tls import Secure, context, curl, s_client, serial
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
ISSUED_S = 40.0
"""An order is a dozen signed requests, and pebble looks at a proof from several places."""
NAME = "a.example"

Authorities = Callable[..., Pebble]


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Authorities]:
    running: list[Pebble] = []

    def begin(**options: Any) -> Pebble:
        running.append(Pebble(tmp_path / f"pebble{len(running)}", **options))
        return running[-1]

    yield begin
    for one in running:
        one.close()


def serving(authority: Pebble, *names: str, redirect: bool = False, **acme: Any) -> dict[str, Any]:
    """A listener where the authority looks by TLS, one where it looks by HTTP."""
    entry = {
        "domains": list(names or (NAME,)),
        "directory": authority.directory,
        "ca": authority.ca,
        "agree_terms": True,
        "email": "admin@a.example",
        **acme,
    }
    return {
        "listeners": [
            {"address": f"127.0.0.1:{authority.tls}", "name": "site", "tls": {"acme": entry}},
            {"address": f"127.0.0.1:{authority.http}", "name": "plain", "redirect_https": redirect},
        ],
        "routes": [{"respond": {"status": 200, "body": "ours"}}],
    }


def state(gateway: Tidegate) -> dict[str, Any]:
    """What status says of the first order."""
    told: dict[str, Any] = gateway.status()["acme"][0]
    return told


def failed(gateway: Tidegate) -> dict[str, Any]:
    """What status says, once a try has come to nothing."""
    until(lambda: state(gateway)["failures"], "a failure", ISSUED_S)
    return state(gateway)


def rests(gateway: Tidegate) -> dict[str, Any]:
    """What status says, once there is a certificate and nothing is to be done."""
    until(lambda: state(gateway)["state"] == "valid", "it rests", ISSUED_S)
    return state(gateway)


def issued(gateway: Tidegate, *, beside: int | None = None) -> x509.Certificate:
    """The certificate that the authority gave, once it is shown; another one than `beside`."""

    def look() -> x509.Certificate | None:
        with Secure(gateway.address, context(), NAME) as client:
            shown = client.certificate
        is_own = shown.issuer == shown.subject
        return None if is_own or shown.serial_number == beside else shown

    found = until(look, "a certificate", ISSUED_S)
    assert found is not None
    return found


def due(gateway: Tidegate) -> None:
    """The next process finds that the certificate should be renewed."""
    file = next((gateway.state / "acme").glob("*/*.example.json"))
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "renew_s": 1.0, "ask_s": 4e9}))


def files(gateway: Tidegate) -> list[Path]:
    return [path for path in (gateway.state / "acme").rglob("*") if path.is_file()]


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_a_certificate_is_had_and_shown(start: Start, pebble: Authorities, challenge: str, key: str) -> None:
    authority = pebble()
    names = (NAME, "www.a.example")
    gateway = start(serving(authority, *names, challenge=challenge, key=key, redirect=True))
    shown = issued(gateway)
    bears = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(bears.get_values_for_type(x509.DNSName)) == set(names)
    for name in names:
        told = curl(gateway.address, host=name, ca=authority.root())
        assert (told.code, told.body) == (200, "ours"), told.error
    assert "Verify return code: 0 (ok)" in s_client(gateway.address, "-CAfile", authority.root(), name=NAME)
    gateway.said.wait(rf"acme:{NAME}.*: certificate valid until \d{{4}}-")
    order = rests(gateway)
    assert order["error"] is None
    assert order["account"].startswith(authority.directory.removesuffix("/dir"))
    assert order["not_after_s"] == int(shown.not_valid_after_utc.timestamp())
    for path in files(gateway):
        assert path.stat().st_mode & 0o077 == 0, path
    text = command(gateway.folder, "status", "-c", str(gateway.file)).stdout
    assert "CERTIFICATE BY ACME" in text
    label = frozenset({("listener", "site"), ("name", order["name"])})
    until(
        lambda: gateway.metrics().values.get(("tidegate_certificate_expiry_seconds", label)) == order["not_after_s"],
        "the metric",
    )


def test_until_a_certificate_is_there_one_stands_in_and_all_else_works(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    authority.stop()
    own = Authority(authority.folder, "Own CA")
    config = serving(authority)
    config["listeners"][0]["tls"]["certificates"] = [own.sign("static.example").entry]
    gateway = start(config)
    with Secure(gateway.address, context(), NAME) as client:
        assert "no certificate yet" in client.certificate.subject.rfc4514_string()
        assert client.request(host=NAME).status == 200
    assert curl(gateway.address, host="static.example", ca=own.file).code == 200
    gateway.said.wait(rf"acme:{NAME}: no certificate: unreachable: {authority.directory} can't be reached")
    told = failed(gateway)
    assert (told["reason"], told["state"], told["failures"]) == ("unreachable", "none", 1)
    text = command(gateway.folder, "status", "-c", str(gateway.file)).stdout
    assert "can't be reached" in text


def test_a_certificate_is_kept_over_restarts_and_renewed_when_it_is_due(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    config = serving(authority)
    first = start(config)
    old = issued(first)
    rests(first)
    first.stop()
    orders = authority.orders
    second = start(config, folder=first.folder)
    assert serial(second.address, NAME) == old.serial_number, "from the first handshake on"
    rests(second)
    assert authority.orders == orders
    second.stop()
    due(second)
    third = start(config, folder=first.folder)
    with Secure(third.address, context(), NAME) as kept:
        renewed = issued(third, beside=old.serial_number)
        assert renewed.not_valid_after_utc >= old.not_valid_after_utc
        assert kept.request(host=NAME).status == 200, "connections stay"
    assert authority.orders == orders + 1


def test_an_old_certificate_stays_while_the_authority_is_dead(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    config = serving(authority, challenge="http-01")
    first = start(config)
    old = issued(first)
    rests(first)
    first.stop()
    due(first)
    authority.stop()
    second = start(config, folder=first.folder)
    second.said.wait(r"no certificate: unreachable: .*; the one that there is holds until \d{4}-.*, next try \d{4}-")
    assert serial(second.address, NAME) == old.serial_number
    waits = failed(second)
    second.stop()
    authority.start()
    third = start(config, folder=first.folder)
    kept = failed(third)
    assert kept["next_s"] == waits["next_s"], "a restart is no reason to ask again"


def test_an_authority_that_has_lost_the_account_gets_another(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    config = serving(authority)
    first = start(config)
    old = issued(first)
    rests(first)
    first.stop()
    due(first)
    authority.stop()
    authority.start()
    second = start(config, folder=first.folder)
    issued(second, beside=old.serial_number)


def test_a_refused_name_is_told_in_plain_words(start: Start, pebble: Authorities) -> None:
    authority = pebble(blocked=("blocked.example",))
    gateway = start(serving(authority, "blocked.example"))
    gateway.said.wait(
        r"acme:blocked.example: no certificate: refused: the authority gives no certificates for one of the names "
        r"\(it says: .*\); leave it out",
        within=ISSUED_S,
    )
    told = failed(gateway)
    assert told["reason"] == "refused"
    assert told["next_s"] > told["failed_s"] + 800
    assert once(gateway.addresses[1], "GET", "/").body == b"ours"


def test_a_proof_that_is_not_found_is_told_and_counted(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    config = serving(authority, challenge="http-01")
    config["listeners"].pop()  # nobody answers at the port where the authority asks
    gateway = start(config)
    gateway.said.wait(r"no certificate: challenge_failed: a.example: the authority can't connect", within=ISSUED_S)


def test_an_address_that_is_no_acme_server_is_told(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    directory = authority.directory.removesuffix("/dir") + "/nothing-here"
    gateway = start(serving(authority, directory=directory))
    gateway.said.wait(r"no certificate: \w+: .*directory", within=ISSUED_S)
    until(lambda: state(gateway)["state"] == "none", "it rests")


def test_an_authority_that_is_not_trusted_is_told(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    config = serving(authority)
    del config["listeners"][0]["tls"]["acme"]["ca"]
    gateway = start(config)
    gateway.said.wait(r"no certificate: unreachable: .* is not trusted .*; name the file", within=ISSUED_S)


def test_an_account_that_there_is_already_is_bound(start: Start, pebble: Authorities) -> None:
    hmac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    authority = pebble(eab={"kid-1": hmac})
    gateway = start(serving(authority))
    gateway.said.wait(r"no certificate: account: the authority wants an account .*; write `eab", within=ISSUED_S)
    gateway.reload(serving(authority, eab={"kid": "kid-1", "hmac": hmac}))
    issued(gateway)
    for path in ("/status", "/plan", "/config", "/metrics"):
        assert hmac.encode() not in gateway.control(path).body


def test_another_name_is_asked_for_at_once_and_the_old_certificate_stays_meanwhile(
    start: Start, pebble: Authorities
) -> None:
    authority = pebble()
    gateway = start(serving(authority))
    old = issued(gateway)
    rests(gateway)
    gateway.reload(serving(authority, NAME, "more.example"))
    renewed = issued(gateway, beside=old.serial_number)
    bears = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(bears.get_values_for_type(x509.DNSName)) == {NAME, "more.example"}


def test_what_was_proven_is_answered_no_more(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    gateway = start(serving(authority, challenge="http-01"))
    issued(gateway)
    rests(gateway)
    asked = [one for one in gateway.records(1) if one["target"].startswith("/.well-known/acme-challenge/")]
    assert asked
    assert all(one["status"] == 200 and one["route"] == "acme:http-01" for one in asked)
    again = once(gateway.addresses[1], "GET", asked[0]["target"], {"Host": NAME})
    assert again.body == b"ours", "it is a request like any other"


def test_after_an_upgrade_the_new_process_asks_and_only_that_one(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    gateway = start(serving(authority))
    old = issued(gateway)
    rests(gateway)
    orders, before = authority.orders, gateway.pid
    due(gateway)
    gateway.signal(signal.SIGUSR2)
    gateway.said.wait(rf"took over from process {before}", within=ISSUED_S)
    issued(gateway, beside=old.serial_number)
    rests(gateway)
    assert authority.orders == orders + 1


def test_an_authority_that_answers_garbage_is_told(start: Start, pebble: Authorities) -> None:
    authority = pebble()
    authority.stop()
    own = authority.authority.sign("127.0.0.1", stem="garbage")
    own.write()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(own.cert_file, own.key_file)
    (port,) = free_ports(1)
    listening = socket.create_server(("127.0.0.1", port))

    def answer() -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            try:
                with trust.wrap_socket(raw, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\x00\xff{]")
            except OSError:
                pass

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        gateway = start(serving(authority, directory=f"https://127.0.0.1:{port}/dir"))
        gateway.said.wait(r"no certificate: not_acme: https://127.0.0.1:\d+/dir ", within=ISSUED_S)
        assert once(gateway.addresses[1], "GET", "/").body == b"ours"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
