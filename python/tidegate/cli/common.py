"""What several verbs do alike: print, and find the configuration."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.source import Source


def out(text: str) -> None:
    """One piece of output, with its line's end."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def source(options: argparse.Namespace) -> "Source":
    """The configuration that the options name; ends with status 2 where they contradict each other."""
    from tidegate.source import Source

    if options.config and options.to:
        options.usage_error("--to is for running without a file: use it or -c FILE, not both")
    return Source(options.config, listen=options.listen, to=options.to, admin=options.admin, workers=options.workers)
