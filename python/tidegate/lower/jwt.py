"""Signed tokens: which keys, which algorithms, what must be claimed."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from tidegate import plan
from tidegate.load.problems import closest
from tidegate.lower.headers import is_framing, is_token
from tidegate.lower.hook import add_hook
from tidegate.lower.pem import NoKey, jwk_of_pem
from tidegate.lower.work import each
from tidegate.model import defaults, units

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.auth import Jwt

__all__ = ["FETCH", "claim_headers", "lower_jwt"]

FETCH = "tidegate.key_sets:fetch"
"""The function that fetches keys."""

FILE_MOST = 1 << 20
DISCOVERY = "/.well-known/openid-configuration"

_SYMMETRIC = ("HS256", "HS384", "HS512")
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_PUBLIC = (*_RSA, "ES256", "ES384", "ES512", "EdDSA")
_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
_LEAST_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


def lower_jwt(written: Jwt, path: Path, work: Work) -> plan.Jwt:
    """Tokens as a route asks for them; what is wrong is noted."""
    key_set, possible = _keys(written, path, work)
    if any(char in '"\\' or not char.isprintable() for char in written.realm):
        work.error(
            (*path, "realm"), "a realm has no quotation marks and no control characters", "write letters and spaces"
        )
    for scope, at in each(written.scopes, (*path, "scopes")):
        if not scope or any(not "!" <= char <= "~" or char in '"\\' for char in scope):
            work.error(at, f"`{scope}` is no scope (RFC 6749 §3.3)", "write one word for each")
    return plan.Jwt(
        sources=_sources(written, path, work),
        key_set=key_set,
        algorithms=_algorithms(written, possible, path, work),
        issuers=_texts(written.issuer, (*path, "issuer"), work),
        audiences=_texts(written.audience, (*path, "audience"), work),
        required=_texts(written.required, (*path, "required"), work),
        scopes=_texts(written.scopes, (*path, "scopes"), work),
        leeway_s=work.milliseconds(written.leeway, (*path, "leeway")) // 1000,
        max_age_s=work.milliseconds(written.max_age, (*path, "max_age"), least=1000) // 1000 if written.max_age else 0,
        user=written.user,
        headers=claim_headers(written.claims, (*path, "claims"), work),
        realm=written.realm,
        strip=not written.forward,
    )


def claim_headers(written: dict[str, str], path: Path, work: Work) -> list[plan.ClaimHeader]:
    """Claims that the upstream is told in headers; what is wrong is noted."""
    made = []
    names: set[str] = set()
    for claim, name in written.items():
        at = (*path, claim)
        if not is_token(name) or is_framing(name) or name.lower() in ("host", "authorization", "cookie"):
            work.error(at, f"`{name}` cannot tell a claim", "write a header of your own: `X-User`")
        elif name.lower() in names:
            work.error(at, f"`{name}` tells a claim already", "give each its own header")
        names.add(name.lower())
        made.append(plan.ClaimHeader(claim=claim, name=name))
    return made


def _keys(written: Jwt, path: Path, work: Work) -> tuple[plan.KeySet, tuple[str, ...]]:
    """The keys, and the algorithms that they can be for."""
    given = [name for name in ("jwks", "key", "secret") if getattr(written, name) is not None]
    if len(given) > 1:
        work.error((*path, given[1]), f"`{given[0]}` and `{given[1]}` are both here", "keep one of them")
    if written.secret is not None:
        return _secret(written, path, work)
    if written.key is not None:
        return _pem(written.key, (*path, "key"), work)
    if written.jwks is not None:
        if "://" in written.jwks:
            return _fetched(written.jwks, (*path, "jwks"), work), _PUBLIC
        return _file(written.jwks, (*path, "jwks"), work), (*_SYMMETRIC, *_PUBLIC)
    issuers = [written.issuer] if isinstance(written.issuer, str) else written.issuer
    if len(issuers) == 1 and "://" in issuers[0]:
        return _fetched(issuers[0].rstrip("/") + DISCOVERY, (*path, "issuer"), work), _PUBLIC
    right = "add `jwks: https://…`, `jwks: FILE`, `key: FILE` or `secret: …`, or the URL of one `issuer`"
    work.error(path, "there is no key to check tokens with", right)
    return plan.KeySet(name="", jwks=None, fetch=None), _PUBLIC


def _secret(written: Jwt, path: Path, work: Work) -> tuple[plan.KeySet, tuple[str, ...]]:
    assert written.secret is not None
    raw = written.secret.for_wire().encode()
    possible = tuple(name for name in _SYMMETRIC if len(raw) >= _LEAST_BYTES[name])
    if not possible:
        what = f"the secret has {len(raw)} bytes, and HS256 needs 32 (RFC 7518 §3.2)"
        work.error((*path, "secret"), what, "make one with `openssl rand -hex 32`")
    text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return _static("secret", [{"kty": "oct", "k": text}]), possible or _SYMMETRIC


def _pem(written: str, path: Path, work: Work) -> tuple[plan.KeySet, tuple[str, ...]]:
    text: str | None = written
    if "-----BEGIN" not in written:
        content = work.read(work.file(written, path), path, FILE_MOST)
        text = content.decode("utf-8", "replace") if content is not None else None
    nothing = plan.KeySet(name="", jwks=None, fetch=None), _PUBLIC
    if text is None:
        return nothing
    try:
        jwk = jwk_of_pem(text)
    except NoKey as wrong:
        work.error(path, wrong.what, wrong.right)
        return nothing
    return _static("key", [jwk]), (_OF_CURVE[jwk["crv"]],) if "crv" in jwk else _RSA


def _static(kind: str, keys: list[dict[str, str]]) -> plan.KeySet:
    """Keys that stand in the configuration. Their name tells them apart and tells nothing of them."""
    text = msgspec.json.encode({"keys": keys}).decode()
    name = f"{kind} {hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return plan.KeySet(name=name, jwks=text, fetch=None)


def _file(written: str, path: Path, work: Work) -> plan.KeySet:
    file = work.file(written, path)
    content = work.read(file, path, FILE_MOST)
    if content is not None:
        try:
            keys = msgspec.json.decode(content)["keys"]
            if not isinstance(keys, list) or not keys:
                raise TypeError
        except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError):
            work.error(path, f"`{file}` is no JWK Set", 'write `{"keys": [{"kty": …}]}` into it (RFC 7517 §5)')
            content = None
    text = content.decode("utf-8", "replace") if content is not None else None
    digest = hashlib.sha256((text or "").encode()).hexdigest()[:12]
    return plan.KeySet(name=f"{file} {digest}", jwks=text, fetch=None)


def _fetched(url: str, path: Path, work: Work) -> plan.KeySet:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        work.error(path, f"`{url}` is no URL that keys can be fetched from", "write `https://HOST/PATH`")
    elif parts.username is not None or parts.password is not None:
        work.error(path, "the URL has a password in it", "leave it out: keys are public")
    elif parts.scheme == "http" and not _is_near(parts.hostname):
        right = "write `https://`"
        work.warn(path, "whoever is on the way can put other keys in their place", right)
    hook = plan.Hook(
        name=FETCH,
        timeout_ms=units.duration(defaults.KEYS_TIMEOUT),
        body=False,
        body_bytes=0,
        on_failure="refuse",
    )
    fetch = plan.KeyFetch(hook=add_hook(hook, path, work), interval_ms=units.duration(defaults.KEYS_INTERVAL))
    return plan.KeySet(name=url, jwks=work.kept_keys(url), fetch=fetch)


def _is_near(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.") or "." not in host


def _algorithms(written: Jwt, possible: tuple[str, ...], path: Path, work: Work) -> list[str]:
    made: list[str] = []
    known = (*_SYMMETRIC, *_PUBLIC)
    for name, at in each(written.algorithms, (*path, "algorithms")):
        if name.lower() == "none":
            work.error(at, "a token of `none` is not signed: anybody can make one", "write `RS256` or its like")
        elif name not in known:
            meant = closest(name, list(known))
            work.error(at, f"`{name}` is no algorithm", f"did you mean `{meant}`?" if meant else "write `RS256`")
        elif name not in possible:
            what = f"these keys don't sign with `{name}`"
            work.error(at, what, "write " + ", ".join(f"`{one}`" for one in possible))
        else:
            made.append(name)
    return made or list(possible)


def _sources(written: Jwt, path: Path, work: Work) -> list[plan.KeySource]:
    made: list[plan.KeySource] = []
    right = "write `bearer`, `header:NAME`, `cookie:NAME`, `query:NAME`, or a list of these"
    for text, at in each(written.token, (*path, "token")):
        kind, _, name = text.partition(":")
        source: plan.KeySource | None = None
        if text == "bearer":
            source = plan.KeyBearer()
        elif kind == "header" and name.lower() == "authorization":
            work.error(at, "`Authorization` has a scheme before the token", "write `bearer`")
        elif kind in ("header", "cookie") and is_token(name):
            source = plan.KeyHeader(name=name) if kind == "header" else plan.KeyCookie(name=name)
        elif kind == "query" and name:
            source = plan.KeyQuery(name=name)
        else:
            work.error(at, f"`{text}` is no place for a token", right)
        if source is not None and source in made:
            work.error(at, f"`{text}` is there twice", "leave one out")
        elif source is not None:
            made.append(source)
    if not made and not written.token:
        work.error((*path, "token"), "a token is looked for nowhere", right)
    return made


def _texts(written: str | list[str], path: Path, work: Work) -> list[str]:
    made = []
    for text, at in each(written, path):
        if not text:
            work.error(at, "this is empty", "write a text, or leave it out")
        made.append(text)
    return made
