"""Logs people in at OpenID providers: sends them there, takes them back, refreshes and ends their sessions.

Knows: OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0; PKCE (RFC 7636).
Never: which requests need a session; the engine opens the cookie of one that has it and asks nobody.

Nothing is kept here but what providers publish: a login under way is a sealed cookie, and a session is another.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qs, quote, urlencode

import msgspec

from tidegate.background import aside
from tidegate.key_sets import Unfetched, get
from tidegate.log import Seldom
from tidegate.policy import Decision, answer, problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.plan import Oidc, Plan
    from tidegate.policy import Request

__all__ = ["Door", "Logins", "logins_of"]

LOGIN_S: Final = 600
"""How long somebody may take at the provider."""
METADATA_S: Final = 3600.0
AGAIN_S: Final = 5.0
"""Between two looks for keys that are not known, or for metadata that could not be fetched."""
EARLY_S: Final = 60
"""A session is refreshed so long before its access token ends."""
TIMEOUT_S: Final = 4.0
REMEMBERED_S: Final = 30.0
"""A refresh token that was turned over a moment ago is still sent by requests that were on their way."""
COOKIE_MOST: Final = 3600
COOKIES_MOST: Final = 4
_TARGET: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")


class Door(Protocol):
    """What of the engine is needed: sealed cookies and checked tokens."""

    def seal(self, secret: str, purpose: str, content: bytes) -> str: ...  # noqa: D102
    def unseal(self, secret: str, purpose: str, text: str) -> bytes | None: ...  # noqa: D102
    def check_id_token(self, jwks: bytes, token: str, issuer: str, client_id: str, now: int) -> bytes: ...  # noqa: D102


class LoginFailed(Exception):
    """The provider, or what came back from it, is not as it should be; the status is what people are told."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A login under way, in a sealed cookie."""

    state: str
    nonce: str
    verifier: str
    target: str
    until: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has logged in, in a sealed cookie; `rust/auth/src/session.rs` reads it."""

    claims: dict[str, Any]
    until: int
    refresh_at: int
    refresh: str = ""
    id_token: str = ""


class Metadata(NamedTuple):
    """What a provider publishes."""

    authorize: str
    token: str
    logout: str | None
    basic: bool
    jwks: bytes
    fetched_at: float


def logins_of(plan: Plan) -> dict[str, Oidc]:
    """The logins of a plan, by name."""
    from tidegate.plan import Oidc

    return {route.auth.name: route.auth for route in plan.routes if isinstance(route.auth, Oidc)}


class Logins:
    """All logins of the plan in force."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._logins: dict[str, Oidc] = {}
        self._known: dict[str, Metadata] = {}
        self._failed: dict[str, float] = {}
        self._fetching: dict[str, asyncio.Future[Metadata]] = {}
        self._refreshing: dict[bytes, asyncio.Future[Session | None]] = {}
        self._seldom = Seldom()

    def in_force(self, logins: Mapping[str, Oidc]) -> None:
        """A plan with these logins runs; those of plans before it go on until their requests are over."""
        self._logins = {**self._logins, **logins}

    async def handle(self, request: Request) -> Decision | None:
        """The word on a request that has no session, or one that is due, or that is a part of logging in or out."""
        login = self._logins.get(request.about)
        if login is None:
            return _told(request, 503, "login_unknown", "The login of this route is not known any more.")
        try:
            if request.path == login.redirect_path:
                return await self._callback(login, request)
            if request.path == login.logout_path:
                return await self._logout(login, request)
            session = self._session(login, request)
            if session is not None:
                return await self._refreshed(login, request, session)
            if not _navigates(request):
                return _told(request, 401, "login_needed", "Log in with a browser first.")
            return await self._begin(login, request, _target(request))
        except LoginFailed as failed:
            if failed.status >= 500:
                self._seldom.say(f"login {login.name}", f"login {login.name}: {failed.detail}")
            return _told(request, failed.status, failed.reason, failed.detail, _gone(login, request, "_login"))

    # -- out -----------------------------------------------------------------------------------------------------------

    async def _begin(self, login: Oidc, request: Request, target: str) -> Decision:
        metadata = await self._metadata(login)
        state = secrets.token_urlsafe(24)
        attempt = Attempt(
            state=state,
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            target=target,
            until=int(time.time()) + LOGIN_S,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": login.provider.client_id,
            "redirect_uri": _redirect_uri(login, request),
            "scope": " ".join(login.provider.scopes),
            "state": state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        sealed = self._door.seal(login.secret, _purpose(login), msgspec.json.encode(attempt))
        cookie = _cookie(login, request, _attempt_cookie(login, state), sealed, login.redirect_path, LOGIN_S)
        where = metadata.authorize + ("&" if "?" in metadata.authorize else "?") + urlencode(asked)
        return _redirect(where, [cookie])

    # -- and back ------------------------------------------------------------------------------------------------------

    async def _callback(self, login: Oidc, request: Request) -> Decision:
        told = {name: values[0] for name, values in parse_qs(request.query, max_num_fields=20).items()}
        state = told.get("state", "")
        attempt = self._attempt(login, request, state)
        if attempt is None:
            raise LoginFailed(400, "login_state", "This login was not begun here, or took too long; begin anew.")
        if "error" in told:
            raise LoginFailed(403, "login_refused", "The provider did not let you in.")
        if not told.get("code"):
            raise LoginFailed(400, "login_code", "The provider sent no code.")
        form = {
            "grant_type": "authorization_code",
            "code": told["code"],
            "redirect_uri": _redirect_uri(login, request),
            "code_verifier": attempt.verifier,
        }
        tokens = await self._tokens(login, form)
        if "error" in tokens:
            raise LoginFailed(403, "login_refused", "The provider did not take its own code back; begin anew.")
        claims = await self._id_claims(login, tokens)
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise LoginFailed(403, "login_nonce", "The token was made for another login.")
        session = _session_of(login, tokens, claims, int(time.time()) + login.provider.session_s)
        gone = _cookie(login, request, _attempt_cookie(login, state), "", login.redirect_path, 0)
        return _redirect(attempt.target, [gone, *self._cookies(login, request, session)])

    async def _logout(self, login: Oidc, request: Request) -> Decision:
        session = self._session(login, request)
        where = "/"
        try:
            metadata = await self._metadata(login)
        except LoginFailed:
            metadata = None  # the session here ends all the same
        if metadata is not None and metadata.logout:
            asked = {"client_id": login.provider.client_id, "post_logout_redirect_uri": _site(login, request) + "/"}
            if session is not None and session.id_token:
                asked["id_token_hint"] = session.id_token
            where = metadata.logout + ("&" if "?" in metadata.logout else "?") + urlencode(asked)
        return _redirect(where, _gone(login, request))

    # -- on ------------------------------------------------------------------------------------------------------------

    async def _refreshed(self, login: Oidc, request: Request, session: Session) -> Decision | None:
        """A session that is due goes on if the provider says so; for as long as it says nothing, it does too."""
        if not session.refresh:
            return None
        token = hashlib.sha256(session.refresh.encode()).digest()
        under_way = self._refreshing.get(token)
        if under_way is None:
            under_way = self._refreshing[token] = asyncio.ensure_future(self._refresh(login, session))
            asyncio.get_running_loop().call_later(REMEMBERED_S, self._refreshing.pop, token, None)
        try:
            fresh = await asyncio.shield(under_way)
        except LoginFailed as failed:
            self._refreshing.pop(token, None)
            self._seldom.say(f"refresh {login.name}", f"login {login.name}: {failed.detail}")
            return None
        if fresh is None:
            if _navigates(request):
                return await self._begin(login, request, _target(request))
            told = "The provider has ended the session."
            return _told(request, 401, "login_needed", told, _gone(login, request))
        cookies = tuple(("Set-Cookie", cookie) for cookie in self._cookies(login, request, fresh))
        return Decision(response_headers=cookies, body=self._sealed(login, fresh).encode())

    async def _refresh(self, login: Oidc, session: Session) -> Session | None:
        tokens = await self._tokens(login, {"grant_type": "refresh_token", "refresh_token": session.refresh})
        if "error" in tokens:
            return None
        claims = session.claims
        if tokens.get("id_token"):
            claims = await self._id_claims(login, tokens)
            if claims.get("sub") != session.claims.get("sub"):
                return None  # OpenID Connect Core 1.0 §12.2: it must be the same person
        kept = {"refresh_token": session.refresh, "id_token": session.id_token, **tokens}
        return _session_of(login, kept, claims, session.until)

    # -- the provider --------------------------------------------------------------------------------------------------

    async def _id_claims(self, login: Oidc, tokens: dict[str, Any]) -> dict[str, Any]:
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise LoginFailed(502, "login_token", "the provider sent no ID token")
        for fresh in (False, True):
            metadata = await self._metadata(login, fresh=fresh)
            provider = login.provider
            try:
                checked = self._door.check_id_token(
                    metadata.jwks, token, provider.issuer, provider.client_id, int(time.time())
                )
            except ValueError as error:
                if str(error) == "token_key_unknown" and not fresh:
                    continue  # it may have turned its keys over
                raise LoginFailed(502, "login_token", f"the provider's ID token is none: {error}") from error
            claims: dict[str, Any] = msgspec.json.decode(checked)
            return claims
        raise AssertionError("the second look has returned or raised")

    async def _tokens(self, login: Oidc, form: dict[str, str]) -> dict[str, Any]:
        metadata = await self._metadata(login)
        provider = login.provider
        headers = {}
        if provider.client_secret is None:
            form = {**form, "client_id": provider.client_id}
        elif metadata.basic:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form = {**form, "client_id": provider.client_id, "client_secret": provider.client_secret}
        try:
            status, body = await _bounded(_post, metadata.token, form, headers)
            told = msgspec.json.decode(body)
        except (Unfetched, msgspec.MsgspecError, TimeoutError) as error:
            raise LoginFailed(502, "login_provider", f"the provider gave no tokens: {error}") from error
        if not isinstance(told, dict) or (status != 200 and "error" not in told) or status >= 500:
            raise LoginFailed(502, "login_provider", f"the provider gave no tokens: it answers {status}")
        return told

    async def _metadata(self, login: Oidc, *, fresh: bool = False) -> Metadata:
        issuer = login.provider.issuer
        known = self._known.get(issuer)
        age = time.monotonic() - known.fetched_at if known is not None else 0.0
        if known is not None and age < (AGAIN_S if fresh else METADATA_S):
            return known
        under_way = self._fetching.get(issuer)
        if under_way is None:
            under_way = self._fetching[issuer] = asyncio.ensure_future(_bounded(_discover, issuer))
            under_way.add_done_callback(lambda _: self._fetching.pop(issuer, None))
        try:
            made = self._known[issuer] = await asyncio.shield(under_way)
        except (Unfetched, TimeoutError) as error:
            if known is not None and not fresh:
                return known
            raise LoginFailed(502, "login_provider", f"the provider can't be asked: {error}") from error
        return made

    # -- cookies -------------------------------------------------------------------------------------------------------

    def _sealed(self, login: Oidc, session: Session) -> str:
        return self._door.seal(login.secret, login.name, msgspec.json.encode(session))

    def _cookies(self, login: Oidc, request: Request, session: Session) -> list[str]:
        """The session in as many cookies as it needs; what is dear and not needed is left out before it is refused."""
        most = COOKIE_MOST * COOKIES_MOST
        for smaller in (session, msgspec.structs.replace(session, id_token="")):
            sealed = self._sealed(login, smaller)
            if len(sealed) <= most:
                break
        else:
            told = f"the session has {len(sealed)} bytes, and {most} fit into cookies; keep fewer claims"
            raise LoginFailed(502, "login_too_large", told)
        parts = [sealed[at : at + COOKIE_MOST] for at in range(0, len(sealed), COOKIE_MOST)]
        parts[0] = f"{len(parts)}.{parts[0]}"
        names = _names(login)
        left = max(1, session.until - int(time.time()))
        made = [_cookie(login, request, name, part, "/", left) for name, part in zip(names, parts, strict=False)]
        brought = _brought(request)
        return [
            *made,
            *(_cookie(login, request, name, "", "/", 0) for name in names[len(parts) :] if name in brought),
        ]

    def _session(self, login: Oidc, request: Request) -> Session | None:
        brought = _brought(request)
        names = _names(login)
        count, _, text = brought.get(names[0], "").partition(".")
        if not count.isdecimal() or not 1 <= int(count) <= COOKIES_MOST:
            return None
        parts = [brought.get(name) for name in names[1 : int(count)]]
        if None in parts:
            return None
        sealed = text + "".join(part for part in parts if part is not None)
        session: Session | None = self._opened(login, login.name, sealed, Session)
        return session

    def _attempt(self, login: Oidc, request: Request, state: str) -> Attempt | None:
        sealed = _brought(request).get(_attempt_cookie(login, state), "")
        attempt: Attempt | None = self._opened(login, _purpose(login), sealed, Attempt)
        if attempt is None or not secrets.compare_digest(attempt.state.encode(), state.encode()):
            return None
        return attempt

    def _opened(self, login: Oidc, purpose: str, sealed: str, kind: type[Any]) -> Any:
        content = self._door.unseal(login.secret, purpose, sealed) if sealed.isascii() else None
        if content is None:
            return None
        try:
            made = msgspec.json.decode(content, type=kind)
        except msgspec.MsgspecError:
            return None
        return made if time.time() < made.until else None


def _session_of(login: Oidc, tokens: dict[str, Any], claims: dict[str, Any], until: int) -> Session:
    now = int(time.time())
    refresh = tokens.get("refresh_token") or ""
    lasts = tokens.get("expires_in")
    lasts_s = int(lasts) if isinstance(lasts, (int, float)) and lasts > 0 else EARLY_S * 5
    if not refresh:
        # Nobody can be asked whether it goes on: it ends when the token that tells of it does.
        until = min(until, int(claims.get("exp", now)))
    kept = {name: value for name in login.provider.claims if (value := _claim(claims, name)) is not None}
    return Session(
        claims=kept,
        until=until,
        refresh_at=now + max(lasts_s - EARLY_S, lasts_s // 2, 1) if refresh else 0,
        refresh=refresh,
        id_token=tokens.get("id_token") or "",
    )


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A member of that name, else what dots in the name lead to."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _discover(issuer: str) -> Metadata:
    body, _ = get(issuer + "/.well-known/openid-configuration", TIMEOUT_S)
    try:
        told = msgspec.json.decode(body)
        endpoints = [told["authorization_endpoint"], told["token_endpoint"], told["jwks_uri"]]
        logout = told.get("end_session_endpoint")
        methods = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        named = str(told["issuer"]).rstrip("/")
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError) as error:
        raise Unfetched("its metadata are none") from error
    if named != issuer:
        raise Unfetched(f"its metadata are of the issuer {named!r}")
    web = ("https://", "http://") if issuer.startswith("http://") else ("https://",)
    if not all(isinstance(url, str) and url.startswith(web) for url in endpoints):
        raise Unfetched("its endpoints are no URLs within TLS")
    jwks, _ = get(endpoints[2], TIMEOUT_S)
    ends = logout if isinstance(logout, str) and logout.startswith(web) else None
    return Metadata(endpoints[0], endpoints[1], ends, "client_secret_basic" in methods, jwks, time.monotonic())


def _post(url: str, form: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
    """The status and the body of an answer, also where it is an error; raises Unfetched where there is none."""
    import http.client
    import urllib.error
    import urllib.request

    class Nowhere(urllib.request.HTTPRedirectHandler):
        """A code or a refresh token is sent to nobody else."""

        def redirect_request(self, *_: Any) -> None:
            raise Unfetched("the token endpoint redirects")

    sent = {"Accept": "application/json", "User-Agent": "tidegate", **headers}
    request = urllib.request.Request(url, data=urlencode(form).encode(), headers=sent)  # noqa: S310 — looked at
    try:
        opener = urllib.request.build_opener(Nowhere())
        with opener.open(request, timeout=TIMEOUT_S) as reply:
            return reply.status, reply.read(1 << 20)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(1 << 20)
    except urllib.error.URLError as error:
        raise Unfetched(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise Unfetched(str(error) or type(error).__name__) from error


async def _bounded(work: Any, *arguments: Any) -> Any:
    """In a thread; a server that answers drop by drop is not waited for."""
    async with asyncio.timeout(TIMEOUT_S * 2):
        return await aside(work, *arguments)


def _navigates(request: Request) -> bool:
    """Whether a person looks at what is answered: a script can't follow a redirect to another site's login."""
    if request.method not in ("GET", "HEAD"):
        return False
    mode = request.header("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in (request.header("accept") or "")


def _target(request: Request) -> str:
    """Where to go after the login: on this site, whatever the request's target was made to look like."""
    return request.target if _TARGET.fullmatch(request.target) else "/"


def _site(login: Oidc, request: Request) -> str:
    return login.provider.public_url or f"{request.scheme}://{request.header('host') or request.host}"


def _redirect_uri(login: Oidc, request: Request) -> str:
    return _site(login, request) + login.redirect_path


def _purpose(login: Oidc) -> str:
    return f"{login.name}, under way"


def _attempt_cookie(login: Oidc, state: str) -> str:
    """One for each login under way: people have several tabs."""
    return f"{login.cookie}_login_{hashlib.sha256(state.encode()).hexdigest()[:12]}"


def _names(login: Oidc) -> list[str]:
    return [login.cookie, *(f"{login.cookie}.{number}" for number in range(1, COOKIES_MOST))]


def _brought(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in request.headers.getall("cookie"):
        for pair in line.split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals:
                found.setdefault(name, value)
    return found


def _cookie(login: Oidc, request: Request, name: str, value: str, path: str, seconds: int) -> str:
    secure = login.provider.secure
    if secure is None:
        secure = _site(login, request).startswith("https://")
    return f"{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")


def _gone(login: Oidc, request: Request, only: str = "") -> list[str]:
    """Takes cookies back that were brought: those of the session, or those of logins under way."""
    brought = _brought(request)
    if only:
        under_way = [name for name in brought if name.startswith(f"{login.cookie}{only}")]
        return [_cookie(login, request, name, "", login.redirect_path, 0) for name in under_way]
    return [_cookie(login, request, name, "", "/", 0) for name in _names(login) if name in brought]


def _redirect(where: str, cookies: list[str]) -> Decision:
    fields = [("Location", where), ("Cache-Control", "no-store"), *(("Set-Cookie", cookie) for cookie in cookies)]
    return answer(302, b"", fields)


def _told(request: Request, status: int, reason: str, detail: str, cookies: list[str] | None = None) -> Decision:
    detail = detail if status < 500 else "Logging in is not possible at present."
    fields = [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")]
    fields += [("Set-Cookie", cookie) for cookie in cookies or ()]
    said = answer(status, problem(status, reason, detail, request.request_id), fields)
    return msgspec.structs.replace(said, reason=reason)
