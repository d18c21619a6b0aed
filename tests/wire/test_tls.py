"""TLS listeners as clients meet them: certificates by name, versions, what is told, what is refused."""

from __future__ import annotations

import re
import select
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Serve, Start
from tests.support.certificates import Authority
from tests.support.client import Client
from tests.support.gateway import Tidegate
from tests.support.tls import SITE, Secure, alert, context, curl, failures, s_client, serial
from tests.support.upstream import echo
from tests.support.waiting import until

TOLD = "${tls_version} ${tls_cipher} ${sni} ${scheme}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def listening(*certificates: dict[str, Any], **tls: Any) -> dict[str, Any]:
    """A configuration that tells what it knows of the connection."""
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [*certificates], **tls}}
    return {"listeners": [listener], "routes": [{"respond": {"body": TOLD}}]}


def test_one_certificate_is_all_that_is_needed(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    answer = curl(gateway.address, ca=authority.file)
    assert (answer.status, answer.code) == (0, 200), answer.error
    version, cipher, sni, scheme = answer.body.split()
    assert (version, sni, scheme) == ("TLSv1.3", SITE, "https")
    assert cipher.startswith("TLS_")


def test_connections_are_kept_for_further_requests(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    with Secure(gateway.address, context(authority.file)) as client:
        for _ in range(3):
            assert client.request().status == 200
    assert gateway.metrics().one("tidegate_tls_handshakes_total", kind="full") == 1


def test_bodies_come_through_both_ways(start: Start, serve: Serve, authority: Authority, tmp_path: Path) -> None:
    upstream = serve(echo)
    gateway = start({**listening(authority.sign(SITE).entry), "routes": [{"upstream": upstream.url}]})
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * 4096)
    got = tmp_path / "got"
    answer = curl(gateway.address, "--data-binary", f"@{body}", "-o", str(got), "--no-include", ca=authority.file)
    assert answer.status == 0, answer.error
    assert body.read_bytes() in got.read_bytes()


# -- certificates by name ----------------------------------------------------------------------------------------------


def test_a_name_gets_its_own_certificate_exact_before_wildcard_and_one_label_deep(
    start: Start, authority: Authority
) -> None:
    first, exact, wild = (authority.sign(name) for name in ("first.test", "api.site.test", "*.site.test"))
    gateway = start(listening(first.entry, wild.entry, exact.entry))
    for name, signed in {
        "first.test": first,
        "api.site.test": exact,
        "www.site.test": wild,
        "WWW.Site.Test": wild,
        "a.b.site.test": first,
        SITE: first,
        "unknown.test": first,
        None: first,
    }.items():
        assert serial(gateway.address, name) == signed.serial, name


def test_a_name_that_nobody_bears_is_refused_where_that_is_asked_for(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry, default="refuse"))
    assert serial(gateway.address) > 0
    assert alert(gateway.address, "other.test") == "TLSV1_UNRECOGNIZED_NAME"
    assert alert(gateway.address, None) == "TLSV1_UNRECOGNIZED_NAME"
    assert failures(gateway) == {"unknown_name": 2}
    gateway.said.wait(r"listener 127.0.0.1:0: no TLS with 127.0.0.1: unknown_name")


def test_ecdsa_and_rsa_stand_side_by_side(start: Start, authority: Authority) -> None:
    ecdsa, rsa = authority.sign(SITE, stem="ec"), authority.sign(SITE, stem="rsa", kind="rsa")
    gateway = start(listening(rsa.entry, ecdsa.entry))
    assert serial(gateway.address) == ecdsa.serial, "it costs less"
    assert serial(gateway.address, None) == ecdsa.serial, "the default has both too"
    for options in (["-sigalgs", "rsa_pss_rsae_sha256"], ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]):
        said = s_client(gateway.address, *options)
        assert "Server Temp Key" in said
        assert "RSA" in re.findall(r"Peer signature type: (\S+)", said)[0], said


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["old", "pkcs8", "locked", "together", "pkcs12"])
def test_keys_are_taken_in_every_usual_form(start: Start, authority: Authority, kind: str, form: str) -> None:
    signed = authority.sign(SITE, kind=kind)
    entry: dict[str, Any] = dict(signed.entry)
    if form in ("old", "pkcs8"):
        Path(signed.key_file).write_bytes(signed.key_pem(form))
    elif form == "locked":
        Path(signed.key_file).write_bytes(signed.key_pem(password=b"open sesame"))
        entry["password"] = "${KEY_PASSWORD}"
    elif form == "together":
        Path(signed.cert_file).write_bytes(signed.key_pem("old") + Path(signed.cert_file).read_bytes())
        del entry["key"]
    else:
        entry = {"cert": signed.pkcs12(b"open sesame"), "password": "${KEY_PASSWORD}"}
    gateway = start(listening(entry), environment={"KEY_PASSWORD": "open sesame"})
    assert serial(gateway.address, made=context(authority.file)) == signed.serial


def test_the_chain_is_sent_in_order_whatever_the_file_has(start: Start, authority: Authority, tmp_path: Path) -> None:
    between = Authority(tmp_path, "Between CA", above=authority)
    gateway = start(listening(between.sign(SITE, chain="reversed").entry))
    assert curl(gateway.address, ca=authority.file).code == 200
    gateway.said.wait("is out of order; it is sent in order")


def test_an_ocsp_answer_is_sent_along(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    gateway = start(listening({**signed.entry, "ocsp": authority.staple(signed)}))
    for version in ("-tls1_3", "-tls1_2"):
        said = s_client(gateway.address, "-status", version)
        assert "OCSP Response Status: successful" in said
        assert "Cert Status: good" in said


# -- versions, suites, protocols ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "older"), [("intermediate", True), ("modern", False)])
def test_a_profile_says_which_versions_there_are(start: Start, authority: Authority, profile: str, older: bool) -> None:
    gateway = start(listening(authority.sign(SITE).entry, profile=profile))
    assert curl(gateway.address, "--tlsv1.3", ca=authority.file).body.startswith("TLSv1.3 ")
    second = curl(gateway.address, "--tls-max", "1.2", ca=authority.file)
    assert second.body.startswith("TLSv1.2 ") if older else second.status == 35
    for version in ("-tls1", "-tls1_1"):
        assert "Cipher is (NONE)" in s_client(gateway.address, version, "-cipher", "ALL:@SECLEVEL=0")
    assert failures(gateway) == {"version": 2 if older else 3}


def test_suites_without_forward_secrecy_or_aead_are_not_there(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE, kind="rsa").entry))
    for suite in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"):
        assert "Cipher is (NONE)" in s_client(gateway.address, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    assert failures(gateway) == {"no_common_suite": 3}


def test_a_client_can_not_renegotiate(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    said = s_client(gateway.address, "-tls1_2", send=b"R\n")
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said or "unexpected message" in said or "handshake failure" in said, said


def test_http_1_is_agreed_on_and_other_protocols_are_refused(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    assert "ALPN protocol: http/1.1" in s_client(gateway.address, "-alpn", "foo,http/1.1")
    assert "No ALPN negotiated" in s_client(gateway.address)
    told = alert(gateway.address, made=context(alpn=["foo"])).lower().replace("_", " ")
    assert "no application protocol" in told
    assert failures(gateway) == {"no_common_protocol": 1}


def test_the_groups_begin_with_one_that_a_quantum_computer_does_not_break(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    # Whoever does not know it gets X25519, without a second round trip.
    said = s_client(gateway.address, "-groups", "X25519:P-256")
    assert "Server Temp Key: X25519" in said


# -- what is told ------------------------------------------------------------------------------------------------------


def test_upstreams_and_logs_are_told_that_the_client_came_by_tls(
    start: Start, serve: Serve, authority: Authority
) -> None:
    upstream = serve(echo)
    told = {"set": {"X-Tls": "${tls_version} ${sni}", "X-Client": "${tls_client_subject}${tls_client_verified}"}}
    gateway = start(
        {
            **listening(authority.sign(SITE).entry),
            "access_log": {"format": "${scheme} ${tls_version} ${sni}", "path": "lines.log", "flush": "10ms"},
            "routes": [{"upstream": upstream.url, "headers": {"request": told}}],
        }
    )
    with Secure(gateway.address, context(authority.file)) as client:
        # Nobody trusts a client's own word on it.
        assert client.request(X_Forwarded_Proto="http").status == 200
    fields = dict(upstream.requests[0].fields)
    assert fields["X-Forwarded-Proto"] == "https"
    assert (fields["X-Tls"], fields["X-Client"]) == (f"TLSv1.3 {SITE}", "none")
    lines = gateway.folder / "lines.log"
    assert until(lambda: lines.exists() and lines.read_text(), "a line") == f"https TLSv1.3 {SITE}\n"


def test_variables_of_tls_are_empty_on_plain_connections(start: Start) -> None:
    told = "[${tls_version}${tls_cipher}${sni}${tls_client_subject}${tls_client_san}${tls_client_verified}] ${scheme}"
    gateway = start({"routes": [{"respond": {"body": told}}]})
    assert gateway.get().body == b"[] http"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (True, "max-age=31536000"),
        (
            {"max_age": "730d", "include_subdomains": True, "preload": True},
            "max-age=63072000; includeSubDomains; preload",
        ),
        ({"max_age": "0"}, "max-age=0"),
        (False, None),
    ],
)
def test_hsts_is_on_every_answer_within_tls(
    start: Start, serve: Serve, authority: Authority, written: Any, sent: str | None
) -> None:
    upstream = serve(echo)
    config = listening(authority.sign(SITE).entry, hsts=written)
    config["listeners"].append("127.0.0.1:0")
    config["routes"] = [
        {"match": {"path": "/up"}, "upstream": upstream.url},
        {"match": {"path": "/own"}, "respond": 200},
    ]
    gateway = start(config)
    for path in ("/up", "/own", "/nowhere"):
        assert curl(gateway.address, ca=authority.file, path=path).header("strict-transport-security") == sent
    with Client(gateway.addresses[1]) as client:
        assert client.request("GET", "/own").fields.get("Strict-Transport-Security") is None


def test_an_upstreams_own_hsts_gives_way_and_a_routes_wins(start: Start, serve: Serve, authority: Authority) -> None:
    upstream = serve(lambda _, peer: peer.respond(200, b"ok", "Strict-Transport-Security: max-age=1"))
    config = listening(authority.sign(SITE).entry, hsts=True)
    mine = {"response": {"set": {"Strict-Transport-Security": "max-age=2"}}}
    config["routes"] = [
        {"match": {"path": "/mine"}, "upstream": upstream.url, "headers": mine},
        {"upstream": upstream.url},
    ]
    gateway = start(config)
    assert curl(gateway.address, ca=authority.file).header("strict-transport-security") == "max-age=31536000"
    assert curl(gateway.address, ca=authority.file, path="/mine").header("strict-transport-security") == "max-age=2"


# -- to TLS from elsewhere ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("port", "shown"), [(True, ""), (8443, ":8443")])
def test_one_line_sends_everybody_to_tls(start: Start, port: bool | int, shown: str) -> None:
    listeners: list[Any] = [{"address": "127.0.0.1:0", "name": "plain", "redirect_https": port}]
    gateway = start({"listeners": listeners, "routes": [{"respond": 204}]})
    with Client(gateway.address) as client:
        for method in ("GET", "POST", "DELETE"):
            answer = client.request(method, "/a//b/../%2e?c=d&e", {"Host": "Shop.Example:8080"})
            assert answer.status == 308
            assert answer.fields.get("Location") == f"https://shop.example{shown}/a//b/../%2e?c=d&e"
        answer = client.request("GET", "http://abs.example:80/x?y", {"Host": "abs.example:80"})
        assert answer.fields.get("Location") == f"https://abs.example{shown}/x?y"
        answer = client.request("GET", "/", {"Host": "[::1]:8080"})
        assert answer.fields.get("Location") == f"https://[::1]{shown}/"
    with Client(gateway.address) as client:
        assert client.request("GET", "/", {"Host": "a b\\c"}).status == 400
    with Client(gateway.address) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.receive().status == 404, "there is no host to go to"


def test_a_route_that_names_a_redirecting_listener_is_served_there(start: Start) -> None:
    listeners: list[Any] = [{"address": "127.0.0.1:0", "name": "plain", "redirect_https": True}]
    routes = [
        {"match": {"path": "/healthz"}, "listeners": "plain", "respond": 204},
        {"respond": {"status": 200, "body": "not here"}},
    ]
    gateway = start({"listeners": listeners, "routes": routes})
    assert gateway.get("/healthz").status == 204
    assert gateway.get("/").status == 308


# -- what is no TLS, and what takes too long ---------------------------------------------------------------------------


def test_plain_http_is_told_that_it_is_at_the_wrong_port(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    answer = gateway.get()
    assert (answer.status, answer.problem) == (400, "plain_http")
    assert b"This port takes TLS" in answer.body
    assert failures(gateway) == {"plain_http": 1}


def test_what_is_no_tls_is_closed_without_a_word(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    for nonsense in (b"\0" * 32, b"\x16\x03\x01\xff\xff" + b"x" * 64, b"SSH-2.0-OpenSSH_9\r\n"[::-1]):
        with Client(gateway.address) as client:
            client.send(nonsense)
            client.no_more()
            assert b"HTTP" not in client.stream.rest()
    seen = failures(gateway)
    assert seen["not_tls"] == 2
    assert sum(seen.values()) == 3
    assert curl(gateway.address, ca=authority.file).code == 200


def test_a_handshake_that_takes_too_long_is_given_up(start: Start, authority: Authority) -> None:
    gateway = start({**listening(authority.sign(SITE).entry), "server": {"handshake_timeout": "200ms"}})
    for first in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"):
        with Client(gateway.address) as client:
            client.send(first)
            assert client.is_closed()
    assert failures(gateway) == {"timeout": 3}
    assert gateway.metrics().one("tidegate_connection_closes_total", reason="handshake") == 3


def test_a_hello_in_many_pieces_is_put_together(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context(authority.file).wrap_bio(incoming, outgoing, server_hostname=SITE)
    with Client(gateway.address) as client:
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        for byte in outgoing.read():
            client.send(bytes([byte]))
        while True:
            incoming.write(client.sock.recv(65536))
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        client.send(outgoing.read())
    assert session.version() == "TLSv1.3"


def test_a_cut_is_told_from_an_end(start: Start, authority: Authority) -> None:
    """A client that wants to know whether it has all of an answer is told the end (RFC 8446 §6.1)."""
    gateway = start(listening(authority.sign(SITE).entry))
    with Secure(gateway.address, context(authority.file)) as client:
        assert client.request(Connection="close").status == 200
        assert client.sock.recv(1) == b"", "close_notify came, else this raises"


def test_a_proxy_header_comes_before_the_handshake(start: Start, authority: Authority) -> None:
    config = listening(authority.sign(SITE).entry)
    config["listeners"][0]["proxy_protocol"] = True
    config["server"] = {"trusted_proxies": ["127.0.0.1"]}
    config["routes"] = [{"respond": {"body": "${client_ip} ${scheme}"}}]
    gateway = start(config)
    header = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n"
    with Secure(gateway.address, context(authority.file), before=header) as client:
        assert client.request().body == b"203.0.113.7 https"


def test_a_connection_that_breaks_off_in_the_handshake_is_counted(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    with Client(gateway.address) as client:
        client.send(b"\x16\x03\x01")
    until(lambda: failures(gateway) == {"closed_by_client": 1}, "one that went away")
    refusing = context(authority.file)
    with pytest.raises(ssl.SSLCertVerificationError), Secure(gateway.address, refusing, "other.test"):
        pass
    until(lambda: failures(gateway).get("refused_by_client") == 1, "one that did not like what it saw")


def test_each_listener_has_certificates_of_its_own(start: Start, authority: Authority) -> None:
    """Listeners side by side, each with certificates of its own."""
    one, other = authority.sign(SITE, stem="one"), authority.sign(SITE, stem="other")
    config = listening(one.entry)
    config["listeners"].append({"address": "127.0.0.2:0", "tls": {"certificates": [other.entry]}})
    gateway = start(config)
    assert [serial(address) for address in gateway.addresses] == [one.serial, other.serial]


def test_hundreds_of_hosts_each_get_their_own(start: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signed = [authority.sign(f"h{number}.test") for number in range(200)]
    gateway: Tidegate = start(listening(*(one.entry for one in signed)))
    for number in (0, 99, 199):
        assert serial(gateway.address, f"h{number}.test") == signed[number].serial


def test_a_socket_that_says_nothing_costs_no_worker(start: Start, authority: Authority) -> None:
    gateway = start(listening(authority.sign(SITE).entry))
    silent = [socket.create_connection(("127.0.0.1", int(gateway.address.rpartition(":")[2]))) for _ in range(50)]
    try:
        assert curl(gateway.address, ca=authority.file).code == 200
    finally:
        for sock in silent:
            sock.close()


def test_a_crowd_that_wants_connections_does_not_hold_up_who_has_one(start: Start, authority: Authority) -> None:
    """Handshakes begin a few at a time: between them, a worker looks at its other connections."""
    gateway = start(listening(authority.sign(SITE, kind="rsa").entry))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context().wrap_bio(incoming, outgoing, server_hostname=SITE).do_handshake()
    hello = outgoing.read()
    with Secure(gateway.address, context(authority.file)) as settled:
        assert settled.request().status == 200
        crowd = [gateway.client() for _ in range(300)]
        for client in crowd:
            client.send(hello)
        answered = 0
        waiting = {client.sock.fileno() for client in crowd}
        poller = select.poll()
        for number in waiting:
            poller.register(number, select.POLLIN)
        while waiting:
            assert settled.request().status == 200
            answered += 1
            for number, _ in poller.poll(0):
                waiting.discard(number)
                poller.unregister(number)
    assert answered > 20, "61 handshakes would fit between two looks at the network"
