"""What loading and lowering say about a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.errors import ConfigErrors
from tidegate.load import load
from tidegate.lower import Lowered, lower

ROUTES = 'listeners: ["127.0.0.1:8080"]\nroutes:\n'
"""Two lines before the first route."""


def lowered(text: str, environ: Mapping[str, str] | None = None, name: str = "t.yaml") -> Lowered:
    """The plan of a text, which becomes a file of that name in the working directory."""
    Path(name).write_text(text, encoding="utf-8")
    loaded = load(name, environ=environ or {})
    return lower(loaded.config, loaded.where, catalogue=lambda: None)


def told(text: str, environ: Mapping[str, str] | None = None, name: str = "t.yaml") -> str:
    """All errors of a text, one a line; nothing where there are none."""
    try:
        lowered(text, environ, name)
    except ConfigErrors as errors:
        return str(errors)
    return ""
