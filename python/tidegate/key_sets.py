"""Keeps the keys of issuers fresh: fetches JWK Sets, hands them to the engine, keeps the last good ones on disk.

Knows: URLs, how long an answer holds, when to try again.
Never: what a token is, which keys are good; the engine says that.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidegate.background import aside
from tidegate.log import Seldom, say
from tidegate.state import StateError, keep_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidegate.plan import Plan
    from tidegate.policy import Request
    from tidegate.ports import Engine

__all__ = ["Fetched", "KeySets", "Unfetched", "Wanted", "fetch", "get", "wanted"]

BODY_MOST: Final = 1 << 20
"""Sets have a few KiB."""
LEAST_S: Final = 60.0
MOST_S: Final = 24 * 3600.0
UNSAID_S: Final = 900.0
"""How long keys hold where the issuer does not say: new ones are asked for when a token names them, so this is for
those that are taken back."""
BACKOFF_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""After failures in a row."""


class Fetched(NamedTuple):
    """A JWK Set, and how long it holds."""

    jwks: bytes
    holds_s: float


class Unfetched(Exception):
    """Why keys could not be fetched."""


class Wanted(NamedTuple):
    """A set that a plan wants fetched."""

    url: str
    timeout_s: float


def wanted(plan: Plan) -> dict[str, Wanted]:
    """The sets that a plan wants fetched, by name."""
    made: dict[str, Wanted] = {}
    for route in plan.routes:
        for method in getattr(route.auth, "methods", [route.auth]):
            key_set = getattr(method, "key_set", None)
            if key_set is not None and key_set.fetch is not None:
                made[key_set.name] = Wanted(key_set.name, plan.hooks[key_set.fetch.hook].timeout_ms / 1000)
    return made


class _Set:
    """One URL: what is known of it, and the task that keeps it fresh."""

    def __init__(self, want: Wanted) -> None:
        self.want = want
        self.failures = 0
        self.keys = 0
        self.fetched_at: float | None = None
        self.error = ""
        self.skipped: list[str] = []
        self.under_way: asyncio.Future[float] | None = None
        self.task: asyncio.Task[None] | None = None


class KeySets:
    """All sets of the plan in force."""

    def __init__(self, fetch: Callable[[str, float], Fetched] | None = None) -> None:
        self._fetch = fetch
        self._sets: dict[str, _Set] = {}
        self._seldom = Seldom()
        self._engine: Engine | None = None
        self._state: str | None = None

    def in_force(self, engine: Engine, sets: Iterable[Wanted], state: str | None) -> None:
        """A plan with these sets runs: those that are new are fetched at once, those that are gone no more."""
        self._engine, self._state = engine, state
        wants = {want.url: want for want in sets}
        for url in [url for url in self._sets if url not in wants]:
            self._stop(self._sets.pop(url))
        for url, want in wants.items():
            if (known := self._sets.get(url)) is not None:
                known.want = want
                continue
            made = self._sets[url] = _Set(want)
            made.task = asyncio.get_running_loop().create_task(self._keep_fresh(made))

    def stop(self) -> None:
        """Fetches nothing any more."""
        for one in self._sets.values():
            self._stop(one)
        self._sets.clear()

    async def handle(self, request: Request) -> None:
        """The engine has seen a key that it does not know: fetches, and is back when the engine knows better."""
        known = self._sets.get(request.about)
        if known is not None:
            await asyncio.shield(self._refresh(known))

    def figures(self) -> list[dict[str, Any]]:
        """For `/status`."""
        return [
            {
                "name": one.want.url,
                "keys": one.keys,
                "fetched_at": None if one.fetched_at is None else round(one.fetched_at, 3),
                "failures": one.failures,
                "error": one.error,
                "unusable": one.skipped,
            }
            for one in self._sets.values()
        ]

    @staticmethod
    def _stop(one: _Set) -> None:
        if one.task is not None:
            one.task.cancel()

    async def _keep_fresh(self, one: _Set) -> None:
        while True:
            wait_s = await asyncio.shield(self._refresh(one))
            # Spread, so that a fleet does not ask in one moment.
            await asyncio.sleep(wait_s * random.uniform(0.9, 1.0))  # noqa: S311 — nobody gains from guessing it

    def _refresh(self, one: _Set) -> asyncio.Future[float]:
        """One fetch at a time; whoever asks meanwhile waits for the same one."""
        if one.under_way is None or one.under_way.done():
            one.under_way = asyncio.ensure_future(self._once(one))
        return one.under_way

    async def _once(self, one: _Set) -> float:
        """Seconds until the next fetch."""
        assert self._engine is not None, "a set is there once an engine is"
        url = one.want.url
        try:
            # The bound within is on each read; this one is on a server that answers drop by drop.
            async with asyncio.timeout(one.want.timeout_s * 2):
                fetched = await aside(self._fetch or fetch, url, one.want.timeout_s)
            told = self._engine.set_keys(url, fetched.jwks)
        except (Unfetched, TimeoutError, ValueError) as error:
            if not isinstance(error, ValueError):
                self._engine.keys_failed(url)  # of what it is given, the engine knows itself
            one.failures += 1
            one.error = str(error) or "no answer in time"
            still = (
                f"the {one.keys} keys before stay" if one.keys else "tokens are checked with what was kept, if anything"
            )
            self._seldom.say(f"keys {url}", f"keys of {url} could not be taken: {one.error}; {still}")
            return BACKOFF_S[min(one.failures, len(BACKOFF_S)) - 1]
        if told is None:
            return UNSAID_S
        if one.failures:
            say(f"keys of {url} are fetched again")
        one.keys, skipped = told
        if skipped and skipped != one.skipped:
            say(f"keys of {url}: {'; '.join(skipped)}", "warn")
        one.skipped = skipped
        one.failures, one.error, one.fetched_at = 0, "", time.time()
        if self._state is not None:
            with contextlib.suppress(StateError):
                await aside(keep_keys, self._state, url, fetched.jwks)
        return fetched.holds_s


def fetch(url: str, timeout_s: float) -> Fetched:
    """The JWK Set of a URL, or of the `jwks_uri` that a provider's metadata there names; raises Unfetched."""
    import json

    until = time.monotonic() + timeout_s
    body, holds_s = get(url, timeout_s)
    try:
        told = json.loads(body)
    except ValueError as error:
        raise Unfetched(f"the answer is no JSON ({error})") from error
    if isinstance(told, dict) and "keys" not in told and isinstance(told.get("jwks_uri"), str):
        # OpenID Connect Discovery 1.0 §4.3: metadata of another issuer is none.
        issuer = url.removesuffix("/.well-known/openid-configuration")
        if str(told.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
            raise Unfetched(f"the metadata there are of the issuer {told.get('issuer')!r}")
        body, holds_s = get(told["jwks_uri"], max(0.1, until - time.monotonic()))
    return Fetched(body, holds_s)


def get(url: str, timeout_s: float) -> tuple[bytes, float]:
    """What a URL answers, and how long it holds; raises Unfetched."""
    import http.client
    import urllib.error
    import urllib.request

    class SameScheme(urllib.request.HTTPRedirectHandler):
        """A redirect must not lead out of TLS, nor to another kind of URL."""

        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            if not newurl.startswith("https://") and not (url.startswith("http://") and newurl.startswith("http://")):
                raise Unfetched(f"it redirects to {newurl}")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    if not url.startswith(("https://", "http://")):
        raise Unfetched(f"{url} is no URL of the web")
    headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "tidegate"}
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(), SameScheme())
        asked = urllib.request.Request(url, headers=headers)  # noqa: S310 — the scheme was looked at
        with opener.open(asked, timeout=timeout_s) as answer:
            body = answer.read(BODY_MOST + 1)
            control = answer.headers.get("Cache-Control", "")
    except urllib.error.HTTPError as error:
        raise Unfetched(f"it answers {error.code}") from error
    except urllib.error.URLError as error:
        raise Unfetched(str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unfetched(str(error) or type(error).__name__) from error
    if len(body) > BODY_MOST:
        raise Unfetched(f"the answer is larger than {BODY_MOST:,} bytes")
    return body, _holds_s(control)


def _holds_s(control: str) -> float:
    """Of `Cache-Control` (RFC 9111 §5.2.2), within bounds."""
    if re.search(r"\b(?:no-store|no-cache)\b", control, re.IGNORECASE):
        return LEAST_S
    found = re.search(r"\bmax-age=\"?(\d{1,9})", control, re.IGNORECASE)
    return min(max(float(found[1]), LEAST_S), MOST_S) if found else UNSAID_S
