"""What all nouns of the configuration have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Many", "Noun", "Replacement", "TemplateText", "about", "first"]


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A record that people write: keys by name, unknown ones refused, never changed once read."""


def about(text: str, *examples: object) -> Meta:
    """A key's line in the JSON Schema."""
    return Meta(description=text, examples=list(examples) or None)


TemplateText = Annotated[str, Meta(extra={"reads": "template"})]
"""A text in which `${client_ip}`, `${header:NAME}`, `${1}` … stand for what the request knows."""

Replacement = Annotated[str, Meta(extra={"reads": "replacement"})]
"""A text with `$1` and `${name}` for what a regular expression captured."""

Many = str | list[str]
"""One or a list."""


def first(*values: object) -> object:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)
