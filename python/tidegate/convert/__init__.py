"""Other programs' configurations as Tidegate's own, with a note wherever the meaning is another.

A format is a module with `convert(text, name) -> Converted` and a line in FORMATS.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

from tidegate.convert.written import Converted, ConvertError

__all__ = ["FORMATS", "ConvertError", "Converted", "convert", "guess"]

FORMATS: Final = {
    "caddyfile": "tidegate.convert.caddyfile",
    "haproxy": "tidegate.convert.haproxy",
    "litellm": "tidegate.convert.litellm",
}
"""The formats that are known, and the module of each."""


def convert(path: str, form: str | None = None) -> Converted:
    """The file at `path`, in a format of FORMATS or in the one that it looks like; raises ConvertError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ConvertError(path, 0, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConvertError(path, 0, "is no UTF-8 text") from error
    chosen = form or guess(path, text)
    if chosen is None:
        raise ConvertError(path, 0, f"is nothing known; say what it is: --from {', '.join(FORMATS)}")
    done: Converted = import_module(FORMATS[chosen]).convert(text, os.path.basename(path))
    return done


def guess(path: str, text: str) -> str | None:
    """What a file looks like, by its name and by the words that only one format has."""
    name = os.path.basename(path).lower()
    if name.startswith("caddyfile") or name.endswith(".caddyfile"):
        return "caddyfile"
    lines = [line.strip() for line in text.splitlines()]
    if "model_list:" in text:
        return "litellm"
    if any(line.startswith(("frontend ", "backend ", "listen ")) for line in lines):
        return "haproxy"
    if any(line.startswith("reverse_proxy ") for line in lines):
        return "caddyfile"
    return None
