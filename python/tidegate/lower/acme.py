"""Certificates by ACME: what can be known to be wrong is told, and what stands in until one has come is made."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tidegate import plan
from tidegate.lower.own import own_route
from tidegate.lower.tls import file_path
from tidegate.lower.work import each

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.acme import Acme
    from tidegate.model.secret import Secret

__all__ = ["DOMAINS_MOST", "PLACEHOLDER", "ROUTE", "Order", "look_over_challenges", "lower_acme", "placeholder"]

DOMAINS_MOST = 100
"""Names in one certificate: Let's Encrypt's bound."""
PLACEHOLDER = " (placeholder)"
"""Ends the name of a certificate that nobody has signed and that stands in."""

ROUTE = "acme:http-01"
"""The name of the routes that answer authorities."""

_PLACEHOLDER_S = 7 * 86400
_PORTS = {"http-01": 80, "tls-alpn-01": 443}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?")


class Order(NamedTuple):
    """A certificate that is to be had, and from whom."""

    name: str
    """As plan, status, metrics and logs call it."""
    domains: tuple[str, ...]
    directory: str
    email: str | None
    ca: str | None
    challenge: str
    key: str
    eab: tuple[str, Secret] | None
    listeners: tuple[int, ...] = ()
    """Where it is shown: indices in the plan."""
    route: plan.Route | None = None
    """What a route that answers the authority looks like, but for what it answers."""


def lower_acme(written: Acme | list[Acme], path: Path, work: Work) -> list[plan.Certificate]:
    """Notes the orders of the listener that is about to be added; the certificates that stand in for them."""
    made = []
    for entry, at in each(written, path):
        order = _order(entry, at, work)
        if order is not None and _note(order, at, work):
            made.append(placeholder(order.name, order.domains))
    return made


def look_over_challenges(work: Work) -> None:
    """What only can be seen when all listeners are known: whether the authority finds one that answers it."""
    plain = [listener for listener in work.listeners if listener.tls is None and listener.tcp is None]
    for order, path in zip(work.orders, work.order_paths, strict=True):
        asked = plain if order.challenge == "http-01" else [work.listeners[at] for at in order.listeners]
        port = _PORTS[order.challenge]
        if not any(isinstance(one.address, plan.AddressIp) and one.address.port == port for one in asked):
            if port == 80:
                what = "the authority asks for the proof at port 80, and no plain listener is there"
                right = 'add `{address: ":80", redirect_https: on}`, or see that port 80 is led to a plain listener'
            else:
                what = "the authority asks for the proof at port 443, and this listener is at another one"
                right = "see that port 443 is led to it"
            work.warn((*path, "challenge"), what, right)


@lru_cache(maxsize=1024)
def placeholder(name: str, domains: tuple[str, ...]) -> plan.Certificate:
    """What is shown until the authority has given a certificate: signed by nobody, and saying so in its name.

    It is the same one as long as the process lives, so that a reload finds nothing new.
    """
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tidegate placeholder: no certificate yet")])
    since = int(time.time()) - 3600
    until = since + _PLACEHOLDER_S
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(since, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(until, dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return plan.Certificate(
        name=name + PLACEHOLDER,
        names=list(domains),
        chain=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        ocsp="",
        not_after_s=until,
    )


def _order(entry: Acme, at: Path, work: Work) -> Order | None:
    domains = _domains(entry, at, work)
    good = _directory(entry, at, work)
    if not entry.agree_terms:
        what = "the authority's terms of service are not agreed to"
        work.error((*at, "agree_terms"), what, "read them and write `agree_terms: on`")
        good = False
    if entry.email is not None and not re.fullmatch(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+", entry.email):
        work.error((*at, "email"), f"`{entry.email}` is no mail address", "write one, or leave `email` out")
        good = False
    if entry.eab is not None and not _is_base64url(entry.eab.hmac):
        work.error((*at, "eab", "hmac"), "this is not base64url", "write the key as the authority gave it")
        good = False
    ca = None
    if entry.ca is not None:
        from tidegate.lower.certificate import authorities

        authorities(entry.ca, (*at, "ca"), work)
        ca = file_path(entry.ca, (*at, "ca"), work)
    if not domains or not good:
        return None
    return Order(
        name=f"acme:{domains[0]}" + ("" if entry.key == "ecdsa" else f"/{entry.key}"),
        domains=domains,
        directory=entry.directory,
        email=entry.email,
        ca=ca,
        challenge=entry.challenge,
        key=entry.key,
        eab=(entry.eab.kid, entry.eab.hmac) if entry.eab is not None else None,
        route=own_route(work, [], ROUTE, plan.PathPrefix(value="/"), plan.Builtin(name="not_found"), logged=True),
    )


def _domains(entry: Acme, at: Path, work: Work) -> tuple[str, ...]:
    path = (*at, "domains")
    if not entry.domains:
        work.error(path, "no name is given", "list those that the certificate is to bear")
    if len(entry.domains) > DOMAINS_MOST:
        work.error(path, f"these are {len(entry.domains)} names", f"write {DOMAINS_MOST} or fewer; make two of it")
    found = []
    for index, written in enumerate(entry.domains):
        wrong = _wrong(written, entry.challenge)
        if wrong is not None:
            work.error((*path, index), *wrong)
            continue
        name = written.lower().rstrip(".")
        if name in found:
            work.warn((*path, index), f"`{name}` is named twice", "leave one out")
            continue
        found.append(name)
    return tuple(found) if len(found) <= DOMAINS_MOST else ()


def _wrong(name: str, challenge: str) -> tuple[str, str] | None:
    if name.startswith("*."):
        told = f"`{challenge}` can't prove `{name}`: authorities give wildcards by `dns-01` only"
        return told, "list the names one by one, or put a certificate with the wildcard into `certificates`"
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        return f"`{name}` is an address", "name the domain that leads to it"
    if not name.isascii():
        try:
            right = f"write `{name.encode('idna').decode()}`"
        except UnicodeError:
            right = "write it in ASCII (`xn--…`)"
        return f"`{name}` is not as it stands in certificates", right
    bare = name.lower().rstrip(".")
    if not bare or len(bare) > 253 or not all(len(x) < 64 and _LABEL.fullmatch(x) for x in bare.split(".")):
        return f"`{name}` is no domain", "write one like `www.example.com`, without scheme and port"
    return None


def _directory(entry: Acme, at: Path, work: Work) -> bool:
    try:
        url = urlsplit(entry.directory)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme != "https" or not url.hostname or url.username or port == 0:
        what = f"`{entry.directory}` is no address of an ACME directory"
        work.error((*at, "directory"), what, "write one like `https://acme.example.com/directory`; it must be https")
        return False
    return True


def _is_base64url(secret: Secret) -> bool:
    text = secret.for_wire().rstrip("=")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(decoded)


def _note(order: Order, at: Path, work: Work) -> bool:
    """Takes an order in; the same one may be shown by several listeners. False where another is in its way."""
    here = len(work.listeners)
    for index, (other, path) in enumerate(zip(work.orders, work.order_paths, strict=True)):
        there = work.place(path)
        if other.name == order.name:
            if other._replace(listeners=()) != order:
                what = f"`{order.domains[0]}` is already the first name of another order, at {there}"
                work.error((*at, "domains"), what, "write both alike, or begin with another name")
                return False
            if here not in other.listeners:
                work.orders[index] = other._replace(listeners=(*other.listeners, here))
            return True
        if other.directory == order.directory and (other.email, other.eab, other.ca) != (
            order.email,
            order.eab,
            order.ca,
        ):
            what = f"there is one account for one directory, and it is another at {there}"
            work.error(at, what, "write `email`, `eab` and `ca` alike at both")
            return False
    work.orders.append(order._replace(listeners=(here,)))
    work.order_paths.append(at)
    return True
