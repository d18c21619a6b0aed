"""The rows, by the name that `--rows` takes, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench.load.result import Result
from bench.load.rows import ai, ai_counts, counts, http2, idle, latency, proxied, reload, start, tcp, tls, workers
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
    "tls_handshakes": tls.handshakes,
    "tls_requests": tls.requests,
    "tls_idle": tls.idle,
    "http2_local": http2.local,
    "http2_proxied": http2.proxied,
    "tcp_bytes": tcp.tcp_bytes,
    "tcp_messages": tcp.tcp_messages,
    "tcp_connections": tcp.tcp_connections,
    "ai_calls": ai.ai_calls,
    "ai_streams": ai.ai_streams,
    "ai_counts": ai_counts.ai_counts,
}

GROUPS = {
    "proxy": [name for name in ROWS if not name.startswith("ai_")],
    "ai": [name for name in ROWS if name.startswith("ai_")],
}
"""Names that stand for several rows."""
