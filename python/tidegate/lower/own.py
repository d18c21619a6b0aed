"""Routes that nobody wrote: those of the admin listeners, and of listeners that only send to TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower.upstream import lower_retry, lower_timeouts
from tidegate.model import defaults, units
from tidegate.model.upstream import Retry, Timeouts

if TYPE_CHECKING:
    from tidegate.lower.work import Work

__all__ = ["own_route"]


def own_route(
    work: Work,
    listeners: list[int],
    name: str,
    path: plan.PathMatch,
    action: plan.Action,
    hook: int | None = None,
    *,
    logged: bool = False,
) -> plan.Route:
    """A route without stages."""
    return plan.Route(
        name=name,
        listeners=listeners,
        matches=plan.Matches(hosts=[], path=path, methods=[], headers=[], query=[]),
        access=None,
        auth=None,
        cors=None,
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
        access_log=logged,
        action=action,
    )
