"""The whole configuration, as it is written."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model.ai import Ai
from tidegate.model.cache import CacheStore
from tidegate.model.listener import Listener
from tidegate.model.log import AccessLog
from tidegate.model.noun import Many, Noun, about
from tidegate.model.route import Route
from tidegate.model.server import Server
from tidegate.model.upstream import Upstream


class Config(Noun, frozen=True, kw_only=True):
    """Tidegate's configuration."""

    include: Annotated[
        Many, about("Files whose content is added to this one; globs, relative to this file.", ["conf.d/*.yaml"])
    ] = []
    listeners: Annotated[list[str | Listener], about("Where connections are accepted.")] = []
    admin: Annotated[
        Many | bool,
        about(
            "Where /healthz, /readyz, /metrics and the admin API answer, beside the control socket; `off` for nowhere.",
            "127.0.0.1:9640",
        ),
    ] = False
    access_log: Annotated[
        AccessLog | str | bool, about("What is written for each request: a record, a path, or `off`.")
    ] = True
    state: Annotated[
        str | None,
        about(
            "The directory of what must survive a restart; $STATE_DIRECTORY, $XDG_STATE_HOME/tidegate or "
            "~/.local/state/tidegate unless given."
        ),
    ] = None
    workers: Annotated[int, Meta(ge=0, le=1024, description="Engine threads; 0 for one a core.")] = 0
    server: Annotated[Server, about("Bounds and manners that all listeners share.")] = Server()
    routes: Annotated[list[Route], about("What is matched, and what is done with it.")] = []
    upstreams: Annotated[dict[str, str | list[str] | Upstream], about("Groups of endpoints by name.")] = {}
    cache: Annotated[CacheStore, about("The store of what routes with `cache` keep.")] = CacheStore()
    ai: Annotated[Ai, about("The AI gateway: what routes with `ai` share.")] = Ai()
