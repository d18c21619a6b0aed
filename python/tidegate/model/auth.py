"""Who may come: by address, by key, by name and password."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model.noun import Many, Noun, about
from tidegate.model.secret import Secret

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ApiKey(Noun, frozen=True, kw_only=True):
    """One key: itself or its hash."""

    name: Annotated[str, about("What the log, `${user}` and limits call it.")]
    key: Annotated[Secret | None, about("The key, best as `${ENV}`; only its hash is kept.")] = None
    sha256: Annotated[Sha256 | None, about("SHA-256 of the key in hexadecimal digits, instead of `key`.")] = None


class ApiKeys(Noun, frozen=True, kw_only=True):
    """API keys, looked for in one place: `Authorization: Bearer KEY` unless `header` or `query` says otherwise."""

    keys: Annotated[list[ApiKey], about("Those that are let in.")]
    header: Annotated[str | None, about("A request header whose whole value is the key.", "X-Api-Key")] = None
    query: Annotated[str | None, about("A query parameter; it ends up in logs elsewhere, so prefer a header.")] = None
    forward: Annotated[bool, about("Whether the upstream sees the credential.")] = False


class User(Noun, frozen=True, kw_only=True):
    """One user: a password or its hash."""

    name: Annotated[str, about("Without a colon.")]
    password: Annotated[Secret | None, about("The password, best as `${ENV}`; only its hash is kept.")] = None
    sha256: Annotated[
        Sha256 | None, about("SHA-256 of `NAME:PASSWORD` in hexadecimal digits, instead of `password`.")
    ] = None


class Basic(Noun, frozen=True, kw_only=True):
    """Names and passwords (RFC 7617)."""

    users: Annotated[list[User], about("Those that are let in.")]
    realm: Annotated[str, about("What the browser shows.")] = "Restricted"
    forward: Annotated[bool, about("Whether the upstream sees the credential.")] = False


class Auth(Noun, frozen=True, kw_only=True):
    """Who may come by credentials: one of the two."""

    api_keys: Annotated[ApiKeys | None, about("Secrets in a header or a parameter.")] = None
    basic: Annotated[Basic | None, about("Names and passwords.")] = None


class Access(Noun, frozen=True, kw_only=True):
    """Who may come by address: `deny` first, then `allow`; an empty `allow` lets everybody else in."""

    allow: Annotated[Many, about("Addresses and CIDR blocks.", ["10.0.0.0/8", "::1"])] = []
    deny: Annotated[Many, about("Addresses and CIDR blocks.")] = []
