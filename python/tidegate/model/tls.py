"""TLS towards clients: certificates, who must show one, how old a session may get."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.acme import Acme
from tidegate.model.noun import Noun, about
from tidegate.model.secret import Secret
from tidegate.model.units import Age, Duration


class Certificate(Noun, frozen=True, kw_only=True):
    """A certificate with its chain and its key."""

    cert: Annotated[
        str,
        about(
            "A file with the certificate and its chain in PEM, the certificate itself first; or PKCS#12 with the key.",
            "site.pem",
        ),
    ]
    key: Annotated[
        str | None,
        about("A file with the key in PEM (PKCS#8, PKCS#1 or SEC 1); `cert` itself unless given.", "site.key"),
    ] = None
    ocsp: Annotated[
        str | None, about("A file with an OCSP answer in DER that is sent along (stapled); read anew when it changes.")
    ] = None
    password: Annotated[Secret | None, about("Of PKCS#12, or of an encrypted key; best as `${ENV}`.")] = None


class ClientCertificates(Noun, frozen=True, kw_only=True):
    """Certificates of clients."""

    ca: Annotated[str, about("A file with authorities in PEM: only certificates that they signed are taken.", "ca.pem")]
    verify: Annotated[
        Literal["required", "optional"],
        about("Whether one must be shown; one that is shown is always checked."),
    ] = "required"


class Hsts(Noun, frozen=True, kw_only=True):
    """Strict-Transport-Security (RFC 6797): browsers that have seen it come by TLS only."""

    max_age: Annotated[Age, about("For how long.")] = defaults.HSTS_AGE
    include_subdomains: Annotated[bool, about("Whether it holds for all names below this one too.")] = False
    preload: Annotated[bool, about("Whether browsers' makers may put the name into their lists.")] = False


class ListenerTls(Noun, frozen=True, kw_only=True):
    """TLS on a listener."""

    certificates: Annotated[
        list[Certificate],
        Meta(description="Which one a client is shown its name decides, and what signatures it knows."),
    ] = []
    acme: Annotated[
        Acme | list[Acme],
        about("Certificates that an authority gives and renews by ACME; they come behind the others."),
    ] = []
    default: Annotated[
        Literal["first", "refuse"],
        about("What a client gets that asks for a name which no certificate bears: the first one, or an alert."),
    ] = "first"
    client: Annotated[ClientCertificates | None, about("Who must show a certificate.")] = None
    profile: Annotated[
        Literal["modern", "intermediate"],
        about("`modern`: TLS 1.3. `intermediate`: TLS 1.2 too, with ECDHE and AEAD suites only."),
    ] = "intermediate"
    hsts: Annotated[Hsts | bool, about("Strict-Transport-Security on every answer; `on` for a year.")] = False
    tickets: Annotated[
        Duration | bool,
        about("How long a session can be resumed, up to 12h; its keys change in half of that time. `off` for never."),
    ] = True
