"""Writes the README's table from the results: each budget, what was measured, and whether it holds.

`python -m bench.table` writes it between the markers `<!-- bench:begin -->` and `<!-- bench:end -->`; with `--check` it
changes nothing and exits 1 where the README does not tell what the results say.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import report
from bench.load.settings import BENCH, REPOSITORY

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"


@dataclass(frozen=True)
class Budget:
    """A bound on one figure of one row: upper, unless it is `at_least`."""

    row: str
    figure: str
    case: str
    must: float
    aim: float | None = None
    unit: str = ""
    # A count holds what the process does now and then besides (a timer, a wake-up); under strace, time is long.
    slack: float = 0.0
    at_least: bool = False

    def told(self, value: float) -> str:
        return f"{value:,.2f}{self.unit}"

    def verdict(self, value: float) -> str:
        if value < self.must if self.at_least else value > self.must + self.slack:
            return "**misses**"
        return "holds" if self.aim is None or value > self.aim else "holds, aim reached"

    def bound(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.must:g}{self.unit}" if self.must else "0"


BUDGETS = (
    Budget("small", "small", "small proxied request, CPU ÷ nginx", 0.95, 0.80),
    Budget("body64k", "body64k", "64 KiB body, CPU ÷ tuned nginx", 1.0, 0.8),
    Budget("body64k", "body64k_defaults", "64 KiB body, CPU ÷ nginx's defaults", 0.5),
    Budget("429", "refused", "429, CPU ÷ nginx `limit_req`", 0.9, 0.8),
    Budget("p99", "p99_10k", "p99 at 10,000 requests/s ÷ nginx", 1.0, 0.7),
    Budget("p99", "p99_25k", "p99 at 25,000 requests/s ÷ nginx", 1.0, 0.7),
    Budget("idle", "idle_mb", "10,000 idle connections, memory growth", 12, 5, " MB"),
    Budget("routes", "routes", "10,000 routes, CPU ÷ 10 routes", 1.1, 1.02),
    Budget("reload", "reload_failed", "reload of 10,000 routes under load, failed requests", 0),
    Budget("reload", "reload_p99", "the same, p99 ÷ without reload", 1.5, 1.1),
    Budget("features", "features", "API key, limit, header edits, JSON log: CPU ÷ plain", 1.15),
    Budget("syscalls", "syscalls_io_32", "sends and receives a small request", 4, slack=0.05),
    Budget("allocations", "allocations", "allocations a small request", 0, slack=0.005),
    Budget("start", "base_mb", "memory of the process", 50, None, " MB"),
    Budget("start", "start_seconds", "from exec to the first answer", 0.5, None, " s"),
    Budget("tls_handshakes", "tls_full", "full TLS 1.3 handshakes a CPU second ÷ nginx's", 1.5, at_least=True),
    Budget("tls_handshakes", "tls_resumed", "resumed ones ÷ nginx's", 1.5, at_least=True),
    Budget("tls_requests", "tls_requests", "small request within TLS, CPU ÷ nginx", 0.9),
    Budget("http2_local", "http2_local", "HTTP/2, local answer, CPU ÷ nginx", 0.7, 0.5),
    Budget("http2_proxied", "http2_proxied", "HTTP/2, small proxied request, CPU ÷ nginx", 0.95),
    Budget("tls_idle", "tls_idle_mb", "10,000 idle connections within TLS, memory growth", 100, None, " MB"),
    Budget("ai_calls", "ai_passed", "AI call passed through with key, limits, budget, usage: CPU ÷ plain", 2.0, 1.5),
    Budget("ai_calls", "ai_translated", "the same, translated to another dialect", 4.0, 2.5),
    Budget("ai_calls", "ai_litellm", "AI calls a CPU second ÷ LiteLLM's", 150, at_least=True),
    Budget("ai_streams", "ai_first_added_ms", "time to first token that 1,000 streams add, p99", 1.0, 0.3, " ms"),
    Budget("ai_streams", "ai_streams_wrong", "events of 1,000 and 5,000 streams lost or out of order, streams cut", 0),
    Budget("ai_streams", "ai_streams_rss_mb", "memory of the process under them", 250, None, " MB"),
    Budget("ai_streams", "ai_streams_growth", "its growth while they are held", 1.02),
)


def text(rows: dict[str, dict[str, Any]]) -> str:
    """What stands between the markers."""
    lines = ["| case | must | aim | measured | |", "| --- | ---: | ---: | ---: | --- |"]
    for budget in BUDGETS:
        value = rows.get(budget.row, {}).get("figures", {}).get(budget.figure)
        aim = "" if budget.aim is None else f"≤ {budget.aim:g}"
        measured, verdict = ("", "not measured") if value is None else (budget.told(value), budget.verdict(value))
        lines.append(f"| {budget.case} | {budget.bound()} | {aim} | {measured} | {verdict} |")
    parts = ["\n".join(lines), *_absolute(rows), *_projection(rows), *_calls(rows), _host(rows)]
    return "\n\n".join(part for part in parts if part)


def _absolute(rows: dict[str, dict[str, Any]]) -> list[str]:
    """CPU and throughput of the small row, for a feel of the size."""
    row = rows.get("small")
    if row is None:
        return []
    lines = [
        "Small proxied request, one worker on one core:",
        "",
        "| | CPU, user + kernel | requests/s | p99 at 10,000/s |",
        "| --- | ---: | ---: | ---: |",
    ]
    latencies = rows.get("p99", {}).get("contestants", {})
    for name, values in row["contestants"].items():
        cpu, user, kernel, rate = (
            values[metric]["median"] for metric in ("cpu_us", "user_us", "kernel_us", "requests_per_second")
        )
        p99 = latencies.get(name, {}).get("p99_us_at_10k")
        tail = f"{p99['median']:,.0f} µs" if p99 else ""
        lines.append(f"| {name} | {user:.1f} + {kernel:.1f} = {cpu:.1f} µs | {rate:,.0f} | {tail} |")
    control = row["figures"].get("small_control")
    if control is not None:
        lines += ["", f"`nginx-again` is the same nginx a second time: it came out at {control:.2f} of the first."]
    return ["\n".join(lines)]


def _calls(rows: dict[str, dict[str, Any]]) -> list[str]:
    """What a call to a model takes, and what it takes of LiteLLM."""
    row = rows.get("ai_calls")
    if row is None:
        return []
    counted = rows.get("ai_counts", {}).get("contestants", {})
    lines = [
        "Chat call of 1 KB each way, one worker on one core; `whole` adds what comes later, usage records into SQLite:",
        "",
        "| | CPU of the engine | whole | calls/s | allocations | instructions |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, values in row["contestants"].items():
        engine = f"{values['engine_us']['median']:.1f} µs" if "engine_us" in values else ""
        count = counted.get(name.removeprefix("tidegate-"), {})
        allocations, instructions = (
            f"{count[metric]['median']:,.0f}" if metric in count else "" for metric in ("allocations", "instructions")
        )
        whole, rate = (values[metric]["median"] for metric in ("whole_us", "requests_per_second"))
        lines.append(f"| {name} | {engine} | {whole:,.1f} µs | {rate:,.0f} | {allocations} | {instructions} |")
    return ["\n".join(lines)]


def _projection(rows: dict[str, dict[str, Any]]) -> list[str]:
    figures = rows.get("workers", {}).get("figures", {})
    if "projected_8_cores_rps_low" not in figures:
        return []
    low, high = (round(figures[f"projected_8_cores_rps_{end}"], -4) for end in ("low", "high"))
    return [
        f"8 cores, **a projection and not a measurement**: {low:,.0f} to {high:,.0f} small requests a second"
        f" where 8 cores run the proxy alone. Two workers take {figures['workers_growth']:.2f} times the CPU a request"
        " that one takes; the lower end lets each further worker add as much again, the upper end none."
    ]


def _host(rows: dict[str, dict[str, Any]]) -> str:
    hosts = [row["host"] for row in rows.values()]
    if not hosts:
        return "Nothing has been measured yet."
    machines = sorted({f"{host['cores']} × {host['cpu']}, Linux {host['kernel']}" for host in hosts})
    dates = sorted({host["when"].split()[0] for host in hosts})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = hosts[0]["versions"]
    virtual = " (virtual)" if hosts[0]["virtual"] else ""
    return (
        f"Ratios are medians of interleaved rounds against nginx {versions['nginx']} and HAProxy {versions['haproxy']},"
        f" tuned (`bench/peers/`). Measured {when} on {'; '.join(machines)}{virtual}."
        " All rows: `bench/results/`; how: `docs/benchmarks.md`."
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.add_argument("--results", type=Path, default=BENCH / "results")
    parser.add_argument("--readme", type=Path, default=REPOSITORY / "README.md")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rows = report.load(options.results)
    smoke = [name for name, row in rows.items() if row["settings"]["quick"]]
    if smoke:
        print(f"these are of a smoke run and prove nothing: {', '.join(smoke)}", file=sys.stderr)
        return 1
    old = options.readme.read_text()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        print(f"{options.readme.name} needs {BEGIN} and {END}, each once, where the table belongs", file=sys.stderr)
        return 1
    before, rest = old.split(BEGIN)
    _, after = rest.split(END)
    new = f"{before}{BEGIN}\n\n{text(rows)}\n\n{END}{after}"
    if options.check:
        if new != old:
            print("the README's table is not what the results say; run python -m bench.table", file=sys.stderr)
        return int(new != old)
    options.readme.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
