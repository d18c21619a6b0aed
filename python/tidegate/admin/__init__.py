"""The admin API, `/status`, `/config`, `/reload`, `/upgrade`, `/stop`, `/drain`, `/cache…`, `/ai/…`: admin's hook.

Knows: paths, methods, what may be shown.
Never: sockets, the engine. `/healthz`, `/readyz` and `/metrics` are the engine's own.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidegate.admin.ai import AiResources
from tidegate.admin.cache import CacheResources
from tidegate.admin.redact import redacted
from tidegate.background import aside
from tidegate.policy import Decision, Request, answer, problem

if TYPE_CHECKING:
    from tidegate.gateway import Gateway

ACCOUNT: Final = "tidegate.admin:handle"
"""The hook's name, as the lowering writes it."""

_NO_STORE: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


class Admin:
    """Answers requests about one process."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        ai = AiResources(gateway)
        cache = CacheResources(gateway)
        self._resources: dict[str, dict[str, Callable[[Request], Awaitable[Decision]]]] = {
            "/status": {"GET": self._status},
            "/config": {"GET": self._config},
            "/reload": {"POST": self._reload},
            "/upgrade": {"POST": self._upgrade},
            "/drain": {"POST": self._drain},
            "/stop": {"POST": self._stop},
            "/cache": {"GET": cache.stats},
            "/cache/object": {"GET": cache.object},
            "/cache/purge": {"POST": cache.purge},
            "/ai/keys": {"GET": ai.list_keys, "POST": ai.create_key, "DELETE": ai.revoke_key},
            "/ai/usage": {"GET": ai.usage},
            "/ai/flush": {"POST": ai.flush},
        }

    async def handle(self, request: Request) -> Decision:
        """The answer to a request; only what came over a Unix socket may change something."""
        known = self._resources.get(request.path)
        if known is None:
            also = "/healthz, /readyz, /metrics"
            return _refuse(request, 404, "not_found", f"There is {', '.join(self._resources)}, {also}.")
        act = known.get("GET" if request.method == "HEAD" else request.method)
        if act is None:
            allowed = ", ".join(("GET, HEAD" if method == "GET" else method) for method in known)
            told = f"{request.path} takes {' and '.join(known)}."
            return _refuse(request, 405, "method_not_allowed", told, Allow=allowed)
        if request.method not in {"GET", "HEAD"} and not self._gateway.trusts(request.listener):
            told = f"{request.method} {request.path} is taken over a Unix socket only."
            return _refuse(request, 403, "unix_socket_only", told)
        return await act(request)

    async def _status(self, _: Request) -> Decision:
        return _json(self._gateway.status())

    async def _config(self, _: Request) -> Decision:
        # A plan may be megabytes: hooks must not wait for it.
        return await aside(lambda: _json(redacted(msgspec.json.decode(self._gateway.plan()))))

    async def _reload(self, request: Request) -> Decision:
        reloaded = await self._gateway.reload("asked by the admin API")
        if reloaded.error:
            return _refuse(request, 422, "configuration_refused", reloaded.error)
        return _json(reloaded._asdict())

    async def _upgrade(self, request: Request) -> Decision:
        from urllib.parse import parse_qs

        from tidegate.upgrade import UpgradeError

        binary = parse_qs(request.query).get("binary", [None])[0]
        try:
            pid = await self._gateway.takeover.upgrade(binary, "asked by the admin API")
        except UpgradeError as error:
            return _refuse(request, 409, error.reason.value, error.detail)
        return _json({"pid": pid})

    async def _drain(self, _: Request) -> Decision:
        self._gateway.drain()
        return _json({"draining": True})

    async def _stop(self, request: Request) -> Decision:
        from tidegate.gateway import End

        how = End.NOW if "now" in request.query.split("&") else End.DRAIN
        self._gateway.end_soon(how)
        return _json({"stopping": how.value})


def _refuse(request: Request, status: int, reason: str, detail: str, **headers: str) -> Decision:
    fields = {"Content-Type": "application/problem+json", **headers}
    return answer(status, problem(status, reason, detail, request.request_id), fields)


def _json(content: Any) -> Decision:
    return answer(200, msgspec.json.encode(content) + b"\n", _NO_STORE)
