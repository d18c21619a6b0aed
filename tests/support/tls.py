"""Clients of TLS listeners: curl, openssl, and Python's own."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess

from cryptography import x509
from tests.support.client import connect, message
from tests.support.gateway import Tidegate, program
from tests.support.http import Response, Stream, read_response

SITE = "site.test"


class Curl:
    """What curl said of one request."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.status = done.returncode
        self.text = done.stdout.decode("utf-8", "replace")
        self.error = done.stderr.decode("utf-8", "replace")
        self.code = int(found[1]) if (found := re.search(r"^HTTP/\S+ (\d+)", self.text, re.MULTILINE)) else 0
        self.body = self.text.partition("\r\n\r\n")[2]

    def header(self, name: str) -> str | None:
        found = re.findall(rf"^{name}: (.*?)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        assert len(found) < 2, found
        return found[0] if found else None


def curl(address: str, *options: str, host: str = SITE, ca: str | None = None, path: str = "/") -> Curl:
    """One request by curl to a name that is resolved to `address`."""
    port = address.rpartition(":")[2]
    trust = ["--cacert", ca] if ca is not None else ["-k"]
    command = [program("curl"), "-sSi", "--max-time", "20", "--resolve", f"{host}:{port}:127.0.0.1", *trust, *options]
    done = subprocess.run([*command, f"https://{host}:{port}{path}"], capture_output=True, check=False, timeout=30)
    return Curl(done)


def s_client(address: str, *options: str, name: str | None = SITE, send: bytes = b"") -> str:
    """What `openssl s_client` says of a handshake, and of what comes behind it."""
    asked = ["-servername", name] if name is not None else ["-noservername"]
    command = [program("openssl"), "s_client", "-connect", address, *asked, *options]
    done = subprocess.run(command, input=send, capture_output=True, check=False, timeout=30)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def context(
    ca: str | None = None, pair: tuple[str, str] | None = None, alpn: list[str] | None = None
) -> ssl.SSLContext:
    """A client that trusts one authority, or whoever comes."""
    made = ssl.create_default_context(cafile=ca)
    if ca is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if pair is not None:
        made.load_cert_chain(*pair)
    if alpn is not None:
        made.set_alpn_protocols(alpn)
    return made


class Secure:
    """One connection by Python's own TLS."""

    def __init__(
        self,
        address: str,
        made: ssl.SSLContext | None = None,
        name: str | None = SITE,
        session: ssl.SSLSession | None = None,
        before: bytes = b"",
    ) -> None:
        raw = connect(address)
        if before:
            raw.sendall(before)
        try:
            self.sock = (made or context()).wrap_socket(raw, server_hostname=name, session=session)
        except BaseException:
            raw.close()
            raise
        self.stream = Stream(self.sock)

    def __enter__(self) -> Secure:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def request(self, target: str = "/", host: str = SITE, **headers: str) -> Response:
        pairs = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.sock.sendall(message("GET", target, pairs))
        return read_response(self.stream, "GET")

    @property
    def certificate(self) -> x509.Certificate:
        """What the server has shown."""
        der = self.sock.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)


def serial(address: str, name: str | None = SITE, made: ssl.SSLContext | None = None) -> int:
    """The serial number of the certificate that a client of that name is shown."""
    with Secure(address, made, name) as client:
        return client.certificate.serial_number


def alert(address: str, name: str | None = SITE, made: ssl.SSLContext | None = None) -> str:
    """The alert that a handshake ends with."""
    try:
        with Secure(address, made, name) as client:
            client.request()
    except ssl.SSLError as error:
        return error.reason or str(error)
    except (ConnectionError, socket.timeout) as error:  # noqa: UP041 — what the socket raised
        return type(error).__name__
    raise AssertionError("the handshake was taken")


def failures(gateway: Tidegate) -> dict[str, float]:
    """Handshakes that failed, by reason."""
    found = gateway.metrics().some("tidegate_tls_handshake_failures_total")
    return {dict(labels)["reason"]: value for labels, value in found.items()}
