"""Describes the host as far as figures depend on it; neither its name nor its paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.load.settings import LITELLM, REPOSITORY, Settings


def describe(settings: Settings) -> dict[str, Any]:
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_used": len(settings.cores),
        "virtual": "hypervisor" in _text("/proc/cpuinfo"),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not told",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release().split("-")[0],
        "libc": " ".join(platform.libc_ver()),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "versions": {
            "tidegate": _version([*settings.tidegate, "--version"], r"(\d+\.\d+\S*)"),
            "commit": _commit(),
            "nginx": _version(["nginx", "-v"], r"nginx/(\S+)"),
            "haproxy": _version(["haproxy", "-v"], r"version (\S+)"),
            "litellm": _litellm(),
            "wrk": _version(["wrk", "-v"], r"wrk \S*?(\d[\w.]*)"),
            "strace": _version(["strace", "-V"], r"version (\S+)"),
            "valgrind": _version(["valgrind", "--version"], r"valgrind-(\S+)"),
        },
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(command: list[str], pattern: str) -> str:
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin"}
    try:
        # wrk tells its version with an exit code of 1.
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return "not there"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "not told"


def _litellm() -> str:
    """From what pip wrote down: starting it takes seconds."""
    found = LITELLM.parent.parent.glob("lib/python*/site-packages/litellm-*.dist-info")
    return next((path.name.removeprefix("litellm-").removesuffix(".dist-info") for path in found), "not there")


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "rust", "python", "Cargo.lock")
    return f"{commit} with changes" if commit and changed else commit or "not told"


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
