"""Who may come: by address, by key, by name and password, by token."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.noun import Many, Noun, about
from tidegate.model.secret import Secret
from tidegate.model.units import Duration

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ApiKey(Noun, frozen=True, kw_only=True):
    """One key: itself or its hash."""

    name: Annotated[str, about("What the log, `${user}` and limits call it.")]
    key: Annotated[Secret | None, about("The key, best as `${ENV}`; only its hash is kept.")] = None
    sha256: Annotated[Sha256 | None, about("SHA-256 of the key in hexadecimal digits, instead of `key`.")] = None


class ApiKeys(Noun, frozen=True, kw_only=True):
    """API keys, looked for in one place: `Authorization: Bearer KEY` unless another is named."""

    keys: Annotated[list[ApiKey], about("Those that are let in.")]
    header: Annotated[str | None, about("A request header whose whole value is the key.", "X-Api-Key")] = None
    query: Annotated[str | None, about("A query parameter; it ends up in logs elsewhere, so prefer a header.")] = None
    cookie: Annotated[str | None, about("A cookie.")] = None
    forward: Annotated[bool, about("Whether the upstream sees the credential.")] = False


class User(Noun, frozen=True, kw_only=True):
    """One user: a password, or one of its hashes."""

    name: Annotated[str, about("Without a colon.")]
    password: Annotated[Secret | None, about("The password, best as `${ENV}`; only its hash is kept.")] = None
    sha256: Annotated[
        Sha256 | None, about("SHA-256 of `NAME:PASSWORD` in hexadecimal digits, instead of `password`.")
    ] = None
    hash: Annotated[Secret | None, about("As in a password file, instead of `password`: `$2y$…`, `$argon2id$…`.")] = (
        None
    )


class Basic(Noun, frozen=True, kw_only=True):
    """Names and passwords (RFC 7617)."""

    users: Annotated[list[User], about("Those that are let in.")] = []
    file: Annotated[
        str | None,
        about("A password file as `htpasswd` writes it; read anew when it changes.", "users.htpasswd"),
    ] = None
    realm: Annotated[str, about("What the browser shows.")] = "Restricted"
    forward: Annotated[bool, about("Whether the upstream sees the credential.")] = False


class Jwt(Noun, frozen=True, kw_only=True):
    """JSON Web Tokens (RFC 7519), checked with keys from one of `jwks`, `key` and `secret`, or of the issuer."""

    jwks: Annotated[
        str | None,
        about(
            "A JWK Set: a URL, fetched again as it says and when a token names a key that is not known; or a file.",
            "https://id.example.com/.well-known/jwks.json",
            "keys.json",
        ),
    ] = None
    key: Annotated[str | None, about("A public key in PEM: a file, or the text itself.", "issuer.pem")] = None
    secret: Annotated[
        Secret | None,
        about("A secret that the issuer has too (HS256 and its like), best as `${ENV}`; 32 bytes or more."),
    ] = None
    issuer: Annotated[
        Many,
        about(
            "`iss` must be this, or one of these. Without `jwks`, `key` and `secret`, its published keys are found "
            "by `/.well-known/openid-configuration`.",
            "https://id.example.com",
        ),
    ] = []
    audience: Annotated[Many, about("`aud` must be, or have, one of these.", "api")] = []
    algorithms: Annotated[
        Many, about("Those that are taken; unless given, all that such keys sign with.", "RS256", ["ES256", "EdDSA"])
    ] = []
    token: Annotated[
        Many,
        about(
            "Where the token is looked for: `bearer`, `header:NAME`, `cookie:NAME`, `query:NAME`, or a list of these.",
            "bearer",
            ["bearer", "cookie:session"],
        ),
    ] = "bearer"  # noqa: S105 — a place
    required: Annotated[Many, about("Claims that must be there; `[]` lets tokens in that never expire.")] = "exp"
    scopes: Annotated[Many, about("Scopes that must all be granted, else 403.", "orders:read")] = []
    leeway: Annotated[Duration, about("By how much clocks may differ.")] = defaults.JWT_LEEWAY
    max_age: Annotated[Duration | None, about("A token that was issued longer ago is too old.", "1h")] = None
    user: Annotated[str, about("The claim that tells who it is, for the log, `${user}` and limits.")] = "sub"
    claims: Annotated[
        dict[str, str],
        about("Claims, and the headers that tell the upstream of them.", {"sub": "X-User", "org.id": "X-Org"}),
    ] = {}
    realm: Annotated[str, about("What the challenge names.")] = "Restricted"
    forward: Annotated[bool, about("Whether the upstream sees the token.")] = False


class ForwardHeaders(Noun, frozen=True, kw_only=True):
    """Which headers go which way."""

    request: Annotated[
        Many | None, about("Of the request, that the question has too; `Authorization` and `Cookie` unless given.")
    ] = None
    response: Annotated[
        Many, about("Of a good answer, that the route's upstream gets; a client's own never arrive.", "X-User")
    ] = []
    client: Annotated[Many, about("Of a good answer, that the client gets.", "Set-Cookie")] = []


class ForwardCache(Noun, frozen=True, kw_only=True):
    """Good answers that hold for later requests."""

    key: Annotated[
        Many,
        about(
            "All that the answer depends on, as in `limit.key`; requests that agree in it are asked about once.",
            ["header:Authorization", "path"],
        ),
    ]
    ttl: Annotated[Duration, about("For how long; 1s or more.")] = "10s"


class Forward(Noun, frozen=True, kw_only=True):
    """Each request is asked about at a URL: 2xx lets it in, 401 and 403 are the client's, all else is a failure."""

    url: Annotated[
        str, about("Where: a URL, or the name of an upstream and a path.", "http://auth:9000/check", "auth/check")
    ]
    headers: Annotated[ForwardHeaders, about("Which headers go which way.")] = ForwardHeaders()
    user: Annotated[
        str | None,
        about("The header of a good answer that tells who it is, for the log, `${user}` and limits.", "X-User"),
    ] = None
    redirects: Annotated[bool, about("Whether a redirect is the client's too, as to a page to log in at.")] = False
    connect: Annotated[Duration, about("For a connection.")] = defaults.AUTH_CONNECT
    timeout: Annotated[Duration, about("For the whole question.")] = defaults.AUTH_TIMEOUT
    cache: Annotated[ForwardCache | None, about("Which good answers hold for later requests; none unless given.")] = (
        None
    )


class OidcCookie(Noun, frozen=True, kw_only=True):
    """The sealed cookie that a session is kept in."""

    secret: Annotated[
        Secret, about("What it is sealed with, best as `${ENV}`: 32 characters or more, the same on all instances.")
    ]
    name: Annotated[str, about("Its name; a long session has more, `NAME.1` to `NAME.3`.")] = "tidegate"
    secure: Annotated[
        bool | None, about("Whether it is for TLS only; unless given, where the request came by TLS.")
    ] = None


class Oidc(Noun, frozen=True, kw_only=True):
    """Logging in at an OpenID provider: authorization code with PKCE, and a session in a sealed cookie."""

    issuer: Annotated[str, about("The provider's URL.", "https://id.example.com")]
    client_id: Annotated[str, about("Who Tidegate is there.")]
    client_secret: Annotated[Secret | None, about("Its secret there, best as `${ENV}`; none for a public client.")] = (
        None
    )
    scopes: Annotated[Many, about("What is asked for; `offline_access` for sessions that are refreshed.")] = " ".join(
        defaults.OIDC_SCOPES
    )
    redirect_path: Annotated[str, about("The path that the provider sends people back to.")] = "/_oidc/callback"
    logout_path: Annotated[str | None, about("The path that ends a session.", "/_oidc/logout")] = None
    public_url: Annotated[
        str | None,
        about("Where people see the site; unless given, what their request says.", "https://app.example.com"),
    ] = None
    cookie: Annotated[OidcCookie, about("The cookie that a session is kept in.")]
    session: Annotated[Duration, about("How long a session goes on at most.")] = defaults.OIDC_SESSION
    user: Annotated[str, about("The claim that tells who it is, for the log, `${user}` and limits.")] = "sub"
    claims: Annotated[
        dict[str, str], about("Claims, and the headers that tell the upstream of them.", {"email": "X-Mail"})
    ] = {}
    keep: Annotated[
        Many, about("Claims that the session keeps beside those, for `${claim:NAME}` and limits.", ["groups"])
    ] = []


class Auth(Noun, frozen=True, kw_only=True):
    """Who may come by credentials. Where there are several, any of them lets in; `forward` and `oidc` stand alone."""

    api_keys: Annotated[ApiKeys | None, about("Secrets in a header or a parameter.")] = None
    jwt: Annotated[Jwt | None, about("Signed tokens.")] = None
    basic: Annotated[Basic | None, about("Names and passwords.")] = None
    forward: Annotated[Forward | None, about("Somebody else decides.")] = None
    oidc: Annotated[Oidc | None, about("Logging in at an OpenID provider.")] = None


class Access(Noun, frozen=True, kw_only=True):
    """Who may come by address: `deny` first, then `allow`; an empty `allow` lets everybody else in."""

    allow: Annotated[Many, about("Addresses and CIDR blocks.", ["10.0.0.0/8", "::1"])] = []
    deny: Annotated[Many, about("Addresses and CIDR blocks.")] = []
