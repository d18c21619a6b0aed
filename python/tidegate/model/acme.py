"""Certificates that an authority gives by ACME (RFC 8555)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.noun import Noun, about
from tidegate.model.secret import Secret


class Eab(Noun, frozen=True, kw_only=True):
    """An account that there is already with the authority, outside ACME (external account binding)."""

    kid: Annotated[str, about("The key's name, as the authority gave it.")]
    hmac: Annotated[Secret, about("The key itself, base64url, as the authority gave it; best as `${ENV}`.")]


class Acme(Noun, frozen=True, kw_only=True):
    """A certificate that is fetched and renewed."""

    domains: Annotated[
        list[str],
        Meta(
            description="The names that it bears, all in one certificate; each must lead here.",
            examples=[["a.example", "www.a.example"]],
        ),
    ]
    agree_terms: Annotated[
        bool, about("`on` says that you agree to the authority's terms of service; without it nothing is asked for.")
    ] = False
    email: Annotated[str | None, about("Whom the authority may write to, on what concerns the account.")] = None
    directory: Annotated[str, about("The authority: where its ACME directory is.")] = defaults.ACME_DIRECTORY
    ca: Annotated[
        str | None, about("A file with authorities in PEM that the directory's own certificate is checked against.")
    ] = None
    challenge: Annotated[
        Literal["tls-alpn-01", "http-01"],
        about("How it is shown that the names lead here: `tls-alpn-01` within TLS at port 443, `http-01` at port 80."),
    ] = "tls-alpn-01"
    key: Annotated[Literal["ecdsa", "rsa"], about("The certificate's key: ECDSA on P-256, or RSA with 2048 bits.")] = (
        "ecdsa"
    )
    eab: Annotated[Eab | None, about("Where the authority wants an account that there is already.")] = None
