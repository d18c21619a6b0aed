"""A real model: llama.cpp's own server in a process of its own, which can be killed."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NAME = "smollm2"


@cache
def _python() -> str:
    """The interpreter that has llama.cpp; installed where it is missing."""
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "model")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Model:
    """One server. It ends with this process at the latest, for it reads its standard input to the end."""

    def __init__(self, *arguments: str) -> None:
        command = [_python(), str(Path(__file__).with_name("serve.py")), *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._address = ""

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`; waits until the model is loaded."""
        if not self._address:
            assert self.process.stdout is not None
            self._address = self.process.stdout.readline().strip().removeprefix("http://")
            assert self._address, "the model did not start"
        return self._address

    @property
    def url(self) -> str:
        """As `base_url` in a configuration."""
        return f"http://{self.address}/v1"

    @property
    def provider(self) -> dict[str, Any]:
        """As an entry of `ai.providers`."""
        return {"like": "llamacpp", "base_url": self.url, "price": {"input": 1, "output": 2}}

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
