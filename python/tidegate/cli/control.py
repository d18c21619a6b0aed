"""The verbs that talk to a running process: reload, upgrade, status, stop, healthcheck."""

import argparse
import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.cli.common import out
from tidegate.cli.talk import Answer, Unreachable, ask, ask_url
from tidegate.errors import TidegateError
from tidegate.state import running

if TYPE_CHECKING:
    from tidegate.state import Running

LAST_S = 5.0  # what a process may take to end that has let everything go
UPGRADE_S = 60.0  # longer than an upgrade may take
RATE_OVER_S = 0.5  # between two looks of `status`, from which rates are made


class NotRunning(TidegateError):
    """No process, or more than one, answers to what was named."""


def reload(options: argparse.Namespace) -> int:
    """Waits until the new configuration is in force, or was refused."""
    answer = ask(find(options).control, "POST", "/reload", timeout_s=120)
    if answer.status != 200:
        sys.stderr.write(f"{answer.detail}\nthe old configuration stays in force\n")
        return 1
    told = answer.json()
    if told["changed"]:
        out(f"reloaded: generation {told['generation']}, {told['summary']}")
    else:
        out(f"nothing has changed: generation {told['generation']}")
    return 0


def upgrade(options: argparse.Namespace) -> int:
    """Waits until a new process serves, or it is known why none does."""
    from urllib.parse import urlencode

    process = find(options)
    query = "?" + urlencode({"binary": os.path.abspath(options.binary)}) if options.binary else ""
    answer = ask(process.control, "POST", f"/upgrade{query}", timeout_s=UPGRADE_S)
    if answer.status != 200:
        sys.stderr.write(f"{answer.detail}\nprocess {process.pid} goes on serving\n")
        return 1
    out(f"upgraded: process {answer.json()['pid']} serves, process {process.pid} lets its connections go")
    return 0


def status(options: argparse.Namespace) -> int:
    """Looks twice, a moment apart, and shows what it saw."""
    process = find(options)
    before = _status(process)
    time.sleep(RATE_OVER_S)
    seen = _status(process)
    seen["requests_per_s"] = _rate(before, seen)
    if options.json:
        out(msgspec.json.format(msgspec.json.encode(seen)).decode())
        return 0
    from tidegate.status import table

    out(table(seen))
    return 0


def stop(options: argparse.Namespace) -> int:
    """Waits until the process has ended."""
    process = find(options)
    ended = _handle(process.pid)
    answer = ask(process.control, "POST", "/stop?now" if options.now else "/stop")
    if answer.status != 200:
        sys.stderr.write(f"{answer.detail}\n")
        return 1
    until = None if options.timeout is None else time.monotonic() + options.timeout
    while any(other.pid == process.pid for other in running(process.state)):
        if until is not None and time.monotonic() > until:
            sys.stderr.write(f"process {process.pid} is draining still\n")
            return 1
        time.sleep(0.02)
    if ended is not None:  # a supervisor's signal would find it without its handlers now
        select.select([ended], [], [], LAST_S)
        os.close(ended)
    out(f"stopped {process.pid}")
    return 0


def _handle(pid: int) -> int | None:
    """A descriptor that can be read when the process has ended; None where it can't be had."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def healthcheck(options: argparse.Namespace) -> int:
    """Asks `/readyz`, as an image without a shell needs it."""
    try:
        answer = ask_url(options.url, options.timeout) if options.url else _readyz(options)
    except (Unreachable, NotRunning) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if 200 <= answer.status < 300:
        out("ready")
        return 0
    sys.stderr.write(f"not ready: {answer.status}\n")
    return 1


def find(options: argparse.Namespace) -> "Running":
    """The process that the options name; raises NotRunning where there is none, or no single one."""
    from tidegate.source import Source

    source = Source(options.config)
    folder, _ = source.state(None, options.state)
    found = running(folder)
    if not found:
        raise NotRunning(f"nothing runs with the state directory {folder}; name another with -c FILE or --state DIR")
    if options.config:
        found = [process for process in found if process.config == source.absolute]
        if not found:
            raise NotRunning(f"nothing runs {source.absolute} with the state directory {folder}")
    elif len(found) > 1:
        own = [process for process in found if source.absolute and process.config == source.absolute]
        found = own or found
    if len(found) > 1:
        several = ", ".join(f"{process.pid} ({process.config or 'no file'})" for process in found)
        raise NotRunning(f"several run with the state directory {folder}: {several}; name one with -c FILE")
    return found[0]


def _readyz(options: argparse.Namespace) -> Answer:
    """Over the control socket; where there is none, at the admin address that the configuration names."""
    try:
        return ask(find(options).control, "GET", "/readyz", timeout_s=options.timeout)
    except (Unreachable, NotRunning) as error:
        from tidegate.source import Source

        try:
            addresses = Source(options.config).admin_addresses()
        except TidegateError:
            addresses = []
        for address in addresses:
            with contextlib.suppress(Unreachable):
                return ask_url(address if address.startswith("unix:") else f"http://{address}", options.timeout)
        raise error


def _status(process: "Running") -> dict[str, Any]:
    answer: Answer = ask(process.control, "GET", "/status")
    if answer.status != 200:
        raise NotRunning(f"process {process.pid} has no status to tell: {answer.status} {answer.detail}")
    told: dict[str, Any] = answer.json()
    return told


def _rate(before: dict[str, Any], now: dict[str, Any]) -> float:
    seconds = now["uptime_s"] - before["uptime_s"]
    requests = now["engine"].get("requests", 0) - before["engine"].get("requests", 0)
    return round(requests / seconds, 1) if seconds > 0 else 0.0
