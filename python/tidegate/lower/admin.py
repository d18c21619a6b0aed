"""The routes of the admin listeners: probes and metrics by the engine, the admin API by Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tidegate import plan
from tidegate.lower.hook import add_hook
from tidegate.lower.upstream import lower_retry, lower_timeouts
from tidegate.model import defaults, units
from tidegate.model.upstream import Retry, Timeouts

if TYPE_CHECKING:
    from tidegate.lower.work import Work

__all__ = ["HANDLER", "admin_routes"]

HANDLER = "tidegate.admin:handle"
"""The function that answers the admin API."""

_BUILTINS: tuple[Literal["healthz", "readyz", "metrics"], ...] = ("healthz", "readyz", "metrics")


def admin_routes(work: Work, listeners: list[int]) -> list[plan.Route]:
    """The routes that the admin listeners serve; none where there are no such listeners."""
    if not listeners:
        return []
    routes = [
        _route(work, listeners, f"admin:{name}", plan.PathExact(value=f"/{name}"), plan.Builtin(name=name))
        for name in _BUILTINS
    ]
    hook = plan.Hook(
        name=HANDLER,
        timeout_ms=units.duration(defaults.ADMIN_TIMEOUT),
        body=True,
        body_bytes=units.size(defaults.ADMIN_BODY),
        on_failure="refuse",
    )
    index = add_hook(hook, ("admin",), work)
    routes.append(_route(work, listeners, "admin:api", plan.PathPrefix(value="/"), plan.HookAction(), index))
    return routes


def _route(
    work: Work,
    listeners: list[int],
    name: str,
    path: plan.PathMatch,
    action: plan.Action,
    hook: int | None = None,
) -> plan.Route:
    return plan.Route(
        name=name,
        listeners=listeners,
        matches=plan.Matches(hosts=[], path=path, methods=[], headers=[], query=[]),
        access=None,
        auth=None,
        limits=[],
        concurrency=[],
        hook=hook,
        body_bytes=units.size(defaults.ADMIN_BODY),
        rewrite=None,
        request_headers=[],
        response_headers=[],
        timeouts=lower_timeouts(Timeouts(), Timeouts(), ((), ()), work),
        retry=lower_retry(Retry(), False, ((), ()), work),
        cache=None,
        access_log=False,
        action=action,
    )
