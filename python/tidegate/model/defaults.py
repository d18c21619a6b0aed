"""The defaults, each with its reason; nothing else in Tidegate has one.

They are for an edge that faces the Internet: everything is bounded, nothing that an ordinary service does is refused.
Precedents: nginx 1.31, HAProxy 2.8, Envoy's edge profile.
"""

from __future__ import annotations

from typing import Literal

# ── what clients may do ──────────────────────────────────────────────────────────────────────────────────────────────

HEAD_BYTES = "32KiB"
"""nginx takes 4 buffers of 8KiB, Node 16KiB: large cookies and single-sign-on headers pass, floods do not."""

HEAD_FIELDS = 100
"""Apache's and Envoy's bound; browsers send about 20, chains of proxies add a dozen."""

HEAD_TIMEOUT = "10s"
"""A head is one packet or a few: slow enough for a bad radio link, fast enough that slow-loris ties up little."""

BODY_TIMEOUT = "30s"
"""Between two reads, not for the whole: an upload over a bad link stalls for seconds, not for half a minute."""

SEND_TIMEOUT = "30s"
"""Between two writes that make progress: a client that takes nothing for so long has gone."""

KEEP_ALIVE = "75s"
"""nginx's; longer than the 60s for which AWS' load balancer keeps its own, so that the peer closes first."""

KEEP_ALIVE_REQUESTS = 0
"""No bound: a connection's cost does not grow with its age."""

TUNNEL_IDLE = "1h"
"""WebSocket applications ping every half minute; HAProxy's usual `timeout tunnel` is 1h."""

DRAIN = "30s"
"""Kubernetes' grace period."""

MAX_BODY = "100MiB"
"""Bodies are streamed, so this guards the upstream's disk and not our memory; nginx's 1MiB surprises everybody once."""

MAX_CONNECTIONS = 65_536
"""About 32MB of idle connections and as many descriptors as a service usually gets."""

LIMIT_KEYS = 1_000_000
"""A million clients fit in 64MB; beyond that the oldest counts are given up first."""

# ── what upstreams get ───────────────────────────────────────────────────────────────────────────────────────────────

CONNECT = "5s"
"""Two lost SYNs (1s and 3s later) are survived; a dead host is told from a slow one before a user gives up."""

HEAD = "60s"
"""nginx's proxy_read_timeout: slow reports pass."""

IDLE = "60s"
"""Between two reads or writes of a body, as nginx."""

TOTAL = "0"
"""No bound, because downloads and event streams are long on purpose."""

ATTEMPTS = 2
"""One retry hides a restarted endpoint; more multiply the load on a service that is failing."""

RETRY_ON: tuple[Literal["connect", "reset"], ...] = ("connect", "reset")
"""What never was answered; statuses are the application's word and are tried again only where that is asked for."""

RETRY_BUDGET = "20%"
"""Envoy's and linkerd's: retries never more than a fifth on top of what comes in."""

REPLAY = "64KiB"
"""Most API requests, at a bounded price for each request under way."""

POOL_IDLE_MAX = 128
"""For each worker and endpoint: the bursts of one core."""

POOL_IDLE = "55s"
"""Below the 60s and more after which common servers close theirs (nginx 75s), so that they seldom do it first."""

POOL_QUEUE_MAX = 1024
"""Only where `max_connections` is set: a short burst waits, a jam is told at once."""

POOL_QUEUE = "10s"
"""Who waited longer has mostly gone."""

SLOW_START = "10s"
"""A service that just came back has cold caches."""

EJECT_FAILURES = 5
"""Envoy's consecutive errors: a single hiccup ejects nobody."""

EJECT = "10s"
"""Doubled each time, up to ten times this."""

EJECT_PERCENT = "50%"
"""When more than half fail, ejecting the rest only moves the load."""

PROBE_INTERVAL = "5s"
"""As load balancers do it (AWS 5-30s); with three in a row an endpoint is out after 15s."""

PROBE_TIMEOUT = "2s"
"""Less than the interval, more than a busy service's worst answer to a trivial question."""

PROBE_HEALTHY = 2
"""One good answer may be luck."""

PROBE_UNHEALTHY = 3
"""Two bad ones may be a pause of the garbage collector."""

# ── hooks and logs ───────────────────────────────────────────────────────────────────────────────────────────────────

HOOK_TIMEOUT = "1s"
"""Policy is a look-up; what takes longer blocks users."""

HOOK_BODY = "1MiB"
"""Bodies for hooks are held in memory, one for each call under way."""

LOG_BUFFER = "1MiB"
"""A few thousand lines: a slow disk for a moment loses nothing."""

LOG_FLUSH = "100ms"
"""`tail -f` feels live, and a write carries many lines under load."""

ADMIN_TIMEOUT = "30s"
"""The admin API applies configurations and answers sums; both take seconds at the most."""

ADMIN_BODY = "16MiB"
"""A configuration of 10,000 routes, posted whole, is a third of it."""

ADMIN_ADDRESS = "127.0.0.1:9640"
"""What `admin: on` means: this machine only."""
