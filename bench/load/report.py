"""The rows of a directory as one Markdown page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load(directory: Path) -> dict[str, dict[str, Any]]:
    """The rows that were written, by name."""
    rows = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    return {row["name"]: row for row in rows if "contestants" in row}


def page(rows: dict[str, dict[str, Any]]) -> str:
    """All rows, each with its contestants' medians and its ratios with their range."""
    parts = ["# Results\n\nWritten by `python -m bench.load`; docs/benchmarks.md says how the figures come about.\n"]
    parts += [f"## {row['title']}\n\n{row['unit']}\n\n{table(row)}\n{_below(row)}" for row in rows.values()]
    return "\n".join(parts)


def table(row: dict[str, Any]) -> str:
    """Medians, a line for each contestant."""
    contestants: dict[str, Any] = row["contestants"]
    metrics = list(dict.fromkeys(metric for values in contestants.values() for metric in values))
    lines = [
        "| | " + " | ".join(metric.replace("_", " ") for metric in metrics) + " |",
        "| --- |" + " ---: |" * len(metrics),
    ]
    for name, values in contestants.items():
        cells = [f"{values[metric]['median']:,.4g}" if metric in values else "" for metric in metrics]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _below(row: dict[str, Any]) -> str:
    lines = []
    for ratio in row["ratios"]:
        span = f"{min(ratio['rounds']):.3f} to {max(ratio['rounds']):.3f}"
        lines.append(
            f"- {ratio['of']} ÷ {ratio['to']}, {ratio['metric'].replace('_', ' ')}: **{ratio['median']:.3f}** ({span})"
        )
    lines += [f"- {note}" for note in row["notes"]]
    host = row["host"]
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    quick = " Smoke run: the figures mean nothing." if row["settings"]["quick"] else ""
    lines.append(
        f"- {host['when']}, {host['cores']} × {host['cpu']}, Linux {host['kernel']},"
        f" load before {host['load_average_before'][0]}; {versions}.{quick}"
    )
    return "\n".join(lines) + "\n"
