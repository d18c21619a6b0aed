"""One lowering from beginning to end: its table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower import Lowered
from tidegate.lower.admin import admin_routes
from tidegate.lower.cache import lower_store
from tidegate.lower.listener import lower_admin, lower_listeners, redirect_routes
from tidegate.lower.log import lower_access_log
from tidegate.lower.paths import PlanPaths
from tidegate.lower.route import lower_routes
from tidegate.lower.server import lower_server
from tidegate.lower.tcp import lower_tcp
from tidegate.lower.upstream import Upstreams
from tidegate.lower.work import Work
from tidegate.model.ai import Ai

if TYPE_CHECKING:
    from tidegate.load.tree import SourceMap
    from tidegate.lower.ai import Around
    from tidegate.lower.ai.whole import AiLowering
    from tidegate.model.config import Config

__all__ = ["lower_whole"]


def lower_whole(config: Config, where: SourceMap, control_socket: str | None, around: Around) -> Lowered:
    """The plan of a configuration; raises `ConfigErrors`."""
    work = Work(config, where)
    work.kept_keys = around.kept_keys or work.kept_keys
    server = lower_server(work)
    lower_listeners(work)
    access_log = lower_access_log(work)
    upstreams = Upstreams(work)
    ai = _ai(work, upstreams, around)
    routes = lower_routes(work, upstreams, ai)
    lower_tcp(work, upstreams)
    upstreams.warn_unused()
    if not routes and not all(listener.tcp for listener in work.listeners):
        work.warn((), "there is no route: everything is answered 404", "add `routes: [{upstream: http://HOST:PORT}]`")
    admins = lower_admin(work, control_socket)
    made_ai = ai.lower() if ai is not None else None
    paths = PlanPaths(where, work, len(routes))
    routes += redirect_routes(work)
    routes += admin_routes(work, admins)
    cache = lower_store(work, routes)
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
        cache=cache,
    )
    return Lowered(made, plan.encode(made), paths, work.problems.warnings, work.files, work.orders)


def _ai(work: Work, upstreams: Upstreams, around: Around) -> AiLowering | None:
    """The AI gateway's part, where anything is said of one; else not even its modules are read."""
    if work.config.ai == Ai() and not any(route.ai not in (None, False) for route in work.config.routes):
        return None
    from tidegate.lower.ai.whole import AiLowering

    return AiLowering(work, upstreams, around)
