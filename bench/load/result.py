"""What a row found: figures for each contestant and round, ratios of the same round, and the row's own figures."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Series:
    """One contestant's figures, one value a round for each metric."""

    contestant: str
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **metrics: float) -> None:
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)

    def median(self, metric: str) -> float:
        return statistics.median(self.values[metric])


@dataclass(frozen=True)
class Ratio:
    """One contestant's metric as a multiple of another's, round by round."""

    of: str
    to: str
    metric: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass
class Result:
    """One row."""

    name: str
    title: str
    unit: str
    series: list[Series] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, contestant: str) -> Series | None:
        return next((each for each in self.series if each.contestant == contestant), None)

    def compare(self, of: str, to: str, metric: str, figure: str | None = None) -> None:
        """Adds a ratio where both were measured: the median of the rounds' own, so that a drift of the host cancels."""
        above, below = self.of(of), self.of(to)
        if above is None or below is None or metric not in above.values or metric not in below.values:
            return
        pairs = zip(above.values[metric], below.values[metric], strict=True)
        ratio = Ratio(of, to, metric, tuple(one / other for one, other in pairs if other > 0))
        if not ratio.rounds:
            return
        self.ratios.append(ratio)
        if figure:
            self.figures[figure] = ratio.median

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "figures": {name: _short(value) for name, value in self.figures.items()},
            "contestants": {
                each.contestant: {
                    metric: {"median": _short(statistics.median(rounds)), "rounds": [_short(value) for value in rounds]}
                    for metric, rounds in each.values.items()
                }
                for each in self.series
            },
            "ratios": [
                {
                    "of": each.of,
                    "to": each.to,
                    "metric": each.metric,
                    "median": _short(each.median),
                    "rounds": [_short(r) for r in each.rounds],
                }
                for each in self.ratios
            ],
            "notes": self.notes,
        }


def write(results: list[Result], host: dict[str, Any], settings: dict[str, Any], out: Path) -> None:
    """One JSON file a row."""
    out.mkdir(parents=True, exist_ok=True)
    for result in results:
        text = json.dumps({**result.as_json(), "host": host, "settings": settings}, indent=1, ensure_ascii=False)
        (out / f"{result.name}.json").write_text(text + "\n")


def _short(value: float) -> float:
    return float(f"{value:.6g}")
