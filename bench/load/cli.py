"""The command line: which rows, how long, where to."""

from __future__ import annotations

import argparse
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from bench.load import host, report
from bench.load.process import StartError
from bench.load.result import Result, write
from bench.load.rounds import say
from bench.load.rows import GROUPS, ROWS
from bench.load.settings import REPOSITORY, Settings, raise_file_limit, tidegate_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the rows; 0, or 1 where a row could not be measured."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:13} {row.__doc__}")
        return 0
    asked = [name.strip() for name in options.rows.split(",")] if options.rows else list(ROWS)
    names = [name for word in asked for name in GROUPS.get(word, [word])]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        say(f"no row is called {', '.join(unknown)}; there are {', '.join([*ROWS, *GROUPS])}")
        return 2
    # Also where a shell started this in the background, with SIGINT ignored.
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    raise_file_limit()
    settings = _settings(options)
    described = host.describe(settings)
    if described["versions"]["tidegate"] == "not there":
        say("tidegate is not there: only its peers are measured (see --tidegate)")
        settings = replace(settings, without=settings.without | {"tidegate"})
    told = {
        "quick": settings.quick,
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "connections": settings.connections,
    }
    failed = []
    for name in names:
        began = time.monotonic()
        try:
            result = ROWS[name](settings)
        except (StartError, subprocess.SubprocessError, OSError, ValueError) as error:
            failed.append(name)
            say(f"{name}: not measured: {error}")
            continue
        except SystemExit:
            say(f"{name}: interrupted")
            raise
        write([result], described, told, settings.out)
        _show(result, time.monotonic() - began)
    measured = report.load(settings.out)
    if measured:
        page = report.page({name: measured[name] for name in ROWS if name in measured})
        (settings.out / "README.md").write_text(page)
    if failed:
        say(f"not measured: {', '.join(failed)}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load", description="Tidegate beside nginx and HAProxy, under load."
    )
    parser.add_argument(
        "--rows", "--only", metavar="NAME,...", help="only these, or the groups proxy and ai; all unless given"
    )
    parser.add_argument("--list", action="store_true", help="what the rows are")
    parser.add_argument(
        "--quick", action="store_true", help="shows that all rows run, in about a minute; figures mean nothing"
    )
    parser.add_argument(
        "--tidegate", metavar="COMMAND", default=".venv/bin/tidegate", help="what starts Tidegate (%(default)s)"
    )
    parser.add_argument(
        "--engine",
        type=Path,
        metavar="PROGRAM",
        help="what runs a plan alone; built unless given",
    )
    parser.add_argument(
        "--without", metavar="PRODUCT,...", default="", help="leave out tidegate, nginx, haproxy or litellm"
    )
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="N", help="of each round")
    parser.add_argument(
        "--stream-minutes", type=float, metavar="N", help="how long AI streams are held; a few seconds unless given"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="bench/results, for --quick target/bench")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    tidegate = tidegate_command(options.tidegate)
    without = frozenset(word for word in options.without.split(",") if word)
    if options.quick:
        settings = Settings.smoke(
            out=options.out or REPOSITORY / "target" / "bench", tidegate=tidegate, without=without
        )
    else:
        settings = Settings(tidegate=tidegate, without=without)
        settings = replace(settings, out=options.out or settings.out)
    if options.rounds:
        settings = replace(settings, rounds=options.rounds, reload_rounds=options.rounds)
    if options.seconds:
        settings = replace(settings, seconds=options.seconds)
    if options.engine:
        settings = replace(settings, engine=options.engine)
    if options.stream_minutes:
        settings = replace(settings, stream_minutes=options.stream_minutes)
    return settings


def _show(result: Result, seconds: float) -> None:
    say(f"{result.name}: {seconds:.0f} s")
    for series in result.series:
        say(f"  {series.contestant}: " + ", ".join(f"{metric} {series.median(metric):.4g}" for metric in series.values))
    for ratio in result.ratios:
        say(
            f"  {ratio.of} ÷ {ratio.to}, {ratio.metric}: {ratio.median:.3f}"
            f" ({min(ratio.rounds):.3f}-{max(ratio.rounds):.3f})"
        )
    for note in result.notes:
        say(f"  {note}")


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
