"""What the deployment tests share: the single file with what goes beside it, and clean machines to put it on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.machine import SUITES, Machine, debian

ROOT = Path(__file__).parents[2]
Boot = Callable[..., Machine]


@pytest.fixture(scope="session")
def dist() -> Path:
    """Where the single file is: built anew, quickly, unless $TIDEGATE_DIST has one."""
    if given := os.environ.get("TIDEGATE_DIST"):
        return Path(given)
    command = [str(ROOT / "tools/binary/build"), "--profile", "quick", "--target", str(ROOT / "target/binary-quick")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return Path(done.stdout.strip().splitlines()[-1]).parent


@pytest.fixture(scope="session")
def binary(dist: Path) -> Path:
    """The single file."""
    return dist / f"tidegate-linux-{platform.machine()}"


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """Each Debian in turn."""
    return str(request.param)


@pytest.fixture
def begin(tmp_path: Path, dist: Path) -> Iterator[Boot]:
    """Makes machines, and ends them with the test."""
    made: list[Machine] = []

    def work(suite: str, *, booted: bool = False, base: Path | None = None) -> Machine:
        folder = tmp_path / f"machine{len(made)}"
        made.append(Machine(base or debian(suite), folder, dist, booted=booted))
        return made[-1]

    yield work
    for one in made:
        one.close()
