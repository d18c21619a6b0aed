"""A gateway in a process of its own, as the installed wheel runs it, in a folder that belongs to one test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from tests.support.client import Client, once
from tests.support.http import Response
from tests.support.prometheus import Samples, parse
from tests.support.waiting import PATIENCE_S, until

COMMAND = Path(sys.executable).with_name("tidegate")
NEVER_SAID = ("Traceback", "panicked", "internal error")
"""What no process of ours says, whatever a test does to it."""


class Lines:
    """What a process writes, line by line, as it comes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._come = threading.Condition()
        self._lines: list[str] = []
        self._over = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, pattern: str, *, after: int = 0, within: float = PATIENCE_S) -> re.Match[str]:
        """The first line from number `after` on that has the pattern in it."""
        wanted = re.compile(pattern)

        def look() -> re.Match[str] | None:
            return next((found for line in self._lines[after:] if (found := wanted.search(line))), None)

        with self._come:
            self._come.wait_for(lambda: look() or self._over, within)
            found = look()
        assert found, f"never said: {pattern!r}; said:\n" + "\n".join(self._lines)
        return found

    def all(self) -> list[str]:
        with self._come:
            return list(self._lines)

    @property
    def count(self) -> int:
        with self._come:
            return len(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(self.all())

    def join(self) -> None:
        """Waits until nothing more can come."""
        self._thread.join(PATIENCE_S)
        self._pipe.close()

    def _read(self) -> None:
        for line in self._pipe:
            with self._come:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._come.notify_all()
        with self._come:
            self._over = True
            self._come.notify_all()


class Tidegate:
    """`tidegate run`, started at once; `ready` waits until it serves."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any] | str | None = None,
        *,
        arguments: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        watch: bool = False,
        descriptors: int | None = None,
        before: Iterable[str] = (),
        pass_fds: Iterable[int] = (),
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.file = folder / "tidegate.yaml"
        self.log_file = folder / "access.log"
        self.environment = surroundings(folder, environment)
        command = [str(COMMAND), "run"]
        if config is not None:
            self.write(config)
            command += ["-c", str(self.file)]
        else:
            command += ["--state", str(self.state)]
        command += [*(() if watch else ("--no-watch",)), *arguments]
        if descriptors is not None:
            command = ["prlimit", f"--nofile={descriptors}:{descriptors}", "--", *command]
        command = [*before, *command]
        assert COMMAND.exists(), "the wheel is not installed: make wheel"
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(pass_fds),
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.said = Lines(self.process.stderr)
        self.printed = Lines(self.process.stdout)
        self._clients: list[Client] = []
        self.addresses: list[str] = []
        self.admin_addresses: list[str] = []
        self.since = time.time()
        """When the configuration that it runs came, for tests that share a gateway."""

    def write(self, config: Mapping[str, Any] | str) -> None:
        """Replaces the configuration, as editors do: a new file in the old one's place."""
        text = config if isinstance(config, str) else json.dumps(self.complete(config), indent=1)
        fresh = self.folder / "tidegate.yaml.new"
        fresh.write_text(text)
        fresh.replace(self.file)

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What every test wants and few want to write."""
        return {
            "listeners": ["127.0.0.1:0"],
            "admin": "127.0.0.1:0",
            "workers": 1,
            "state": str(self.state),
            "access_log": {"format": "json", "path": str(self.log_file), "flush": "10ms"},
            **config,
        }

    def ready(self, within: float = PATIENCE_S) -> Tidegate:
        """Waits until it serves; fails with what it said where it does not."""
        self.said.wait(r"serving ", within=within)
        self.look()
        return self

    def look(self) -> None:
        """Reads where it listens off what it has said."""
        lines = self.said.all()
        self.addresses = [found[1] for line in lines if (found := re.search(r"listening on (\S+)$", line))]
        self.admin_addresses = [found[1] for line in lines if (found := re.search(r" admin on (\S+)$", line))]

    @property
    def address(self) -> str:
        """Of the first listener."""
        return self.addresses[0]

    @property
    def pid(self) -> int:
        """Of the gateway itself."""
        return self.process.pid

    def client(self, **options: Any) -> Client:
        """A connection that is closed with the gateway at the latest, also where its test fails."""
        client = Client(self.address, **options)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """Ends all connections that `client` made."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    def get(self, target: str = "/", **headers: str) -> Response:
        """One GET on a connection of its own; underscores in names are hyphens."""
        return once(self.address, "GET", target, {name.replace("_", "-"): value for name, value in headers.items()})

    def admin(self, target: str, method: str = "GET") -> Response:
        return once(self.admin_addresses[0], method, target)

    def control(self, target: str, method: str = "GET") -> Response:
        """Over the control socket, where everything is allowed."""
        return once(f"unix:{self.state / 'control.sock'}", method, target)

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = self.control("/status").json()
        return told

    def metrics(self) -> Samples:
        return parse(self.admin("/metrics").body.decode())

    def connections(self) -> int:
        """Open client connections, but for this one's own."""
        count: int = self.status()["engine"]["connections"]
        return count

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def reload(self, config: Mapping[str, Any] | str) -> str:
        """Writes the configuration and tells the process; what it said about it."""
        before = self.said.count
        self.write(config)
        self.signal(signal.SIGHUP)
        return self.said.wait(r"(?:reloaded|reload) \(.*", after=before).group(0)

    def wait(self, within: float = PATIENCE_S) -> int:
        """The exit status, once it has ended."""
        status = self.process.wait(within)
        self.said.join()
        self.printed.join()
        return status

    def end_successors(self) -> None:
        """Ends processes that have taken over from it, or are about to."""
        for file in self.state.glob("run*.json"):
            with contextlib.suppress(OSError, ValueError):
                pid = json.loads(file.read_text())["pid"]
                if b"TIDEGATE_UPGRADE=" in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ends it and checks that it never said what it should not."""
        self.close_clients()
        self.end_successors()
        with contextlib.suppress(ProcessLookupError):
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise AssertionError("it did not end within its time\n" + self.said.text) from None
        bad = [line for line in self.said.all() if any(word in line for word in NEVER_SAID)]
        assert not bad, "\n".join(self.said.all())

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def records(self, count: int, within: float = PATIENCE_S) -> list[dict[str, Any]]:
        """The access log's records, once there are that many."""

        def look() -> list[dict[str, Any]] | None:
            if not self.log_file.exists():
                return None
            lines = self.log_file.read_text().splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith("\n")]
            return whole if len(whole) >= count else None

        return until(look, f"{count} records in the access log", within) or []

    def memory_kib(self) -> int:
        """Resident memory."""
        return int(self._of_process("status", r"VmRSS:\s+(\d+) kB"))

    def descriptors(self) -> int:
        """Open ones."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _of_process(self, file: str, pattern: str) -> str:
        found = re.search(pattern, Path(f"/proc/{self.pid}/{file}").read_text())
        assert found, file
        return found[1]


def surroundings(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which nothing of this machine's user is found."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(folder), "TZ": "UTC", **(more or {})}


def command(folder: Path, *arguments: str, within: float = 20, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs one verb to its end."""
    return subprocess.run(
        [str(COMMAND), *arguments],
        cwd=folder,
        env=surroundings(folder, environment),
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def program(name: str) -> str:
    """The path of a program that `tools/peers` installs."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is not installed: tools/peers"
    return found
