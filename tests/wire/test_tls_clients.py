"""Clients that show certificates: who must, who is taken, what is told of them, for which host it is good."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.conftest import Serve, Start
from tests.support.certificates import DAY, NOW, Authority
from tests.support.tls import SITE, Secure, alert, context, curl, failures
from tests.support.upstream import echo

TOLD = "${tls_client_verified}|${tls_client_subject}|${tls_client_san}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def staff(tmp_path: Path) -> Authority:
    """Signs clients."""
    return Authority(tmp_path, "Staff CA")


def asking(authority: Authority, staff: Authority, verify: str, **tls: Any) -> dict[str, Any]:
    """A configuration that asks clients for certificates, and says what it saw."""
    client = {"ca": staff.file, "verify": verify}
    served = authority.sign(SITE, "*.site.test", "127.0.0.1", stem="site").entry
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [served], "client": client, **tls}}
    return {"listeners": [listener], "routes": [{"respond": {"body": TOLD}}]}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_must_show_a_certificate_and_has_none_is_refused(
    start: Start, authority: Authority, staff: Authority, version: ssl.TLSVersion
) -> None:
    gateway = start(asking(authority, staff, "required"))
    made = context(authority.file)
    made.maximum_version = version
    assert "CERTIFICATE_REQUIRED" in (told := alert(gateway.address, made=made)) or "HANDSHAKE_FAILURE" in told
    assert failures(gateway) == {"client_certificate_missing": 1}
    shown = context(authority.file, staff.sign("web.test", client=True).pair)
    shown.maximum_version = version
    with Secure(gateway.address, shown) as client:
        assert client.request().body == b"success|CN=web.test|DNS:web.test"


def test_who_may_show_one_is_let_in_without(start: Start, authority: Authority, staff: Authority) -> None:
    gateway = start(asking(authority, staff, "optional"))
    with Secure(gateway.address, context(authority.file)) as client:
        assert client.request().body == b"none||"
    with Secure(gateway.address, context(authority.file, staff.sign("web.test", client=True).pair)) as client:
        assert client.request().body == b"success|CN=web.test|DNS:web.test"


@pytest.mark.parametrize("verify", ["required", "optional"])
def test_a_certificate_that_is_shown_is_checked(
    start: Start, authority: Authority, staff: Authority, tmp_path: Path, verify: str
) -> None:
    gateway = start(asking(authority, staff, verify))
    stranger = Authority(tmp_path, "Stranger CA").sign("web.test", stem="stranger", client=True)
    past = staff.sign("web.test", stem="past", client=True, since=NOW - 3 * DAY, until=NOW - DAY)
    server = staff.sign("web.test", stem="server")
    for signed in (stranger, past, server):
        assert alert(gateway.address, made=context(authority.file, signed.pair))
    assert failures(gateway) == {"client_certificate_refused": 2, "client_certificate_expired": 1}


def test_curl_is_let_in_by_its_certificate(start: Start, authority: Authority, staff: Authority) -> None:
    gateway = start(asking(authority, staff, "required"))
    shown = staff.sign("curl.test", client=True)
    answer = curl(gateway.address, "--cert", shown.cert_file, "--key", shown.key_file, ca=authority.file)
    assert answer.body == "success|CN=curl.test|DNS:curl.test"


def test_what_a_certificate_says_of_its_owner_can_not_be_taken_for_another(
    start: Start, authority: Authority, staff: Authority
) -> None:
    gateway = start(asking(authority, staff, "required"))
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme, CN=admin"),
            x509.NameAttribute(NameOID.COMMON_NAME, "ann\r\nX-Admin: 1"),
        ]
    )
    names = ("spiffe://acme.test/a,DNS:admin.test", "ann.test", "10.1.2.3")
    signed = staff.sign(*names, stem="sly", subject=subject, client=True)
    with Secure(gateway.address, context(authority.file, signed.pair)) as client:
        verified, told, san = client.request().body.decode().split("|")
    assert verified == "success"
    assert told == "CN=ann\\0D\\0AX-Admin: 1,O=Acme\\, CN=admin"
    assert san == "URI:spiffe://acme.test/a\\,DNS:admin.test,DNS:ann.test,IP:10.1.2.3"


def test_upstreams_and_hooks_are_told_who_came(
    start: Start, serve: Serve, authority: Authority, staff: Authority, tmp_path: Path
) -> None:
    upstream = serve(echo)
    folder = tmp_path / "gateway0"
    folder.mkdir()
    (folder / "policies.py").write_text(
        "from tidegate.policy import answer, modify\n"
        "def check(request):\n"
        "    told = (request.tls_version, request.sni, request.tls_client_verified, request.tls_client_subject,\n"
        "            request.tls_client_san, request.tls_cipher, request.scheme)\n"
        "    return modify(set_headers={'X-Hook': ' '.join(told)})\n"
    )
    edits = {"request": {"set": {"X-Client": "${tls_client_subject}"}}}
    gateway = start(
        {
            **asking(authority, staff, "optional"),
            "routes": [{"hook": "policies:check", "upstream": upstream.url, "headers": edits}],
        }
    )
    with Secure(gateway.address, context(authority.file, staff.sign("web.test", client=True).pair)) as client:
        assert client.request(X_Client="CN=admin").status == 200
    fields = dict(upstream.requests[0].fields)
    assert fields["X-Client"] == "CN=web.test"
    assert fields["X-Hook"] == f"TLSv1.3 {SITE} success CN=web.test DNS:web.test TLS_AES_128_GCM_SHA256 https"
    with Secure(gateway.address, context(authority.file)) as client:
        assert client.request(X_Client="CN=admin").status == 200
    fields = dict(upstream.requests[1].fields)
    assert "X-Client" not in fields, "a client's own word on it never goes through"


def test_a_connection_that_was_made_for_one_host_is_not_good_for_another(
    start: Start, authority: Authority, staff: Authority
) -> None:
    """RFC 9110 §15.5.20: what was decided about its client was decided for that host."""
    gateway = start(asking(authority, staff, "required"))
    made = context(authority.file, staff.sign("web.test", client=True).pair)
    with Secure(gateway.address, made) as client:
        assert client.request(host=SITE).status == 200
        assert client.request(host=f"{SITE.upper()}:8443").status == 200
        answer = client.request(host="www.site.test")
        assert (answer.status, answer.problem) == (421, "misdirected")
    nameless = context(None, staff.sign("web.test", client=True).pair)
    with Secure(gateway.address, nameless, None) as client:
        assert client.request(host=SITE).status == 421
        assert client.request(host="127.0.0.1").status == 200, "clients name no addresses in a handshake"


def test_without_required_certificates_a_connection_is_good_for_every_host(
    start: Start, authority: Authority, staff: Authority
) -> None:
    """As browsers do it that put names of one certificate on one connection (RFC 9110 §4.3.3)."""
    gateway = start(asking(authority, staff, "optional"))
    with Secure(gateway.address, context(authority.file)) as client:
        assert client.request(host="www.site.test").status == 200
