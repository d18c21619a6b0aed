"""Certificates of listeners: PEM and PKCS#12 read, the key normalised, every fault that can be known told.

Imported where a listener has TLS, and nowhere else: `cryptography` takes its time.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp as ocsp_answers
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate import plan
from tidegate.lower.tls import file_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from tidegate.lower.work import Path, Work
    from tidegate.model.tls import Certificate

__all__ = ["authorities", "lower_certificates"]

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Extension = TypeVar("Extension", bound=x509.ExtensionType)

_SOON = dt.timedelta(days=14)
_MOST_BYTES = 1024 * 1024
"""No certificate, key or answer is larger; somebody named the wrong file."""

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_RSA_LEAST = 2048


class _Wrong(Exception):
    """What is wrong with a file, what would be right, and which key of the configuration names it."""

    def __init__(self, what: str, right: str, key: str = "cert") -> None:
        super().__init__(what)
        self.what = what
        self.right = right
        self.key = key


class _Loaded(NamedTuple):
    chain: list[x509.Certificate]
    key: Key


def lower_certificates(written: list[Certificate], path: Path, work: Work) -> list[plan.Certificate]:
    """All certificates of a listener; what is wrong is noted."""
    made: list[plan.Certificate] = []
    taken: dict[tuple[str, str], Path] = {}
    for index, entry in enumerate(written):
        at = (*path, index)
        try:
            loaded = _load(entry, at, work)
            ocsp = _ocsp(entry, at, work, loaded)
        except _Wrong as wrong:
            work.error((*at, wrong.key), wrong.what, wrong.right)
            continue
        names = _names(loaded.chain[0], entry, (*at, "cert"), work)
        _look_over(loaded, entry, (*at, "cert"), work)
        kind = type(loaded.key).__name__
        for name in names:
            before = taken.setdefault((name, kind), at)
            if before is not at:
                work.warn(
                    (*at, "cert"),
                    f"`{name}` is already borne by the certificate at {work.place(before)}, which is shown",
                    "leave one of them out",
                )
        made.append(
            plan.Certificate(
                name=entry.cert,
                names=names,
                chain="".join(_pem(certificate) for certificate in loaded.chain),
                key=loaded.key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                ).decode(),
                ocsp=ocsp,
                not_after_s=int(loaded.chain[0].not_valid_after_utc.timestamp()),
            )
        )
    return made


def authorities(name: str, path: Path, work: Work) -> str:
    """The authorities in a file, in PEM; what is wrong is noted."""
    try:
        found = _certificates(_read(file_path(name, path, work), name, "ca"), name, "ca")
    except _Wrong as wrong:
        work.error(path, wrong.what, wrong.right)
        return ""
    now = dt.datetime.now(dt.UTC)
    for certificate in found:
        if certificate.not_valid_after_utc < now:
            work.warn(path, f"`{_subject(certificate)}` in `{name}` has expired", "leave it out")
    return "".join(map(_pem, found))


def _load(entry: Certificate, at: Path, work: Work) -> _Loaded:
    content = _read(file_path(entry.cert, (*at, "cert"), work), entry.cert)
    password = entry.password.for_wire().encode() if entry.password is not None else None
    if b"-----BEGIN" not in content:
        return _pkcs12(content, password, entry)
    chain = _certificates(content, entry.cert)
    where = "cert"
    if entry.key is not None:
        content, where = _read(file_path(entry.key, (*at, "key"), work), entry.key, "key"), "key"
    key = _key(content, password, entry.key or entry.cert, where)
    own = _certificate_of(key, chain, entry, where)
    return _Loaded(_in_order(own, chain, entry, (*at, "cert"), work), key)


def _read(file: str, name: str, key: str = "cert") -> bytes:
    try:
        with open(file, "rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _Wrong(f"`{name}` can't be read: {error.strerror}", "see that it is there and may be read", key) from None
    if len(content) > _MOST_BYTES:
        raise _Wrong(f"`{name}` is too large to be what it should be", "name the right file", key)
    return content


def _certificates(content: bytes, name: str, key: str = "cert") -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        has = "is no certificate" if b"BEGIN CERTIFICATE" in content else "has no certificate in it"
        raise _Wrong(f"`{name}` {has}", "name a file with certificates in PEM", key) from None


def _key(content: bytes, password: bytes | None, name: str, where: str) -> Key:
    pem = _key_block(content)
    if pem is None:
        raise _Wrong(f"`{name}` has no key in it", "name the file with the key as `key`", where)
    try:
        key = serialization.load_pem_private_key(pem, password)
    except TypeError:
        if password is None:
            raise _Wrong(f"the key in `{name}` is encrypted", 'add `password: "${KEY_PASSWORD}"`', where) from None
        # A password that is not needed does no harm.
        return _key(content, None, name, where)
    except (ValueError, UnsupportedAlgorithm):
        if password is not None and b"ENCRYPTED" in pem:
            raise _Wrong(f"the password does not open the key in `{name}`", "write the right one", "password") from None
        raise _Wrong(
            f"the key in `{name}` can't be read", "write it as PKCS#8, PKCS#1 or SEC 1 in PEM", where
        ) from None
    return _usable(key, name, where)


def _usable(key: object, name: str, where: str) -> Key:
    right = "make one by ECDSA on P-256, or by RSA with 2048 bits or more"
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _RSA_LEAST:
            raise _Wrong(f"the key in `{name}` has {key.key_size} bits only", right, where)
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise _Wrong(f"the key in `{name}` is of a kind that TLS does not use", right, where)


def _key_block(content: bytes) -> bytes | None:
    """The first private key in a file that may hold other things too."""
    lines: list[bytes] = []
    for line in content.splitlines():
        if line.startswith(b"-----BEGIN") and b"PRIVATE KEY" in line:
            lines = [line]
        elif lines:
            lines.append(line)
            if line.startswith(b"-----END"):
                return b"\n".join(lines) + b"\n"
    return None


def _pkcs12(content: bytes, password: bytes | None, entry: Certificate) -> _Loaded:
    if entry.key is not None:
        raise _Wrong(f"`{entry.cert}` is no PEM", "name certificates in PEM, or leave `key` out for PKCS#12")
    try:
        found = pkcs12.load_pkcs12(content, password)
    except (ValueError, UnsupportedAlgorithm, TypeError):
        if not content.startswith(b"\x30"):
            raise _Wrong(f"`{entry.cert}` is neither PEM nor PKCS#12", "name the right file") from None
        what = "the password does not open" if password is not None else "a password is needed for"
        where = "password" if password is not None else "cert"
        raise _Wrong(f"{what} `{entry.cert}`", 'write it as `password: "${NAME}"`', where) from None
    if found.key is None or found.cert is None:
        raise _Wrong(f"`{entry.cert}` has no certificate with its key in it", "export both")
    key = _usable(found.key, entry.cert, "cert")
    chain = [found.cert.certificate]
    rest = [extra.certificate for extra in found.additional_certs]
    while issuer := next((extra for extra in rest if extra.subject == chain[-1].issuer), None):
        rest.remove(issuer)
        chain.append(issuer)
    return _Loaded(chain, key)


def _certificate_of(key: Key, chain: list[x509.Certificate], entry: Certificate, where: str) -> x509.Certificate:
    """The one that the key was made for, wherever it stands."""
    mine = _public(key.public_key())
    for certificate in chain:
        if _public(certificate.public_key()) == mine:
            return certificate
    raise _Wrong(
        f"the key does not belong to the certificate in `{entry.cert}`", "name the key that it was made for", where
    )


def _public(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _in_order(
    own: x509.Certificate, chain: list[x509.Certificate], entry: Certificate, path: Path, work: Work
) -> list[x509.Certificate]:
    """The chain as clients take it: each certificate before its issuer."""
    ordered = [own]
    rest = [other for other in chain if other is not own]
    while issuer := next((other for other in rest if other.subject == ordered[-1].issuer), None):
        rest.remove(issuer)
        ordered.append(issuer)
    if rest:
        names = ", ".join(f"`{_subject(other)}`" for other in rest)
        work.warn(path, f"`{entry.cert}` holds {names}, by which nothing in the chain is signed", "leave it out")
    elif ordered != chain:
        what = f"the chain in `{entry.cert}` is out of order; it is sent in order"
        work.warn(path, what, "write each certificate before its issuer")
    return ordered


def _look_over(loaded: _Loaded, entry: Certificate, path: Path, work: Work) -> None:
    """What clients will not like; nothing of it keeps Tidegate from starting, since the next start may be at 3 a.m."""
    now = dt.datetime.now(dt.UTC)
    for certificate in loaded.chain:
        whose = f"`{entry.cert}`" if certificate is loaded.chain[0] else f"`{_subject(certificate)}` in `{entry.cert}`"
        until, since = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        if until < now:
            work.warn(path, f"{whose} has expired on {until:%Y-%m-%d}", "renew it")
        elif since > now:
            work.warn(path, f"{whose} is not valid before {since:%Y-%m-%d %H:%M} UTC", "see that the clock is right")
        elif until - now < _SOON and certificate is loaded.chain[0] and until - since > 2 * _SOON:
            work.warn(path, f"{whose} expires on {until:%Y-%m-%d}", "renew it")
    last = loaded.chain[-1]
    for signed, issuer in zip(loaded.chain, loaded.chain[1:], strict=False):
        try:
            signed.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            work.warn(path, f"`{_subject(issuer)}` has not signed `{_subject(signed)}`", "put the right chain together")
    if len(loaded.chain) == 1 and last.issuer != last.subject and _has_issuer_url(last):
        work.warn(
            path,
            f"the chain in `{entry.cert}` is incomplete: `{_issuer(last)}` is missing",
            "append the intermediate certificates (`fullchain.pem`)",
        )
    usage = _extension(loaded.chain[0], x509.ExtendedKeyUsage)
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        work.warn(path, f"`{entry.cert}` is not one for servers", "have it made with the usage `serverAuth`")


def _has_issuer_url(certificate: x509.Certificate) -> bool:
    """Public authorities say where their intermediate is to be had; own ones sign directly."""
    return _extension(certificate, x509.AuthorityInformationAccess) is not None


def _names(certificate: x509.Certificate, entry: Certificate, path: Path, work: Work) -> list[str]:
    """The names that it bears; clients look at the alternative names only (RFC 9525 section 6.3)."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    names = [] if found is None else [name.lower().rstrip(".") for name in found.get_values_for_type(x509.DNSName)]
    if found is None or not (names or found.get_values_for_type(x509.IPAddress)):
        work.warn(
            path,
            f"`{entry.cert}` bears no name: clients look at `subjectAltName` only",
            "have it made with the names that are asked for",
        )
    for name in names:
        labels = name.split(".")
        if "*" in "".join(labels[1:]) or ("*" in labels[0] and labels[0] != "*"):
            work.warn(path, f"`{name}` stands for nothing: a star is the whole first label", "write `*.example.com`")
        elif labels[0] == "*" and len(labels) < 3:
            work.warn(path, f"`{name}` is taken by no browser: a star needs two labels behind it", "name the domains")
    return list(dict.fromkeys(names))


def _ocsp(entry: Certificate, at: Path, work: Work, loaded: _Loaded) -> str:
    if entry.ocsp is None:
        return ""
    content = _read(file_path(entry.ocsp, (*at, "ocsp"), work), entry.ocsp, "ocsp")
    try:
        answer = ocsp_answers.load_der_ocsp_response(content)
        single = next(iter(answer.responses))
    except (ValueError, UnsupportedAlgorithm, StopIteration):
        raise _Wrong(f"`{entry.ocsp}` is no OCSP answer", "name a file with one in DER", "ocsp") from None
    path = (*at, "ocsp")
    if single.serial_number != loaded.chain[0].serial_number:
        raise _Wrong(f"`{entry.ocsp}` is about another certificate", "fetch the answer anew", "ocsp")
    if single.certificate_status is not ocsp_answers.OCSPCertStatus.GOOD:
        work.warn(
            path, f"`{entry.ocsp}` says that the certificate is {single.certificate_status.name.lower()}", "renew it"
        )
    until = single.next_update_utc
    if until is not None and until < dt.datetime.now(dt.UTC):
        work.warn(path, f"`{entry.ocsp}` has expired on {until:%Y-%m-%d}; it is not sent", "fetch the answer anew")
        return ""
    return content.hex()


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _subject(certificate: x509.Certificate) -> str:
    return _common_name(certificate.subject)


def _issuer(certificate: x509.Certificate) -> str:
    return _common_name(certificate.issuer)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()
