"""From a path in the plan, as the engine names it in a refusal, back to the place in the configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate.load.tree import Mapping

if TYPE_CHECKING:
    from tidegate.errors import Place
    from tidegate.load.tree import SourceMap, Step
    from tidegate.lower.work import Path, Work

__all__ = ["PlanPaths"]

_STEP = re.compile(r"([A-Za-z_0-9]+)|\[(\d+)\]")

_WRITTEN: dict[str, dict[str, tuple[str, ...]]] = {
    "routes": {
        "name": ("name",),
        "listeners": ("listeners",),
        "matches.hosts": ("match.host",),
        "matches.path": ("match.path", "match.exact", "match.regex"),
        "matches.methods": ("match.methods",),
        "matches.headers": ("match.headers",),
        "matches.query": ("match.query",),
        "access": ("access",),
        "auth": ("auth.api_keys", "auth.basic", "auth"),
        "limits": ("limit",),
        "concurrency": ("concurrency",),
        "hook": ("hook",),
        "body_bytes": ("max_body",),
        "rewrite.path": ("rewrite.path", "rewrite.prefix", "rewrite.regex"),
        "rewrite.host": ("rewrite.host",),
        "rewrite.query": ("rewrite.query",),
        "request_headers": ("headers.request",),
        "response_headers": ("headers.response",),
        "retry": ("retry",),
        "timeouts": ("timeouts",),
        "access_log": ("access_log",),
        "action.status": ("redirect.status", "respond.status", "redirect", "respond"),
        "action.location": ("redirect.to", "redirect"),
        "action": ("upstream", "ai", "redirect", "respond", "builtin", "hook"),
    },
    "ai.guards": {"look_for": ("regex", "keywords", "pii")},
    "ai.models": {"first_token_ms": ("timeouts.first_token",), "total_ms": ("timeouts.total",)},
    "ai.providers": {"upstream": ("base_url",), "base_path": ("base_url",), "credentials": ("credentials", "api_key")},
    "ai.keys": {"sha256": ("sha256", "key"), "accounts": ("limits", "budget"), "expires_ms": ("expires",)},
    "upstreams": {
        "endpoints": ("endpoints",),
        "passive": ("health.passive",),
        "active": ("health.active",),
        "balance": ("balance",),
        "pool": ("pool",),
        "slow_start_ms": ("slow_start",),
    },
    "listeners": {"address": ("address",), "name": ("name",), "proxy_protocol": ("proxy_protocol",)},
    "server": {"head_bytes": ("head_bytes",), "head_fields": ("head_fields",)},
    "access_log": {"format": ("format",), "sink": ("path",), "buffer_bytes": ("buffer",), "flush_ms": ("flush",)},
}
"""What the keys of a plan are called in the configuration where the names differ; the first that was written counts."""


class PlanPaths:
    """Where each entry of a plan was written."""

    def __init__(self, where: SourceMap, work: Work, routes: int) -> None:
        self.where = where
        self.entries: dict[str, list[Path]] = {
            "routes": [("routes", index) for index in range(routes)],
            "listeners": work.listener_paths,
            "upstreams": work.upstream_paths,
            "limits": work.limit_paths,
            "concurrency": work.concurrency_paths,
            "hooks": work.hook_paths,
            **{f"ai.{noun}": paths for noun, paths in work.ai_paths.items()},
        }

    def place(self, plan_path: str) -> Place:
        """The place of `routes[3].action.upstream`, or of what is nearest to it."""
        return self.where.place(self.source(plan_path))

    def source(self, plan_path: str) -> Path:
        """The path in the configuration, as deep as it was written there."""
        steps: list[Step] = [int(found[2]) if found[2] else found[1] for found in _STEP.finditer(plan_path)]
        if not steps:
            return ()
        noun = str(steps.pop(0))
        if noun == "ai" and steps and f"ai.{steps[0]}" in self.entries:
            return self._of_entry(f"ai.{steps.pop(0)}", steps, ("ai",))
        if noun in self.entries:
            return self._of_entry(noun, steps, (noun,))
        return self._deepest((noun,), noun, steps)

    def _of_entry(self, noun: str, steps: list[Step], otherwise: Path) -> Path:
        if not steps or not isinstance(steps[0], int) or steps[0] >= len(self.entries[noun]):
            return otherwise if self.where.has(otherwise) else ()
        return self._deepest(self.entries[noun][steps[0]], noun, steps[1:])

    def _deepest(self, base: Path, noun: str, steps: list[Step]) -> Path:
        table = _WRITTEN.get(noun, {})
        for count in range(len(steps), 0, -1):
            key = ".".join(str(step) for step in steps[:count])
            for written in table.get(key, ()):
                path = (*base, *written.split("."))
                if self.where.has(path):
                    return self._further(path, steps[count:])
        return self._further(base, steps)

    def _further(self, path: Path, steps: list[Step]) -> Path:
        """As many more steps as were written by the same names, units left out."""
        for step in steps:
            node, depth = self.where.node(path)
            names_of_ai = list(node.entries) if path[:1] == ("ai",) and isinstance(node, Mapping) else []
            if isinstance(step, int) and depth == len(path) and step < len(names_of_ai):
                path = (*path, names_of_ai[step])  # a list of the plan that people write as a mapping of names
                continue
            names = [step] if isinstance(step, int) else [step, re.sub(r"_(ms|bytes|percent)$", "", step)]
            inner = next(((*path, name) for name in names if self.where.has((*path, name))), None)
            if inner is None:
                return path
            path = inner
        return path
