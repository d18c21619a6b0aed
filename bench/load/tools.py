"""The bench's own programs, built where they are not; cargo decides whether they are current."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.load.process import StartError
from bench.load.settings import BENCH, REPOSITORY

_built: set[Path] = set()


def built(name: str) -> Path:
    """The program of `bench/NAME`."""
    target = REPOSITORY / "target" / name
    return _cargo(
        target / "release" / name, ["--locked"], cwd=BENCH / name, env={**os.environ, "CARGO_TARGET_DIR": str(target)}
    )


def engine() -> Path:
    """The engine alone, which runs a plan without Python and tells how often it allocated."""
    words = ["--locked", "-p", "tidegate-engine", "--example", "serve"]
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return _cargo(target / "release" / "examples" / "serve", words, cwd=REPOSITORY, env=dict(os.environ))


def _cargo(binary: Path, words: list[str], *, cwd: Path, env: dict[str, str]) -> Path:
    cargo = shutil.which("cargo")
    if cargo is None:
        if binary.exists():
            return binary
        raise StartError(f"cargo is needed to build {binary.name}")
    if binary not in _built:
        subprocess.run([cargo, "build", "--release", "--quiet", *words], cwd=cwd, env=env, check=True)
        _built.add(binary)
    return binary
