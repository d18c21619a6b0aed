"""Who may spend what: limits, budgets, and the tree of tenants, teams and users that they stand in."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model.noun import Noun, about
from tidegate.model.units import BudgetText, Money, Quota

Quotas = Quota | list[Quota]
"""One or several windows."""


class AiLimits(Noun, frozen=True, kw_only=True):
    """The most in each minute, hour, day, week or month; a list where there are several windows."""

    requests: Annotated[Quotas, about("Calls.", "600/min", ["600/min", "10k/day"])] = []
    tokens: Annotated[Quotas, about("Input and output tokens.", "100k/min")] = []
    input_tokens: Annotated[Quotas, about("Input tokens, cached ones too.")] = []
    output_tokens: Annotated[Quotas, about("Output tokens, thought too.")] = []
    concurrent: Annotated[
        Annotated[int, Meta(ge=1, le=2**31)] | None, about("Calls in flight; a stream is one until its end.")
    ] = None


class Budget(Noun, frozen=True, kw_only=True):
    """The most US dollars in a window (UTC; a week begins on Monday)."""

    usd: Annotated[Money, about("US dollars.", 50)]
    per: Annotated[
        Literal["minute", "hour", "day", "week", "month", "ever"], about("When it begins again; `ever` for never.")
    ] = "month"


class Spend(Noun, frozen=True, kw_only=True):
    """Limits and budgets."""

    limits: Annotated[AiLimits | list[AiLimits], about("Requests, tokens, calls in flight; one record or several.")] = (
        AiLimits()
    )
    budget: Annotated[
        BudgetText | Budget | list[BudgetText | Budget] | None,
        about("US dollars in a window, one or several.", {"usd": 50, "per": "month"}, "50/month"),
    ] = None


class Level(Spend, frozen=True, kw_only=True):
    """Limits and budgets of all calls, and of those for some models."""

    models: Annotated[
        dict[str, Spend], about("Limits and budgets that count only calls for a model; `*` stands for any text.")
    ] = {}


class AiUser(Level, frozen=True, kw_only=True):
    """A member of a team."""


class AiTeam(Level, frozen=True, kw_only=True):
    """A part of a tenant: what it may spend in all, whichever key pays."""

    users: Annotated[dict[str, AiUser], about("Its members by name.")] = {}


class AiTenant(Level, frozen=True, kw_only=True):
    """Whose keys they are: what all of them may spend together."""

    teams: Annotated[dict[str, AiTeam], about("Its parts by name.")] = {}
    users: Annotated[dict[str, AiUser], about("Members of no team.")] = {}


class AiTag(Level, frozen=True, kw_only=True):
    """Calls that bear a tag: what they may spend together, whoever pays beside."""
