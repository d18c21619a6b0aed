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

HANDSHAKE_TIMEOUT = "10s"
"""Two round trips and a signature; Envoy's edge profile has 15s, nginx 60s, and a handshake holds more than a head."""

TICKETS = "12h"
"""A browser of the morning comes back in the evening; nobody reads its traffic with a key that was stolen tomorrow."""

ACME_DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
"""Let's Encrypt: free, and trusted everywhere."""

HSTS_AGE = "365d"
"""What the preload lists ask for at least."""

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

MAX_STREAMS = 128
"""Envoy's edge profile takes 100, browsers open up to 100; RFC 9113 §6.5.2 advises no fewer than that."""

TUNNEL_IDLE = "1h"
"""WebSocket applications ping every half minute; HAProxy's usual `timeout tunnel` is 1h."""

TCP_HELLO_BYTES = "16KiB"
"""One record; a ClientHello with post-quantum key shares and a session ticket has 2KiB, Chromium's largest about 3."""

LOOP_MOST = 8
"""A gateway may rightly lead to itself, a site to a site, two or three times; a loop ends after nine rounds."""

DRAIN = "30s"
"""Kubernetes' grace period."""

MAX_BODY = "100MiB"
"""Bodies are streamed, so this guards the upstream's disk and not our memory; nginx's 1MiB surprises everybody once."""

MAX_CONNECTIONS = 65_536
"""About 32MB of idle connections and as many descriptors as a service usually gets."""

CONNECTIONS_PER_CLIENT = 0
"""None of its own: whole offices and mobile networks share one address, and a load balancer that nobody named as a
trusted proxy looks like one client. What holds always is the engine's share: no address keeps the last places."""

MIN_BODY_RATE = "256B"
"""Half of what Apache's mod_reqtimeout asks for: a modem of 1985 passes, who sends a byte now and then does not."""

MIN_SEND_RATE = "256B"
"""The same the other way; only what waits for the client counts, so that quiet event streams have no rate."""

RATE_GRACE = "10s"
"""Links that change cells and devices that sleep for a moment catch up within it."""

MEMORY = "90%"
"""Of what the machine or the control group gives: the kernel kills at 100%, without asking who should go first."""

LIMIT_KEYS = 1_000_000
"""A million clients fit in 64MB; beyond that the oldest counts are given up first."""

# ── who may come ─────────────────────────────────────────────────────────────────────────────────────────────────────

JWT_LEEWAY = "30s"
"""Clocks that are kept by NTP differ by less; libraries use 0 to 60s."""

KEYS_TIMEOUT = "5s"
"""A request with a key that nobody knows waits so long for the issuer's answer."""

KEYS_INTERVAL = "5s"
"""Between two questions for keys that nobody knows: a flood of made-up tokens is not passed on to the issuer."""

AUTH_HEADERS = ("Authorization", "Cookie")
"""What credentials come in."""

AUTH_CONNECT = "1s"
"""Whoever decides about requests stands near."""

AUTH_TIMEOUT = "5s"
"""All requests wait for it: a second is long, and a minute would fill the gateway with those who wait."""

OIDC_SCOPES = ("openid", "profile", "email")
"""What providers know by these names (OpenID Connect Core 1.0 §5.4)."""

OIDC_SESSION = "8h"
"""A working day; the provider may end it earlier."""

OIDC_TIMEOUT = "10s"
"""For the hook, which may ask the provider twice."""

CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What services are written for; CONNECT and TRACE no page may use (Fetch standard)."""

CORS_MAX_AGE = "10m"
"""Chromium keeps an answer for two hours at most, Firefox for a day; a mistake should not last that long."""

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

TCP_ATTEMPTS = 3
"""Where nothing was sent yet, another endpoint costs nothing but time: two that are down are hidden."""

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

ADMIN_TIMEOUT = "45s"
"""The admin API applies configurations and answers sums, in seconds; an upgrade waits 30 for the new process."""

ADMIN_BODY = "16MiB"
"""A configuration of 10,000 routes, posted whole, is a third of it."""

ADMIN_ADDRESS = "127.0.0.1:9640"
"""What `admin: on` means: this machine only."""

# ── AI ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

AI_ATTEMPTS = 2
"""At one model's own targets: one retry hides a target that is busy or gone, fallbacks come behind it."""

AI_BACKOFF = "250ms"
"""Providers count by the second and the minute; less is refused again, much more is felt."""

AI_RETRY_AFTER = "5s"
"""A longer `retry-after` is better spent at the next target."""

AI_FIRST_TOKEN = "5m"  # noqa: S105 — a time
"""Also the time for an answer that is not streamed, and reasoning models think for minutes before the first byte."""

AI_BETWEEN_TOKENS = "2m"
"""Slow servers pause while they take in other prompts; who is silent for longer has stalled."""

AI_TOTAL = "10m"
"""The official SDKs give up after ten minutes."""

AI_COOLDOWN = "5s"
"""A limit by the minute has let some calls through again by then; a restarted server is back."""

AI_EXPECTED_OUTPUT = 1024
"""What is reserved where a call names no bound: most chat answers are shorter, so budgets err on the safe side."""

AI_CACHE = "64MiB"
"""Some ten thousand answers."""

AI_CACHE_TTL = "10m"
"""Long enough for a page that many load, short enough that nobody wonders."""

AI_SEGMENT = "4MiB"
"""Some ten thousand usage records: a segment is read into the ledger at once."""

AI_LOAD_EVERY = "1s"
"""A slow correction to what the gateway counts itself."""

AI_HEDGE_BUDGET = "5%"
"""Second attempts cost money; the slowest twentieth is what they are for."""

AI_BATCH_WINDOW = "5ms"
"""Not felt beside an embedding call of tens of milliseconds."""

AI_BATCH_INPUTS = 64
"""Every provider takes as many."""

AI_POOL_IDLE = "4m"
"""A handshake with a far provider costs three round trips; the large ones keep idle connections for minutes."""

AI_POOL_QUEUE = "30s"
"""Calls take seconds, so a place in the queue is worth waiting for."""

AI_TAGS = "X-Tidegate-Tags"
"""Where clients put tags."""

# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────────

CACHE_MEMORY = "256MiB"
"""Some fifty thousand pages, in a process that has a machine's memory to itself or a good part of it."""

CACHE_OBJECT = "8MiB"
"""Pages, pictures and scripts pass; a film would push out ten thousand of them."""

CACHE_NEGATIVE = "5m"
"""An error that was told to last a day is a day's outage after it was repaired."""

CACHE_WAIT = "5s"
"""Longer than pages take, shorter than users wait; whoever has waited so long asks the origin himself."""

CACHE_ENCODINGS = ["zstd", "br", "gzip"]
"""What browsers take and servers make, the best first: eight variants at most instead of one for every browser."""

CACHE_VARIANTS = 32
"""All of the codings times a few languages; an answer that varies with `User-Agent` pushes out its own, not others."""

CACHE_TAGS = ["Cache-Tag", "Surrogate-Key"]
"""The names that CDNs and their plug-ins use."""

CACHE_STRIP = [
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-SSL",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
]
"""Headers that frameworks act on and no key has: with one of them a client could choose what all others get."""

CACHE_HEURISTIC = "10%"
"""The typical setting, says RFC 9111 §4.2.2."""
