"""The AI part's lowering from beginning to end: its table of contents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tidegate import plan_ai as form
from tidegate.lower.ai.account import Accounts
from tidegate.lower.ai.guard import Guards
from tidegate.lower.ai.key import Keys
from tidegate.lower.ai.model import lower_models
from tidegate.lower.ai.names import ModelNames
from tidegate.lower.ai.price import Prices, load_catalogue
from tidegate.lower.ai.prompt import lower_prompts
from tidegate.lower.ai.provider import Providers
from tidegate.lower.headers import is_token
from tidegate.model.ai import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.lower.ai import Around
    from tidegate.lower.ai.store import StoredKey
    from tidegate.lower.upstream import Upstreams
    from tidegate.lower.work import Path, Work
    from tidegate.model.route import Route

__all__ = ["AiLowering"]


class AiLowering:
    """The AI part on its way into the plan, while routes point at it."""

    def __init__(self, work: Work, upstreams: Upstreams, around: Around) -> None:
        self.work = work
        self.upstreams = upstreams
        self.around = around
        self.guards = Guards(work)
        self.routes = 0

    def route(self, route: Route, path: Path) -> form.AiRoute:
        """What a route with `ai` adds; what is wrong is noted."""
        self.routes += 1
        match = route.match
        if match.exact is not None or match.regex is not None:
            key = "exact" if match.exact is not None else "regex"
            right = "write `path: /ai/`: the surfaces are below it"
            self.work.error((*path, "match", key), "an AI route has more than one path", right)
        if isinstance(route.ai, bool) or route.ai is None:
            return form.AiRoute(guards=[])
        return form.AiRoute(guards=self.guards.indices(route.ai.guards, (*path, "ai", "guards")))

    def lower(self) -> form.Ai | None:
        """All that AI routes share; None where there is no such route."""
        work, ai = self.work, self.work.config.ai
        before = len(work.upstreams)
        providers = Providers(work, self.upstreams)
        store = self.around.store
        stored = store.keys() if store is not None else ()
        names = ModelNames(work, providers, self._stored_models(stored))
        models = lower_models(names, providers, Prices(work, providers, self.around.catalogue or load_catalogue), work)
        accounts = Accounts(work, names, store.openings() if store is not None else {})
        keys = Keys(work, names, accounts, self.guards)
        made_keys = keys.lower(stored)
        open_, open_accounts = keys.open(store)
        if not is_token(ai.tag_header):
            work.error(("ai", "tag_header"), f"`{ai.tag_header}` is not a header's name", "write `X-Tidegate-Tags`")
        if not models and not work.problems.errors:
            work.warn(("ai",), "there is no model that anybody could ask for", "add `models: {small: PROVIDER/MODEL}`")
        made = form.Ai(
            providers=providers.made,
            models=models,
            keys=made_keys,
            open=open_,
            accounts=accounts.made,
            open_accounts=open_accounts,
            prompts=lower_prompts(names, work),
            guards=self.guards.made,
            cache_bytes=work.bytes(ai.cache_memory, ("ai", "cache_memory"), most=2**63 - 1),
            journal=self._journal(ai.journal, ("ai", "journal")),
            log_content=ai.log_content,
            tag_header=ai.tag_header,
        )
        work.ai_paths.update(
            providers=[("ai", "providers", name) for name in providers.written],
            models=[named.path for named in names.all],
            keys=[("ai", "keys", index) for index in range(len(ai.keys))],
            prompts=[("ai", "prompts", name) for name in ai.prompts],
            guards=self.guards.paths,
        )
        if self.routes:
            self.guards.warn_unused()
            return made
        place = work.where.key_place(("ai",))
        work.problems.warn_at(
            place, "no route leads to the AI gateway", "add `{match: {path: /ai/}, ai: {}}` to `routes`"
        )
        del work.upstreams[before:], work.upstream_paths[before:]
        return None

    def _stored_models(self, keys: Sequence[StoredKey]) -> list[str]:
        return [model for key in keys for model in (*(key.models or ()), *(entry.model for entry in key.spend))]

    def _journal(self, written: Journal | bool, path: Path) -> form.UsageJournal | None:
        if written is False:
            return None
        entry = Journal() if written is True else written
        segment = self.work.bytes(entry.segment, (*path, "segment"), least=1 << 16, most=1 << 30)
        if entry.path is not None:
            if not entry.path:
                self.work.error((*path, "path"), "this names no folder", "write its path")
            folder = os.path.join(self.work.where.directory((*path, "path")), os.path.expanduser(entry.path))
        else:
            state = self.work.config.state or self.around.state
            if state is None:
                return None
            folder = os.path.join(state, "usage")
        return form.UsageJournal(path=os.path.normpath(folder), segment_bytes=segment)
