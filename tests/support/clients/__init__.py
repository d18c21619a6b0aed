"""The official SDKs, each in an environment of its own: scripts that make calls and say what came of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]

FAMILIES = ("openai", "langchain", "anthropic", "google", "mistral", "cohere", "ollama", "boto3")

_PATIENCE_S = 50.0
"""A script imports its SDK and makes some dozens of calls, on cores that others use too."""


def python_of(family: str) -> str:
    """The interpreter that has the family's SDK; made where it is missing."""
    tool = _ROOT / "tools" / "clients"
    made = subprocess.run([sys.executable, str(tool), family], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def call(family: str, base: str, key: str, calls: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Makes calls, each a scenario and a model, and gives what came of them by `SCENARIO MODEL`."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [python_of(family), "-W", "ignore", str(_HERE / f"{family}_client.py")],
        input=json.dumps({"base": base, "key": key, "calls": list(calls)}),
        env={**kept, "HOME": os.devnull, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told
