"""The verbs that set a machine up: init, convert, completion, manpage, service; and their place on the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from tidegate.cli.common import out

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]

FORMS: Final = ("caddyfile", "haproxy", "litellm")
SHELLS: Final = ("bash", "zsh", "fish")
PIECES: Final = {
    "unit": "tidegate.service",
    "socket": "tidegate.socket",
    "sysusers": "sysusers.conf",
    "logrotate": "logrotate.conf",
    "environment": "environment",
}
"""What goes with a service, and the file that has it."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser], verb: Add) -> None:
    """Puts these verbs on the command line."""
    init = verb(verbs, "init", "write a first tidegate.yaml, from flags or from three questions", "setup", "init")
    init.add_argument("--listen", metavar="ADDR", help="where it is to listen")
    init.add_argument("--to", action="append", metavar="URL", help="where requests go; may be repeated")
    init.add_argument("--ai", metavar="PROVIDER", help="serve models of this provider under /ai/, or `no`")
    init.add_argument("-y", "--yes", action="store_true", help="ask nothing: what no flag says is what questions offer")
    init.add_argument(
        "-o", "--output", default="tidegate.yaml", metavar="FILE", help="default: tidegate.yaml; - to print"
    )
    init.add_argument("--force", action="store_true", help="replace a file that is there")
    convert = verb(verbs, "convert", "print another program's configuration as tidegate.yaml", "setup", "convert")
    convert.add_argument("file", metavar="FILE", help="a Caddyfile, a haproxy.cfg, LiteLLM's config.yaml")
    convert.add_argument("--from", dest="form", choices=FORMS, help="what it is, where its name and words don't say")
    convert.add_argument("-o", "--output", metavar="FILE", help="write it there; replaces nothing")
    completion = verb(verbs, "completion", "print the completions for a shell", "setup", "completion")
    completion.add_argument("shell", choices=SHELLS)
    verb(verbs, "manpage", "print the manual page, in roff", "setup", "manpage")
    service = verb(verbs, "service", "print the systemd unit, or what goes with it", "setup", "service")
    service.add_argument("piece", nargs="?", choices=PIECES, default="unit", help="default: unit")


def init(options: argparse.Namespace) -> int:
    """Writes the configuration and the schema that its first line names; replaces nothing unless told to."""
    from tidegate.errors import TidegateError
    from tidegate.starter import Wishes, ask, starter

    wishes = Wishes(options.listen, options.to, options.ai)
    if not options.yes and sys.stdin.isatty() and None in wishes:
        wishes = ask(wishes, input)
    text = starter(wishes)
    if options.output == "-":
        out(text)
        return 0
    if os.path.exists(options.output) and not options.force:
        raise TidegateError(f"{options.output} is there already; --force replaces it, -o FILE writes another")
    from tidegate.schema import printed

    schema = os.path.join(os.path.dirname(options.output), "tidegate.schema.json")
    try:
        for path, content in ((schema, printed()), (options.output, text)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise TidegateError(f"cannot write {error.filename}: {error.strerror}") from error
    out(f"wrote {options.output}; next: tidegate check -c {options.output}, then tidegate run -c {options.output}")
    return 0


def convert(options: argparse.Namespace) -> int:
    """Prints the configuration with its notes, and says on standard error how many there are to read."""
    from tidegate.convert import convert as converted_of
    from tidegate.errors import TidegateError

    converted = converted_of(options.file, options.form)
    if options.output is None:
        out(converted.text())
    else:
        try:
            with open(options.output, "x", encoding="utf-8") as file:
                file.write(converted.text())
        except FileExistsError:
            raise TidegateError(f"{options.output} is there already") from None
        except OSError as error:
            raise TidegateError(f"cannot write {options.output}: {error.strerror}") from error
    if notes := len(converted.all_notes):
        sys.stderr.write(
            f"{notes} place{'s' if notes > 1 else ''} where the meaning is another: read the lines with NOTE\n"
        )
    return 0


def completion(options: argparse.Namespace) -> int:
    """Prints the script, made from the command line as it is."""
    from tidegate.cli import parser
    from tidegate.cli.complete import script

    out(script(options.shell, parser()))
    return 0


def manpage(_: argparse.Namespace) -> int:
    """Prints tidegate(1), made from the command line as it is."""
    from tidegate.cli import parser
    from tidegate.cli.manual import page

    out(page(parser()))
    return 0


def service(options: argparse.Namespace) -> int:
    """Prints a file for systemd or logrotate, with this program's own path in it."""
    from importlib.resources import files

    text = (files("tidegate") / "systemd" / PIECES[options.piece]).read_text(encoding="utf-8")
    out(text.replace("/usr/local/bin/tidegate", _program()))
    return 0


def _program() -> str:
    """The command that runs this."""
    if getattr(sys, "frozen", False):
        return sys.executable
    beside = os.path.join(os.path.dirname(sys.executable), "tidegate")
    return beside if os.path.exists(beside) else "/usr/local/bin/tidegate"
