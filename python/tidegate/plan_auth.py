"""The part of a plan that says who may come by credentials; see `tidegate.plan`."""

from __future__ import annotations

from tidegate.plan_part import KeyPart, Part

__all__ = [
    "Any",
    "ApiKey",
    "ApiKeys",
    "Auth",
    "AuthForward",
    "Basic",
    "BasicUser",
    "ClaimHeader",
    "ForwardCache",
    "Jwt",
    "KeyBearer",
    "KeyCookie",
    "KeyFetch",
    "KeyHeader",
    "KeyQuery",
    "KeySet",
    "KeySource",
    "Oidc",
    "OidcProvider",
    "PasswordHash",
]


class KeyHeader(Part, tag_field="kind", tag="header", frozen=True, kw_only=True):
    """A field whose whole value is the key."""

    name: str


class KeyBearer(Part, tag_field="kind", tag="bearer", frozen=True, kw_only=True):
    """`Authorization: Bearer KEY`."""


class KeyQuery(Part, tag_field="kind", tag="query", frozen=True, kw_only=True):
    """A query parameter."""

    name: str


class KeyCookie(Part, tag_field="kind", tag="cookie", frozen=True, kw_only=True):
    """A cookie."""

    name: str


KeySource = KeyHeader | KeyBearer | KeyQuery | KeyCookie


class ApiKey(Part, frozen=True, kw_only=True):
    """One key."""

    name: str
    sha256: str


class ApiKeys(Part, tag_field="kind", tag="api_keys", frozen=True, kw_only=True):
    """API keys, by hash."""

    source: KeySource
    keys: list[ApiKey]
    strip: bool


class BasicUser(Part, frozen=True, kw_only=True):
    """One user."""

    name: str
    sha256: str


class PasswordHash(Part, frozen=True, kw_only=True):
    """One user of a password file."""

    name: str
    hash: str


class Basic(Part, tag_field="kind", tag="basic", frozen=True, kw_only=True):
    """Names and passwords, by hash."""

    realm: str
    users: list[BasicUser]
    hashes: list[PasswordHash]
    strip: bool


class ClaimHeader(Part, frozen=True, kw_only=True):
    """A claim that the upstream is told in a field."""

    claim: str
    name: str


class KeyFetch(Part, frozen=True, kw_only=True):
    """How keys that are not known are asked for."""

    hook: int
    interval_ms: int


class KeySet(Part, frozen=True, kw_only=True):
    """Keys that signatures are checked with."""

    name: str
    jwks: str | None
    fetch: KeyFetch | None


class Jwt(Part, tag_field="kind", tag="jwt", frozen=True, kw_only=True):
    """Signed tokens."""

    sources: list[KeySource]
    key_set: KeySet
    algorithms: list[str]
    issuers: list[str]
    audiences: list[str]
    required: list[str]
    scopes: list[str]
    leeway_s: int
    max_age_s: int
    user: str
    headers: list[ClaimHeader]
    realm: str
    strip: bool


class ForwardCache(Part, frozen=True, kw_only=True):
    """Good answers that hold for later requests."""

    key: list[KeyPart]
    ttl_s: int


class AuthForward(Part, tag_field="kind", tag="forward", frozen=True, kw_only=True):
    """Each request is asked about at an upstream."""

    upstream: int
    target: str
    request_headers: list[str]
    response_headers: list[str]
    client_headers: list[str]
    user: str | None
    redirects: bool
    connect_ms: int
    timeout_ms: int
    cache: ForwardCache | None


class OidcProvider(Part, frozen=True, kw_only=True):
    """What the hook needs to know of a provider."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: list[str]
    claims: list[str]
    public_url: str | None
    session_s: int
    secure: bool | None


class Oidc(Part, tag_field="kind", tag="oidc", frozen=True, kw_only=True):
    """Who has logged in at an OpenID provider."""

    name: str
    hook: int
    cookie: str
    secret: str
    redirect_path: str
    logout_path: str | None
    user: str
    headers: list[ClaimHeader]
    provider: OidcProvider


class Any(Part, tag_field="kind", tag="any", frozen=True, kw_only=True):
    """Whichever of several lets somebody in."""

    methods: list[ApiKeys | Basic | Jwt]


Auth = ApiKeys | Basic | Jwt | AuthForward | Oidc | Any
