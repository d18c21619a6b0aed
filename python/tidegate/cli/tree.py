"""The command line as plain data, off its parser; completions, the manual page and the reference are made of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Argument", "Command", "tree"]


class Argument(NamedTuple):
    """An option, or a positional argument."""

    flags: tuple[str, ...]
    """As `-c` and `--config`; none for a positional argument."""
    value: str
    """What its value is called; empty for a switch."""
    choices: tuple[str, ...]
    about: str
    required: bool

    @property
    def completes(self) -> str:
        """`file`, `folder` or empty: what a shell can offer as its value."""
        kinds = {"FILE": "file", "PATH": "file", "DIR": "folder"}
        return kinds.get(self.value, "")


class Command(NamedTuple):
    """A verb with all that may follow it."""

    name: str
    """With the verbs above it: `tidegate keys create`."""
    about: str
    arguments: tuple[Argument, ...]
    verbs: tuple[Command, ...]

    @property
    def options(self) -> tuple[Argument, ...]:
        """The arguments that have a name."""
        return tuple(argument for argument in self.arguments if argument.flags)

    @property
    def positional(self) -> tuple[Argument, ...]:
        """The arguments that have none."""
        return tuple(argument for argument in self.arguments if not argument.flags)

    def all(self) -> Iterator[Command]:
        """This, and every verb below it."""
        yield self
        for verb in self.verbs:
            yield from verb.all()

    @property
    def usage(self) -> str:
        """In one line."""
        words = [self.name]
        for argument in self.arguments:
            written = f"{argument.flags[0]} {argument.value}".strip() if argument.flags else argument.value
            words.append(written if argument.required else f"[{written}]")
        return " ".join([*words, *(["VERB"] if self.verbs else [])])


def tree(parser: argparse.ArgumentParser, about: str = "") -> Command:
    """The parser's command, without `-h`, which every verb has."""
    arguments, verbs = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {choice.dest: choice.help or "" for choice in action._choices_actions}
            verbs += [tree(inner, told.get(name, "")) for name, inner in action.choices.items()]
        elif not isinstance(action, argparse._HelpAction):
            arguments.append(_argument(action))
    return Command(parser.prog, about or parser.description or "", tuple(arguments), tuple(verbs))


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(str(choice) for choice in action.choices or ())
    metavar = action.metavar if isinstance(action.metavar, str) else None
    value = "" if action.nargs == 0 else metavar or "|".join(choices) or action.dest.upper()
    required = action.required if action.option_strings else action.nargs not in ("?", "*")
    about = (action.help or "").replace("%%", "%")
    return Argument(tuple(action.option_strings), value, choices, about, required)
