"""The verb that prints usage: sums, or single records, of all that has happened up to now."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from contextlib import closing, suppress


def usage(options: argparse.Namespace) -> int:
    """Has the journal taken in first, by the process that runs or by itself, then reads the database."""
    from tidegate.ai.database import connect
    from tidegate.ai.manage import asked_of
    from tidegate.ai.usage import UsageError, records, sums, write

    fields = ("key", "tenant", "team", "user", "model", "provider", "variant", "tag")
    words = {"by": options.by, "from": options.since, "to": options.until}
    words.update({name: getattr(options, name) for name in fields})
    asked = asked_of({name: text for name, text in words.items() if text is not None})
    if options.format == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is nothing for a terminal: write it into a file, as > usage.parquet")
    where = folder(options)
    if not os.path.isdir(where):
        raise UsageError(f"there is no state directory {where}; name another with -c FILE or --state DIR")
    _take_in(where)
    with closing(connect(where)) as db:
        table = records(db, asked) if options.records else sums(db, asked)
        for piece in write(table, options.format):
            sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    return 0


def folder(options: argparse.Namespace) -> str:
    """The state directory that the options name, made where it is not there."""
    from tidegate.source import Source

    where, _ = Source(options.config).state(None, options.state)
    with suppress(OSError):  # whoever opens the database says what is wrong
        os.makedirs(where, mode=0o700, exist_ok=True)
    return where


def _take_in(where: str) -> None:
    from tidegate.ai.background import AiBackground
    from tidegate.cli.talk import Unreachable, ask
    from tidegate.state import running

    for process in running(where):
        with suppress(Unreachable):
            ask(process.control, "POST", "/ai/flush", timeout_s=60)
    try:
        lock = os.open(os.path.join(where, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        # Whoever has the lock takes the journal in; without a gateway it is free.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        AiBackground(where).flush()
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
