"""One lowering from beginning to end: its table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower import Lowered
from tidegate.lower.admin import admin_routes
from tidegate.lower.ai import AiLowering
from tidegate.lower.listener import lower_admin, lower_listeners
from tidegate.lower.log import lower_access_log
from tidegate.lower.paths import PlanPaths
from tidegate.lower.route import lower_routes
from tidegate.lower.server import lower_server
from tidegate.lower.upstream import Upstreams
from tidegate.lower.work import Work

if TYPE_CHECKING:
    from tidegate.load.tree import SourceMap
    from tidegate.lower.ai import Around
    from tidegate.model.config import Config

__all__ = ["lower_whole"]


def lower_whole(config: Config, where: SourceMap, control_socket: str | None, around: Around) -> Lowered:
    """The plan of a configuration; raises `ConfigErrors`."""
    work = Work(config, where)
    server = lower_server(work)
    lower_listeners(work)
    access_log = lower_access_log(work)
    upstreams = Upstreams(work)
    ai = AiLowering(work, upstreams, around)
    routes = lower_routes(work, upstreams, ai)
    if not routes:
        work.warn((), "there is no route: everything is answered 404", "add `routes: [{upstream: http://HOST:PORT}]`")
    admins = lower_admin(work, control_socket)
    made_ai = ai.lower()
    paths = PlanPaths(where, work, len(routes))
    routes += admin_routes(work, admins)
    work.problems.raise_if_any()
    made = plan.Plan(
        schema=plan.SCHEMA,
        server=server,
        listeners=work.listeners,
        routes=routes,
        upstreams=work.upstreams,
        limits=work.limits,
        concurrency=work.concurrency,
        hooks=work.hooks,
        access_log=access_log,
        ai=made_ai,
    )
    return Lowered(made, plan.encode(made), paths, work.problems.warnings)
