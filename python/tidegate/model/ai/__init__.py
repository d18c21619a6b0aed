"""The AI gateway: who is asked, by which name, by whom, for how much."""

from __future__ import annotations

from typing import Annotated, Literal

from tidegate.model import defaults
from tidegate.model.ai.guard import AiRoute, Guard
from tidegate.model.ai.key import AiKey, Open
from tidegate.model.ai.model import AiModel, AiTarget
from tidegate.model.ai.price import AiPrice
from tidegate.model.ai.prompt import AiPrompt
from tidegate.model.ai.provider import AiProvider
from tidegate.model.ai.spend import AiTag, AiTenant
from tidegate.model.noun import Noun, about
from tidegate.model.units import Size

__all__ = ["Ai", "AiRoute", "Journal"]


class Journal(Noun, frozen=True, kw_only=True):
    """Where usage records are written first."""

    path: Annotated[str | None, about("A folder; `usage` in the state directory unless given.")] = None
    segment: Annotated[Size, about("The size of one segment file.")] = defaults.AI_SEGMENT


class Ai(Noun, frozen=True, kw_only=True):
    """What all AI routes share."""

    providers: Annotated[
        dict[str, AiProvider],
        about("Who answers, by name.", {"openai": {"api_key": "${OPENAI_API_KEY}"}}),
    ] = {}
    models: Annotated[
        dict[str, str | list[str | AiTarget] | AiModel],
        about(
            "The models that clients see: `PROVIDER/MODEL`, a list of those, or a record; one `*` in a name stands "
            "for any text.",
            {"small": "openai/gpt-4o-mini"},
        ),
    ] = {}
    keys: Annotated[list[AiKey], about("Who may ask; those of `tidegate keys` come beside them.")] = []
    open: Annotated[
        Open | bool | None,
        about("Whether calls without a key are let in, and for how much; only while there are no keys unless given."),
    ] = None
    tenants: Annotated[dict[str, AiTenant], about("What the keys of a tenant may spend together.")] = {}
    tags: Annotated[dict[str, AiTag], about("What calls with a tag may spend together.")] = {}
    prompts: Annotated[dict[str, AiPrompt], about("Prompts as APIs: `POST …/prompts/NAME`.")] = {}
    guards: Annotated[dict[str, Guard], about("Guards by name, for routes and keys.")] = {}
    prices: Annotated[
        dict[str, AiPrice],
        about(
            "US dollars for a million tokens, by `PROVIDER/MODEL`; `*` stands for any text.",
            {"openai/gpt-4o": {"input": 2.5, "output": 10}},
        ),
    ] = {}
    journal: Annotated[Journal | bool, about("Where usage records are written; `off` keeps none.")] = Journal()
    log_content: Annotated[
        Literal["off", "redacted", "full"],
        about("Whether prompts and answers go into usage records: not, with personal data masked, or as they are."),
    ] = "off"
    cache_memory: Annotated[Size, about("Memory for answers of models with a `cache`.")] = defaults.AI_CACHE
    tag_header: Annotated[str, about("The request header with a call's tags, comma-separated.")] = defaults.AI_TAGS
