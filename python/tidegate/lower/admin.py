"""The routes of the admin listeners: probes and metrics by the engine, the admin API by Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tidegate import plan
from tidegate.lower.hook import add_hook
from tidegate.lower.own import own_route
from tidegate.model import defaults, units

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
        own_route(work, listeners, f"admin:{name}", plan.PathExact(value=f"/{name}"), plan.Builtin(name=name))
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
    routes.append(own_route(work, listeners, "admin:api", plan.PathPrefix(value="/"), plan.HookAction(), index))
    return routes
