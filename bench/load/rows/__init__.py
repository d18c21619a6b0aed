"""The rows, by the name that `--rows` takes, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.load.result import Result
from bench.load.rows import counts, idle, latency, proxied, reload, start, workers
from bench.load.settings import Settings

ROWS: dict[str, Callable[[Settings], Result]] = {
    "small": proxied.small,
    "body64k": proxied.body64k,
    "429": proxied.refused,
    "post": proxied.post,
    "features": proxied.features,
    "routes": proxied.routes,
    "p99": latency.p99,
    "idle": idle.idle,
    "reload": reload.reload,
    "start": start.start,
    "workers": workers.workers,
    "syscalls": counts.syscalls,
    "instructions": counts.instructions,
    "allocations": counts.allocations,
}
