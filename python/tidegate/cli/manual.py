"""The manual page tidegate(1), made from the command line itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import tidegate
from tidegate.cli.tree import Argument, Command, tree

if TYPE_CHECKING:
    import argparse

__all__ = ["page"]

SIGNALS: Final = (
    ("HUP", "load the configuration anew"),
    ("QUIT", "drain and stop"),
    ("TERM, INT", "stop at once"),
    ("USR1", "open log files anew"),
)
FILES: Final = (
    ("tidegate.yaml, /etc/tidegate/tidegate.yaml", "the configuration, where -c names none"),
    ("/etc/default/tidegate", "variables that the service's configuration names"),
    ("$STATE_DIRECTORY, ~/.local/state/tidegate", "the control socket, the last good plan, keys and usage"),
)
STATUS: Final = (
    ("0", "done"),
    ("1", "something is wrong; standard error says what"),
    ("2", "the command itself was wrong"),
)


def page(parser: argparse.ArgumentParser) -> str:
    """In roff with the man macros."""
    top = tree(parser)
    lines = [
        f'.TH TIDEGATE 1 "" "tidegate {tidegate.__version__}" "User Commands"',
        ".SH NAME",
        f"tidegate \\- {_text(top.about[0].lower() + top.about[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B tidegate",
        ".I VERB",
        "[\\fIoptions\\fR]",
        ".SH VERBS",
    ]
    for command in [command for command in top.all() if not command.verbs]:
        lines += [".SS " + _text(command.name), _text(_sentence(command.about)), ".PP", f".B {_text(command.usage)}"]
        lines += _arguments(command)
    lines += [".SH OPTIONS", *_arguments(top)]
    for title, rows in (("SIGNALS", SIGNALS), ("FILES", FILES), ("EXIT STATUS", STATUS)):
        lines.append(f".SH {title}")
        for name, about in rows:
            lines += [".TP", f".B {_text(name)}", _text(_sentence(about))]
    return "\n".join(lines) + "\n"


def _arguments(command: Command) -> list[str]:
    told = []
    for argument in command.arguments:
        told += [".TP", _named(argument), _text(_sentence(argument.about) if argument.about else _choice(argument))]
    return told


def _named(argument: Argument) -> str:
    names = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in argument.flags)
    return f"{names} \\fI{_text(argument.value)}\\fR".strip() if argument.value else names


def _choice(argument: Argument) -> str:
    return f"One of {', '.join(argument.choices)}." if argument.choices else "See above."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _text(text: str) -> str:
    """What roff prints as this; hyphens stay hyphens, so that options can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)
