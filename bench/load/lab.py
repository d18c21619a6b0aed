"""The laboratory of one row: a directory, ports, children, the origin, and what can be put in front of it."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import meter
from bench.load.process import Child, Nursery, Ports, StartError
from bench.load.settings import BENCH, LITELLM, Placement, Settings
from bench.load.tools import built

PEERS = BENCH / "peers"
SMALL_BODY = "x" * 128
LARGE_BYTES = 64 * 1024
START_SECONDS = 30.0
SECRET = "bench-key-{:02}"
AI_KEY = "sk-bench-0123456789abcdef0123456789abcdef0123"
PRODUCTS = ("tidegate", "nginx", "haproxy", "litellm")
SUFFIXES = {"tidegate": "yaml", "litellm": "yaml"}
# LiteLLM fetches prices from the network at start unless told not to.
ENVIRONMENTS = {"litellm": {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_DOCS": "True", "LITELLM_LOG": "ERROR"}}


@dataclass(frozen=True)
class Contestant:
    """Something to put in front of the origin. Two that differ in `name` only are a control."""

    name: str
    product: str
    variant: str = "plain"
    workers: int = 1
    frame: str = ""
    """What the variant stands in, where that is not the product's usual one."""
    values: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass
class Running:
    """A contestant that answers."""

    contestant: Contestant
    child: Child
    port: int
    config: Path
    generation: int = 0

    @property
    def name(self) -> str:
        return self.contestant.name

    @property
    def pids(self) -> list[int]:
        return meter.tree(self.child.pid)

    def truncate_logs(self) -> None:
        """Empties the access log between rounds, so that a long run fills no disk."""
        log = self.config.parent / f"{self.name}.access.log"
        if log.exists():
            os.truncate(log, 0)


class Lab:
    """Starts and ends things. One lab for each row: no row inherits another's processes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._nursery = Nursery()
        self._ports = Ports()
        self._made = 0
        self.directory = Path()

    def __enter__(self) -> Lab:
        self.directory = Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
        self.directory.chmod(0o755)
        files = self.directory / "files"
        files.mkdir()
        (files / "64k").write_bytes(b"x" * LARGE_BYTES)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._nursery.__exit__(None, None, None)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def missing(self, product: str) -> bool:
        """Whether a product cannot run here, or shall not."""
        command = {"tidegate": self.settings.tidegate[0], "litellm": str(LITELLM)}.get(product, product)
        return product in self.settings.without or shutil.which(command, path=_search_path()) is None

    def port(self) -> int:
        return self._ports.take()

    def origin(self, placement: Placement) -> int:
        """Starts the origin; its port."""
        port = self.port()
        values = {"PORT": str(port), "WORKERS": str(min(len(placement.load), 4)), "BODY": SMALL_BODY}
        config = self.write("origin.conf", self._fill((PEERS / "origin.conf.in").read_text(), values))
        child = self.spawn(
            "origin", ["nginx", "-e", "stderr", "-p", str(self.directory), "-c", str(config)], placement.load
        )
        child.wait_for_port(port, START_SECONDS)
        return port

    def provider(self, placement: Placement) -> int:
        """Starts the provider of the AI rows; its port."""
        port = self.port()
        child = self.spawn("provider", [str(built("provider")), f"127.0.0.1:{port}"], placement.load)
        child.wait_for_port(port, START_SECONDS)
        return port

    def configure(self, contestant: Contestant, origin: int) -> tuple[Path, int]:
        """Writes a contestant's configuration; where it is, and the port on which it will listen."""
        port = self.port()
        suffix = SUFFIXES.get(contestant.product, "conf")
        config = self.directory / f"{contestant.name}.{suffix}"
        self.rewrite(contestant, config, port, origin)
        return config, port

    def rewrite(self, contestant: Contestant, config: Path, port: int, origin: int) -> None:
        """Writes the configuration again, whole or not at all: whoever reads it never sees half."""
        suffix = SUFFIXES.get(contestant.product, "conf")
        frame = (PEERS / f"{contestant.frame or contestant.product}.{suffix}.in").read_text()
        variant = (PEERS / contestant.product / f"{contestant.variant}.in").read_text()
        values = {
            "NAME": contestant.name,
            "PORT": str(port),
            "ORIGIN": str(origin),
            "WORKERS": str(contestant.workers),
            "KEYS": _keys(contestant.product),
            "BUFSIZE": "16384",
            "AIKEY": AI_KEY,
            "LISTENER": "",
            **contestant.values,
        }
        text = self._fill(frame.replace("@VARIANT@", variant.rstrip("\n")), values)
        fresh = config.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(config)

    def command(self, contestant: Contestant, config: Path) -> list[str]:
        """What starts a contestant in the foreground."""
        if contestant.product == "nginx":
            return ["nginx", "-e", "stderr", "-p", str(self.directory), "-c", str(config)]
        if contestant.product == "haproxy":
            return ["haproxy", "-db", "-f", str(config)]
        if contestant.product == "litellm":
            return [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--telemetry", "False"]
        return [*self.settings.tidegate, "run", "-c", str(config)]

    def start(self, contestant: Contestant, origin: int, placement: Placement) -> Running:
        """Starts a contestant, and returns once it answers through to the origin."""
        config, port = self.configure(contestant, origin)
        command = self.command(contestant, config)
        if contestant.product == "litellm":
            # It takes its port on the command line only.
            command += ["--port", str(port)]
        env = ENVIRONMENTS.get(contestant.product)
        child = self.spawn(contestant.name, command, placement.proxy, env)
        child.wait_for_port(port, START_SECONDS)
        return Running(contestant, child, port, config)

    def start_all(self, contestants: Sequence[Contestant], placement: Placement) -> list[Running]:
        """An origin, and in front of it every contestant that can run here."""
        origin = self.origin(placement)
        return [self.start(each, origin, placement) for each in contestants if not self.missing(each.product)]

    def spawn(
        self,
        name: str,
        command: Sequence[str],
        cores: Sequence[int],
        env: dict[str, str] | None = None,
        *,
        talks: bool = False,
    ) -> Child:
        self._made += 1
        log = self.directory / f"{self._made:03}-{name}.log"
        environment = {"PATH": _search_path(), "PYTHONHASHSEED": "0", **(env or {})}
        return self._nursery.adopt(Child(name, command, cores=cores, log=log, env=environment, talks=talks))

    def end(self, child: Child, number: signal.Signals = signal.SIGTERM) -> int:
        return self._nursery.release(child, number)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path

    def _fill(self, text: str, values: dict[str, str]) -> str:
        fixed = {"DIR": str(self.directory), "USER": "user root;" if os.geteuid() == 0 else ""}
        all_values = {**fixed, **values}
        filled = re.sub(r"@([A-Z]+)@", lambda match: all_values[match[1]], text)
        # A value may hold places of its own (routes name the port).
        return re.sub(r"@([A-Z]+)@", lambda match: all_values[match[1]], filled)


def ask(
    port: int, path: str = "/", headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own (POST where it has a body): status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET" if body is None else "POST", path, body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def expect(
    running: Running, status: int, size: int | None = None, path: str = "/", headers: dict[str, str] | None = None
) -> None:
    """Refuses to measure something that does not do what the row is about."""
    got, body = ask(running.port, path, headers)
    if got != status or (size is not None and len(body) != size):
        raise StartError(f"{running.name} answered {got} with {len(body)} bytes, not {status} with {size}")


def _keys(product: str) -> str:
    numbered = [(number, SECRET.format(number)) for number in range(16)]
    if product == "tidegate":
        return "\n".join(f"          - {{name: caller-{number:02}, key: {key}}}" for number, key in numbered)
    return "\n".join(f'    "{key}" "caller-{number:02}";' for number, key in numbered)


def _search_path() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
