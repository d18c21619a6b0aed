"""Authorities and certificates of the tests' own, in files."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)


class Authority:
    """Signs, and writes what it signs into a folder."""

    def __init__(self, folder: Path, name: str = "Test CA", above: Authority | None = None) -> None:
        self.folder = folder
        self.name = name
        self.key: Key = ec.generate_private_key(ec.SECP256R1())
        self.above = above
        signed = self._builder(name, self.key, above or self, NOW - DAY, NOW + 3650 * DAY)
        signed = signed.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        signed = signed.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        self.certificate = signed.sign((above or self).key, hashes.SHA256())
        self.file = str(folder / f"{name.replace(' ', '-').lower()}.pem")
        Path(self.file).write_bytes(pem(self.certificate))

    def sign(
        self,
        *names: str,
        stem: str | None = None,
        kind: str = "ecdsa",
        since: dt.datetime = NOW - DAY,
        until: dt.datetime = NOW + 90 * DAY,
        subject: x509.Name | None = None,
        chain: str = "full",
        client: bool = False,
        issuer_url: bool = False,
    ) -> Signed:
        """A certificate for names; those with `://` are URIs."""
        key: Key = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else RSA
        builder = self._builder(names[0] if names else "nobody", key, self, since, until, subject)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(name) for name in names]), critical=False
            )
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if issuer_url:
            place = x509.UniformResourceIdentifier("http://ca.test/ca.der")
            told = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
            builder = builder.add_extension(x509.AuthorityInformationAccess([told]), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        between = [] if self.above is None or chain == "leaf" else [self.certificate]
        together = [certificate, *between]
        if chain == "reversed":
            together.reverse()
        stem = stem or (names[0] if names else "nameless").replace("*", "any")
        return Signed(self.folder, stem, together, certificate, key)

    def staple(self, signed: Signed, *, until: dt.datetime = NOW + DAY) -> str:
        """An OCSP answer that says that all is well."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=signed.certificate,
            issuer=self.certificate,
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=NOW - 2 * DAY,
            next_update=until,
            revocation_time=None,
            revocation_reason=None,
        )
        made = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate).sign(self.key, hashes.SHA256())
        file = signed.folder / f"{signed.stem}.ocsp"
        file.write_bytes(made.public_bytes(serialization.Encoding.DER))
        return str(file)

    def _builder(
        self,
        name: str,
        key: Key,
        issuer: Authority,
        since: dt.datetime,
        until: dt.datetime,
        subject: x509.Name | None = None,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject or _common(name))
            .issuer_name(_common(issuer.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
        )


class Signed:
    """A certificate with its chain and key, in files."""

    def __init__(
        self, folder: Path, stem: str, chain: list[x509.Certificate], certificate: x509.Certificate, key: Key
    ) -> None:
        self.folder, self.stem, self.chain, self.certificate, self.key = folder, stem, chain, certificate, key
        self.cert_file = str(folder / f"{stem}.pem")
        self.key_file = str(folder / f"{stem}.key")
        self.write()

    def write(self) -> None:
        """Replaces the files, the key first."""
        replace(self.key_file, self.key_pem())
        replace(self.cert_file, b"".join(map(pem, self.chain)))

    def key_pem(self, form: str = "pkcs8", password: bytes | None = None) -> bytes:
        """The key, as `pkcs8` or as OpenSSL wrote it before (PKCS#1, SEC 1)."""
        forms = {"pkcs8": serialization.PrivateFormat.PKCS8, "old": serialization.PrivateFormat.TraditionalOpenSSL}
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, forms[form], lock)

    def pkcs12(self, password: bytes) -> str:
        """The whole of it in one file."""
        file = self.folder / f"{self.stem}.p12"
        lock = serialization.BestAvailableEncryption(password)
        rest = self.chain[1:]
        file.write_bytes(pkcs12.serialize_key_and_certificates(b"site", self.key, self.certificate, rest, lock))
        return str(file)

    @property
    def entry(self) -> dict[str, Any]:
        """As a configuration names it."""
        return {"cert": self.cert_file, "key": self.key_file}

    @property
    def pair(self) -> tuple[str, str]:
        return self.cert_file, self.key_file

    @property
    def serial(self) -> int:
        return self.certificate.serial_number


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def replace(file: str, content: bytes) -> None:
    """As tools that renew certificates do it: a new file in the old one's place."""
    fresh = Path(f"{file}.new")
    fresh.write_bytes(content)
    fresh.replace(file)


def _common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


RSA: rsa.RSAPrivateKey = rsa.generate_private_key(public_exponent=65537, key_size=2048)
"""One for all: making them takes long."""
