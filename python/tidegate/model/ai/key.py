"""Who may ask: virtual keys."""

from __future__ import annotations

from typing import Annotated, Literal

from tidegate.model.ai.guard import Guards
from tidegate.model.ai.spend import Spend
from tidegate.model.auth import Access, Sha256
from tidegate.model.noun import Many, about
from tidegate.model.secret import Secret
from tidegate.model.units import MomentText

Surface = Literal[
    "chat",
    "completions",
    "generate",
    "responses",
    "embeddings",
    "images",
    "audio",
    "speech",
    "transcription",
    "translation",
    "moderations",
    "rerank",
    "files",
    "batches",
    "count_tokens",
    "prompts",
]
"""What a client may ask for, whichever dialect it speaks: `chat` is also Anthropic's messages and Gemini's content,
`generate` Ollama's; `audio` stands for the three behind it."""

AUDIO: tuple[Surface, ...] = ("speech", "transcription", "translation")


class AiKey(Spend, frozen=True, kw_only=True):
    """One key: itself or its hash, whose it is, what it may ask and spend."""

    name: Annotated[str, about("What usage, logs and limits call it.", "ci")]
    key: Annotated[Secret | None, about("The key, best as `${ENV}`; only its hash is kept.")] = None
    sha256: Annotated[Sha256 | None, about("SHA-256 of the key in hexadecimal digits, instead of `key`.")] = None
    tenant: Annotated[str, about("Whose it is.", "acme")] = ""
    team: Annotated[str, about("A part of the tenant.", "platform")] = ""
    user: Annotated[str, about("A member of the team, or of the tenant.", "ann")] = ""
    models: Annotated[
        str | list[str] | dict[str, Spend] | None,
        about(
            "The models that it may ask: names, or a mapping with the limits of each; `*` stands for any text. "
            "All unless given.",
            ["small", "openai/*"],
            {"small": {}, "big": {"budget": "50/month"}},
        ),
    ] = None
    surfaces: Annotated[list[Surface] | None, about("What it may be used for; everything unless given.", ["chat"])] = (
        None
    )
    access: Annotated[Access | None, about("From which addresses it may be used; everywhere unless given.")] = None
    expires: Annotated[MomentText | None, about("From then on it is refused: a day's end or a moment (UTC).")] = None
    guards: Annotated[Guards, about("Guards of its calls, beside the route's.")] = []
    tags: Annotated[Many, about("Tags that all its calls bear.", ["project-x"])] = []


class Open(Spend, frozen=True, kw_only=True):
    """Calls without a key are let in, as far as these limits and budgets reach, all together."""
