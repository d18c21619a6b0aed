"""The admin API: `/status`, `/config`, `/reload`, `/stop` and `/drain`, a hook of the admin listeners' own route.

Knows: paths, methods, what may be shown.
Never: sockets, the engine. `/healthz`, `/readyz` and `/metrics` are the engine's own.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidegate.admin.redact import redacted
from tidegate.policy import Decision, Request, answer, refuse

if TYPE_CHECKING:
    from tidegate.gateway import Gateway

ACCOUNT: Final = "tidegate.admin:handle"
"""The hook's name, as the lowering writes it."""

_NO_STORE: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


class Admin:
    """Answers requests about one process."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._resources: dict[str, tuple[str, Callable[[Request], Awaitable[Decision]]]] = {
            "/status": ("GET", self._status),
            "/config": ("GET", self._config),
            "/reload": ("POST", self._reload),
            "/drain": ("POST", self._drain),
            "/stop": ("POST", self._stop),
        }

    async def handle(self, request: Request) -> Decision:
        """The answer to a request; only what came over a Unix socket may change something."""
        known = self._resources.get(request.path)
        if known is None:
            also = "/healthz, /readyz, /metrics"
            return refuse(404, f"there is {', '.join(self._resources)}, {also}")
        method, act = known
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if request.method not in allowed:
            return refuse(405, f"{request.path} takes {method}", {"Allow": ", ".join(allowed)})
        if method != "GET" and not self._gateway.trusts(request.listener):
            return refuse(403, f"{request.path} is taken over a Unix socket only: use `tidegate {request.path[1:]}`")
        return await act(request)

    async def _status(self, _: Request) -> Decision:
        return _json(self._gateway.status())

    async def _config(self, _: Request) -> Decision:
        return _json(redacted(msgspec.json.decode(self._gateway.plan())))

    async def _reload(self, _: Request) -> Decision:
        reloaded = await self._gateway.reload("asked by the admin API")
        if reloaded.error:
            return refuse(422, reloaded.error)
        return _json(reloaded._asdict())

    async def _drain(self, _: Request) -> Decision:
        self._gateway.drain()
        return _json({"draining": True})

    async def _stop(self, request: Request) -> Decision:
        from tidegate.gateway import End

        how = End.NOW if "now" in request.query.split("&") else End.DRAIN
        self._gateway.end_soon(how)
        return _json({"stopping": how.value})


def _json(content: Any) -> Decision:
    return answer(200, msgspec.json.encode(content) + b"\n", _NO_STORE)
