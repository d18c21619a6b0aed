"""Accounts: every limit and budget of every level; a name stays the same as long as it means the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan_ai as form
from tidegate.lower.work import each
from tidegate.model import units
from tidegate.model.ai.spend import AiLimits, Budget, Level, Spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidegate.lower.ai.names import ModelNames
    from tidegate.lower.ai.store import StoredSpend
    from tidegate.lower.work import Path, Work

__all__ = ["Accounts"]

_QUOTAS: tuple[form.Metric, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
_WINDOWS: dict[str, form.Window] = {
    "minute": "minute",
    "hour": "hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "ever": "none",
}


class Accounts:
    """The plan's accounts while keys point at them."""

    def __init__(self, work: Work, names: ModelNames, openings: Mapping[str, tuple[int, int]]) -> None:
        self.work = work
        self.names = names
        self.openings = openings
        self.made: list[form.Account] = []
        self.by_name: dict[str, int] = {}
        self.tags: list[int] = []
        self._levels: dict[tuple[str, str, str], list[int]] = {}
        ai = work.config.ai
        for name, tenant in ai.tenants.items():
            path: Path = ("ai", "tenants", name)
            self._level((name, "", ""), f"tenant {name}", tenant, path)
            for user, entry in tenant.users.items():
                self._level((name, "", user), f"user {name}/{user}", entry, (*path, "users", user))
            for team, group in tenant.teams.items():
                at = (*path, "teams", team)
                self._level((name, team, ""), f"team {name}/{team}", group, at)
                for user, entry in group.users.items():
                    self._level((name, team, user), f"user {name}/{team}/{user}", entry, (*at, "users", user))
        for name, tag in ai.tags.items():
            if not name or "," in name or not name.isprintable() or name != name.strip():
                place = work.where.key_place(("ai", "tags", name))
                work.problems.error_at(place, f"`{name}` cannot be a tag", "write it without commas and outer blanks")
            self.tags += self.level(f"tag {name}", tag, ("ai", "tags", name), tag=name)

    def of(self, tenant: str, team: str, user: str) -> list[int]:
        """What a user, a team and a tenant pay from, and every tag's: whether a call bears it the engine sees."""
        chain = dict.fromkeys(((tenant, team, user), (tenant, team, ""), (tenant, "", "")))
        return [index for level in chain if any(level) for index in self._levels.get(level, ())] + self.tags

    def level(self, owner: str, written: Level, path: Path, *, tag: str | None = None) -> list[int]:
        """The accounts of one level, and of its models."""
        out = self.spend(owner, written, path, tag=tag)
        for name, inner in written.models.items():
            out += self.for_model(owner, name, inner, (*path, "models", name), tag=tag)
        return out

    def for_model(self, owner: str, model: str, written: Spend, path: Path, *, tag: str | None = None) -> list[int]:
        """Accounts that count calls for a model, or for all that a pattern matches."""
        found = self.names.matching_or_told(model, path, key=True)
        models = None if model == "*" else found
        return self.spend(f"{owner}, model {model}", written, path, models=models, tag=tag)

    def spend(
        self, owner: str, written: Spend, path: Path, *, models: list[int] | None = None, tag: str | None = None
    ) -> list[int]:
        """One account for each limit and budget."""
        out: list[int] = []
        for limits, at in each(written.limits, (*path, "limits")):
            out += self._limits(owner, limits, at, models, tag)
        if written.budget is not None:
            budgets: Iterable[tuple[str | Budget, Path]] = each(written.budget, (*path, "budget"))
            for budget, at in budgets:
                most, window = self._budget(budget, at)
                out.append(self._add(owner, "usd", most, window, models, tag, at))
        return out

    def stored(self, owner: str, entry: StoredSpend) -> int | None:
        """The account of a stored key's limit; None where nothing of it is there any more."""
        models = self.names.matching(entry.model) if entry.model not in ("", "*") else None
        if models == []:
            return None
        owner = f"{owner}, model {entry.model}" if models is not None else owner
        return self._add(owner, entry.metric, entry.limit, entry.window, models, None, None)

    def _level(self, key: tuple[str, str, str], owner: str, written: Level, path: Path) -> None:
        if not all(part and part.isprintable() and "/" not in part for part in key if part) or not path[-1]:
            place = self.work.where.key_place(path)
            self.work.problems.error_at(place, f"`{path[-1]}` cannot be a name here", "write it without `/`")
        self._levels[key] = self.level(owner, written, path)

    def _limits(
        self, owner: str, written: AiLimits, path: Path, models: list[int] | None, tag: str | None
    ) -> list[int]:
        out: list[int] = []
        for metric in _QUOTAS:
            quotas: str | list[str] = getattr(written, metric)
            for text, at in each(quotas, (*path, metric)):
                count = units.quota(text)
                out.append(self._add(owner, metric, count.most, count.window, models, tag, at))
        if written.concurrent is not None:
            at = (*path, "concurrent")
            out.append(self._add(owner, "in_flight", written.concurrent, "none", models, tag, at))
        return out

    def _budget(self, written: str | Budget, path: Path) -> tuple[int, form.Window]:
        if isinstance(written, str):
            count = units.budget(written)
            most, window = count.most, _WINDOWS[count.window]
        else:
            most, window = units.money(written.usd), _WINDOWS[written.per]
        if most >= 2**63:
            self.work.error(path, "this is more than can be counted", "write at most 9000000 dollars")
        return most, window

    def _add(
        self,
        owner: str,
        metric: form.Metric,
        most: int,
        window: form.Window,
        models: list[int] | None,
        tag: str | None,
        path: Path | None,
    ) -> int:
        name = f"{owner}: {metric.replace('_', ' ')}" + (f" per {window}" if window != "none" else "")
        if name in self.by_name:
            if path is not None:
                self.work.error(path, f"there is a bound for {name} already", "keep one of them")
            return self.by_name[name]
        spent = self.openings.get(name)
        opening = form.Opening(at_ms=spent[0], spent=spent[1]) if spent is not None else None
        self.made.append(
            form.Account(name=name, metric=metric, limit=most, window=window, models=models, tag=tag, opening=opening)
        )
        self.by_name[name] = len(self.made) - 1
        return len(self.made) - 1
