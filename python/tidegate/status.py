"""The status as people read it: a few tables of text."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

ROUTES_SHOWN: Final = 10
NAMES_SHOWN: Final = 3
SOON_S: Final = 30 * 86400


def table(status: dict[str, Any]) -> str:
    """The whole status of one process."""
    engine = status.get("engine", {})
    blocks = [
        _head(status, engine),
        _listeners(status),
        _certificates(status),
        _acme(status),
        _upstreams(engine),
        _routes(engine),
        _hooks(status),
        _limits(engine),
        _key_sets(status),
        _refusals(engine),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def duration(seconds: float) -> str:
    """`3d 4h`, `5m 6s`, `0.4s`: the two largest parts."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    parts = []
    left = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2])


def size(count: float) -> str:
    """`12.3 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def columns(rows: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    """Rows under their heads; numbers to the right, the rest to the left."""
    texts = [list(head), *([_cell(cell) for cell in row] for row in rows)]
    if len(texts) == 1:
        return ""
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]
    right = [all(_is_number(row[at]) for row in texts[1:]) for at in range(len(head))]
    fits = [str.rjust if end else str.ljust for end in right]
    return "\n".join(
        "  ".join(fit(cell, width) for fit, cell, width in zip(fits, row, widths, strict=True)).rstrip()
        for row in texts
    )


def _head(status: dict[str, Any], engine: dict[str, Any]) -> str:
    reloads = status["reloads"]
    memory = status.get("memory_bytes")
    workers = status["workers"]
    lines = [
        f"tidegate {status['version']}, process {status['pid']}, up {duration(status['uptime_s'])}"
        + (", draining" if status["draining"] else ""),
        f"configuration  {status['config'] or 'no file'}, generation {status['generation']}, "
        f"{status['routes']:,} route{'' if status['routes'] == 1 else 's'}",
        f"last reload    {_reload(reloads)}",
        f"requests       {status.get('requests_per_s', 0):,.1f}/s now, {engine.get('requests', 0):,} in all, "
        f"{engine.get('connections', 0):,} connections",
    ]
    if engine.get("requests") and (times := engine.get("duration_us")):
        known = (f"{name} {_cell(value / 1000)} ms" for name, value in times.items())
        lines.append(f"durations      {', '.join(known)}")
    lines += _upgrade(status)
    held = f", {size(memory)} of memory" if memory else ""
    lines.append(f"process        {workers} worker{'' if workers == 1 else 's'}{held}")
    for name, text in (("panics", "exchanges panicked"), ("log_lines_dropped", "lines of the access log were dropped")):
        if engine.get(name):
            lines.append(f"WARNING        {engine[name]:,} {text}")
    return "\n".join(lines)


def _upgrade(status: dict[str, Any]) -> list[str]:
    lines = []
    told = status.get("upgrade") or {}
    if told.get("state") == "under_way":
        lines.append("upgrade        under way")
    elif told.get("state") == "failed":
        when = f"{duration(max(0.0, time.time() - told['at']))} ago"
        detail = told["detail"].replace("\n", "\n               ")
        lines.append(f"upgrade        {when}, FAILED ({told['reason']})\n               {detail}")
    before = status.get("predecessor") or {}
    if before.get("draining"):
        lines.append(f"upgrade        process {before['pid']}, which ran before, lets its connections go")
    return lines


def _reload(reloads: dict[str, Any]) -> str:
    when = "" if reloads["last_at"] is None else f"{duration(max(0.0, time.time() - reloads['last_at']))} ago"
    if reloads["last_error"]:
        error = reloads["last_error"].replace("\n", "\n               ")
        return f"{when}, REFUSED; the configuration before it stays in force\n               {error}"
    return f"{when}, taken ({reloads['applied']} taken, {reloads['failed']} refused since the start)"


def _listeners(status: dict[str, Any]) -> str:
    return columns(
        ((listener["address"], "admin" if listener["admin"] else "traffic") for listener in status["listeners"]),
        ("LISTENER", "FOR"),
    )


def _certificates(status: dict[str, Any]) -> str:
    return columns(
        (
            (shown["listener"], shown["name"], ", ".join(shown["names"][:NAMES_SHOWN]), _until(shown["not_after_s"]))
            for shown in status.get("certificates", ())
        ),
        ("CERTIFICATE OF", "FILE", "FOR", "VALID UNTIL"),
    )


def _acme(status: dict[str, Any]) -> str:
    """What is fetched, and below it in words what keeps it from coming."""
    orders = status.get("acme", ())
    shown = columns(
        (
            (
                one["name"],
                one["state"].replace("_", " "),
                one["account"] or "none yet",
                "never" if one["next_s"] is None else _when(one["next_s"]),
            )
            for one in orders
        ),
        ("CERTIFICATE BY ACME", "STATE", "ACCOUNT", "NEXT TRY"),
    )
    faults = [f"{one['name']}: {one['reason']}: {one['error']}" for one in orders if one["error"]]
    return "\n".join([shown, *faults])


def _when(at: float) -> str:
    left = at - time.time()
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))
    return f"{day}, in {duration(left)}" if left > 0 else "now"


def _until(seconds: int) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    left = seconds - time.time()
    if left < 0:
        return f"{day}, EXPIRED"
    return f"{day}, in {duration(left)}" if left < SOON_S else day


def _upstreams(engine: dict[str, Any]) -> str:
    rows = (row for row in engine.get("upstreams", ()) if "endpoint" in row)
    return columns(
        ((row["upstream"], row["endpoint"], _state(row), row["in_flight"], row["ok"], row["failed"]) for row in rows),
        ("UPSTREAM", "ENDPOINT", "STATE", "IN FLIGHT", "OK", "FAILED"),
    )


def _state(endpoint: dict[str, Any]) -> str:
    """Every worker judges for itself, by what its own requests saw."""
    choosing, knowing = endpoint["workers_choosing"], endpoint["workers_knowing"]
    if choosing == knowing:
        return "up" if knowing else "not asked yet"
    return f"out for {knowing - choosing} of {knowing} workers" if choosing else "out"


def _routes(engine: dict[str, Any]) -> str:
    routes = engine.get("routes", [])[:ROUTES_SHOWN]
    more = engine.get("routes_used", 0) - len(routes)
    shown = columns(
        (
            (row["route"], row["requests"], row.get("4xx", 0), row.get("5xx", 0), row["mean_us"] / 1000)
            for row in routes
        ),
        ("ROUTE", "REQUESTS", "4XX", "5XX", "MEAN MS"),
    )
    return f"{shown}\nand {more:,} more" if more > 0 else shown


def _limits(engine: dict[str, Any]) -> str:
    return columns(
        ((row["limit"], row["allowed"], row["delayed"], row["refused"]) for row in engine.get("limits", ())),
        ("LIMIT", "ALLOWED", "DELAYED", "REFUSED"),
    )


def _key_sets(status: dict[str, Any]) -> str:
    def state(row: dict[str, Any]) -> str:
        if row["error"]:
            return f"FAILING ({row['failures']} times): {row['error']}"
        return f"{len(row['unusable'])} can't be used: {'; '.join(row['unusable'])}" if row["unusable"] else "good"

    def since(row: dict[str, Any]) -> str:
        at = row["fetched_at"]
        return "never" if at is None else f"{duration(max(0.0, time.time() - at))} ago"

    rows = status.get("key_sets", ())
    return columns(
        ((row["name"], row["keys"], since(row), state(row)) for row in rows), ("KEYS OF", "KEYS", "FETCHED", "STATE")
    )


def _hooks(status: dict[str, Any]) -> str:
    names = ("name", "calls", "failed", "late", "refused_full", "p50_ms", "p99_ms")
    hooks = (hook for hook in status["hooks"] if not hook["name"].startswith("tidegate."))
    return columns(
        ([hook[name] for name in names] for hook in hooks),
        ("HOOK", "CALLS", "FAILED", "LATE", "FULL", "P50 MS", "P99 MS"),
    )


def _refusals(engine: dict[str, Any]) -> str:
    refusals = sorted(engine.get("refusals", {}).items(), key=lambda item: (-item[1], item[0]))
    return columns((item for item in refusals if item[1]), ("REFUSED FOR", "TIMES"))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").isdigit()
