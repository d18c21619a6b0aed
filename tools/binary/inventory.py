"""What is in the single file: a bill of materials in CycloneDX and the licences, made from what was built and from nothing else."""

from __future__ import annotations

from pathlib import Path


def write(done: Path, root: Path, site: Path, debian: tuple[str, ...]) -> None:
    """Writes both beside the file."""
