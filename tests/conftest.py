"""What all tests share: the switch that writes golden files anew, the installed engine, processes that always end."""

from __future__ import annotations

import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that tests find tests.support

import tidegate  # noqa: E402

# The checkout's Python with the wheel's engine: what is edited is what is tested, and nothing is built twice.
tidegate.__path__.append(str(Path(sysconfig.get_paths()["platlib"]) / "tidegate"))

from tests.support.gateway import Tidegate  # noqa: E402
from tests.support.providers import Provider  # noqa: E402
from tests.support.upstream import Upstream  # noqa: E402

Start = Callable[..., Tidegate]
Serve = Callable[..., Upstream]
Provide = Callable[..., Provider]
NOTHING = {"routes": [{"match": {"path": "/"}, "respond": {"status": 404}}]}
"""A configuration that serves nobody."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew from what the code does today"
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts gateways, each in a folder of its own, and ends them with the test."""
    running: list[Tidegate] = []

    def begin(config: Any = None, *, wait: bool = True, folder: Path | None = None, **options: Any) -> Tidegate:
        if folder is None:
            folder = tmp_path / f"gateway{len(running)}"
        folder.mkdir(exist_ok=True)
        gateway = Tidegate(folder, config, **options)
        running.append(gateway)
        return gateway.ready() if wait else gateway

    yield begin
    for gateway in reversed(running):
        gateway.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts upstreams and ends them with the test, which fails where one saw what is not HTTP."""
    running: list[Upstream] = []

    def begin(*arguments: Any, **options: Any) -> Upstream:
        upstream = Upstream(*arguments, **options)
        running.append(upstream)
        return upstream

    yield begin
    for upstream in running:
        upstream.close()
    assert not [fault for upstream in running for fault in upstream.faults]


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    """A gateway for many tests: reloading it is ten times faster than starting one."""
    gateway = Tidegate(tmp_path_factory.mktemp("standing"), NOTHING).ready()
    yield gateway
    gateway.stop()


@pytest.fixture
def run(standing: Tidegate) -> Iterator[Start]:
    """Gives the standing gateway a configuration; of the one before, nothing is left but its usage records."""

    def begin(config: Any) -> Tidegate:
        standing.reload(NOTHING)
        standing.reload(config)
        standing.since = time.time()
        return standing

    yield begin
    standing.close_clients()


@pytest.fixture
def provide() -> Iterator[Provide]:
    """Starts fake providers and ends them with the test, which fails where one was asked what it does not serve.

    A test that means to send nonsense empties `refused` itself.
    """
    running: list[Provider] = []

    def begin(dialect: str, **options: Any) -> Provider:
        provider = Provider(dialect, **options)
        running.append(provider)
        return provider

    yield begin
    for provider in running:
        provider.close()
    assert not [fault for provider in running for fault in (*provider.faults, *provider.refused)]
