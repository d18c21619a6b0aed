"""Prompts as APIs: a template and a model that answer plain JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from tidegate.model.noun import Noun, about

Schema = dict[str, Any]
"""A JSON Schema, written as YAML or TOML."""


class PromptMessage(Noun, frozen=True, kw_only=True):
    """One message of a prompt."""

    role: Annotated[Literal["system", "developer", "user", "assistant"], about("Who says it.")] = "user"
    content: Annotated[str, about("A template (Jinja).", "Summarize: {{ text }}")]


class PromptVersion(Noun, frozen=True, kw_only=True):
    """A template with what goes with it; `template` (and `system`), or `messages`."""

    model: Annotated[str | None, about("The model that is asked; the prompt's unless given.", "small")] = None
    template: Annotated[str | None, about("The user's message, a template (Jinja).", "Summarize: {{ text }}")] = None
    system: Annotated[str | None, about("The system's message before it, a template too.")] = None
    messages: Annotated[list[PromptMessage] | None, about("All messages, instead of `template` and `system`.")] = None
    input: Annotated[
        Schema | None,
        about("A JSON Schema of the inputs; anything unless given.", {"type": "object", "required": ["text"]}),
    ] = None
    output: Annotated[Schema | None, about("A JSON Schema of the answer, which then is JSON; text unless given.")] = (
        None
    )
    parameters: Annotated[Schema | None, about("Other fields of the chat request.", {"temperature": 0})] = None
    weight: Annotated[
        Annotated[int, Meta(ge=0, le=1000)] | None,
        about("Its share of the calls that pin no version, where `default` names none."),
    ] = None


class AiPrompt(PromptVersion, frozen=True, kw_only=True):
    """A prompt; with `versions`, what stands beside them holds for all that do not say otherwise."""

    description: Annotated[str, about("What the OpenAPI document tells of it.")] = ""
    versions: Annotated[dict[str, PromptVersion], about("Several versions by name.")] = {}
    default: Annotated[
        str | None, about("The version that calls get which pin none; the last unless there are weights.")
    ] = None
