"""What is looked for in prompts and answers, and what is done with it."""

from __future__ import annotations

from typing import Annotated, Literal

from tidegate.model.noun import Noun, about

PiiKind = Literal["card", "iban", "email", "phone", "ip", "ssn", "api_key"]


class Guard(Noun, frozen=True, kw_only=True):
    """One of `pii`, `keywords` and `regex`."""

    pii: Annotated[
        list[PiiKind] | bool | None,
        about("Personal data, by kind; `on` for all kinds.", ["card", "iban", "email", "phone"]),
    ] = None
    keywords: Annotated[str | list[str] | None, about("Whole words, in any case.", ["project falcon"])] = None
    regex: Annotated[str | None, about("A regular expression, found anywhere.", "[A-Z]{3}-[0-9]{6}")] = None
    action: Annotated[
        Literal["block", "mask", "restore"],
        about(
            "`block` refuses the call or cuts the answer off, `mask` writes `[EMAIL]` instead, `restore` writes "
            "`[EMAIL_1]` upstream and puts the original back into the answer."
        ),
    ] = "block"
    scope: Annotated[
        Literal["request", "response", "both"] | None,
        about("In which texts: what the client sends, what the model answers; both unless given (`restore`: request)."),
    ] = None
    name: Annotated[str | None, about("What refusals, logs and metrics call it; made of its kind unless given.")] = None


Guards = str | Guard | list[str | Guard]
"""Names of `ai.guards`, or guards as they stand."""


class AiRoute(Noun, frozen=True, kw_only=True):
    """What an AI route adds to `ai`."""

    guards: Annotated[Guards, about("Guards of its calls: names of `ai.guards`, or records.")] = []
