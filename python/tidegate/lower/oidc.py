"""Logging in at an OpenID provider: where, as whom, and what a session keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidegate import plan
from tidegate.lower.headers import is_token
from tidegate.lower.hook import add_hook
from tidegate.lower.jwt import claim_headers
from tidegate.lower.work import each
from tidegate.model import defaults, units

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.auth import Oidc

__all__ = ["LOGIN", "lower_oidc"]

LOGIN = "tidegate.oidc:login"
"""The function that logs people in and out."""

SECRET_LEAST = 32


def lower_oidc(written: Oidc, path: Path, work: Work) -> plan.Oidc:
    """A login as a route asks for it; what is wrong is noted."""
    issuer = urlsplit(written.issuer)
    if issuer.scheme not in ("https", "http") or not issuer.hostname or issuer.query or issuer.fragment:
        work.error((*path, "issuer"), f"`{written.issuer}` is no issuer", "write `https://id.example.com`")
    elif issuer.scheme == "http" and issuer.hostname not in ("localhost", "127.0.0.1", "::1"):
        work.warn((*path, "issuer"), "whoever is on the way can log in as anybody", "write `https://`")
    if not written.client_id:
        work.error((*path, "client_id"), "this is empty", "write what the provider calls Tidegate")
    secret = written.cookie.secret.for_wire()
    if len(secret) < SECRET_LEAST:
        what = f"the secret has {len(secret)} characters, and could be guessed"
        work.error((*path, "cookie", "secret"), what, "make one with `openssl rand -hex 32`")
    if not is_token(written.cookie.name):
        work.error((*path, "cookie", "name"), f"`{written.cookie.name}` is not a cookie's name", "write `session`")
    for key in ("redirect_path", "logout_path"):
        text = getattr(written, key)
        if text is not None and (
            not text.startswith("/") or any(not "!" <= char <= "~" or char in "?#%" for char in text)
        ):
            work.error((*path, key), f"`{text}` is not a path", f"write `/_oidc/{key.partition('_')[0]}`")
    public = written.public_url
    if public is not None:
        seen = urlsplit(public)
        if seen.scheme not in ("https", "http") or not seen.netloc or seen.path.strip("/") or seen.query:
            work.error((*path, "public_url"), f"`{public}` is no URL of a site", "write `https://app.example.com`")
    scopes = [scope for text, _ in each(written.scopes, (*path, "scopes")) for scope in text.split()]
    if "openid" not in scopes:
        work.error((*path, "scopes"), "without `openid` nobody tells who it is", "add `openid`")
    headers = claim_headers(written.claims, (*path, "claims"), work)
    kept = [written.user, *written.claims, *(name for name, _ in each(written.keep, (*path, "keep")))]
    hook = plan.Hook(
        name=LOGIN,
        timeout_ms=units.duration(defaults.OIDC_TIMEOUT),
        body=False,
        body_bytes=0,
        on_failure="refuse",
    )
    return plan.Oidc(
        name=f"{written.client_id} at {written.issuer}",
        hook=add_hook(hook, path, work),
        cookie=written.cookie.name,
        secret=secret,
        redirect_path=written.redirect_path,
        logout_path=written.logout_path,
        user=written.user,
        headers=headers,
        provider=plan.OidcProvider(
            issuer=written.issuer.rstrip("/"),
            client_id=written.client_id,
            client_secret=written.client_secret.for_wire() if written.client_secret is not None else None,
            scopes=scopes,
            claims=list(dict.fromkeys(["sub", *kept])),
            public_url=public.rstrip("/") if public is not None else None,
            session_s=work.milliseconds(written.session, (*path, "session"), least=60_000) // 1000,
            secure=written.cookie.secure,
        ),
    )
