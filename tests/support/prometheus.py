"""A strict reading of Prometheus' text format 0.0.4: what a scraper might stumble over is the test's failure."""

from __future__ import annotations

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) (\S.*)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')

Labels = frozenset[tuple[str, str]]


class Samples:
    """Every sample of one scrape, and the type of its family."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.values: dict[tuple[str, Labels], float] = {}

    def one(self, name: str, **labels: str) -> float:
        """The one sample that has these labels, among others; none counts as 0."""
        found = self.some(name, **labels)
        assert len(found) <= 1, found
        return next(iter(found.values()), 0.0)

    def sum(self, name: str, **labels: str) -> float:
        """The sum over all that have these labels."""
        return sum(self.some(name, **labels).values())

    def some(self, name: str, **labels: str) -> dict[Labels, float]:
        wanted = set(labels.items())
        return {has: value for (known, has), value in self.values.items() if known == name and wanted <= has}

    def has(self, name: str) -> bool:
        return any(known == name for known, _ in self.values)


def parse(text: str) -> Samples:
    """Reads a whole exposition; raises AssertionError where it breaks a rule."""
    assert text.endswith("\n"), "the last line has no end"
    samples = Samples()
    family, kind, finished = "", "", set[str]()
    helped = ""
    for line in text.splitlines():
        if found := _HELP.fullmatch(line):
            helped = found[1]
            continue
        if found := _TYPE.fullmatch(line):
            assert found[1] == helped, f"# TYPE without its # HELP before it: {line}"
            finished.add(family)
            family, kind = found[1], found[2]
            assert family not in finished, f"{family} comes in two places"
            assert (kind == "counter") == family.endswith("_total"), f"{family} is a {kind}"
            samples.types[family] = kind
            continue
        assert line, "an empty line"
        sample = _SAMPLE.fullmatch(line)
        assert sample, f"no sample: {line!r}"
        name, labels = sample[1], _labels(sample[2] or "", line)
        own = {family, f"{family}_bucket", f"{family}_sum", f"{family}_count"} if kind == "histogram" else {family}
        assert name in own, f"{name} stands under {family}"
        key = (name, labels)
        assert key not in samples.values, f"twice: {line}"
        value = float(sample[3])
        assert kind == "gauge" or value >= 0, line
        samples.values[key] = value
    for name, kind in samples.types.items():
        if kind == "histogram":
            _check_histogram(samples, name)
    return samples


def _labels(text: str, line: str) -> Labels:
    pairs, at = [], 0
    while at < len(text):
        found = _LABEL.match(text, at)
        assert found, f"no labels: {line!r}"
        pairs.append((found[1], re.sub(r"\\(.)", lambda hit: "\n" if hit[1] == "n" else hit[1], found[2])))
        at = found.end()
    assert len(dict(pairs)) == len(pairs), f"a label twice: {line}"
    return frozenset(pairs)


def _check_histogram(samples: Samples, name: str) -> None:
    rows: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in samples.some(f"{name}_bucket").items():
        bound = dict(labels)["le"]
        rows.setdefault(labels - {("le", bound)}, []).append((float(bound), value))
    for labels, buckets in rows.items():
        ordered = [value for _, value in sorted(buckets)]
        assert ordered == sorted(ordered), f"{name} {dict(labels)}: buckets that do not add up: {ordered}"
        assert max(buckets)[0] == float("inf"), f"{name} {dict(labels)}: no bucket for everything"
        assert samples.values[(f"{name}_count", labels)] == ordered[-1], f"{name} {dict(labels)}"
        assert (f"{name}_sum", labels) in samples.values, f"{name} {dict(labels)}"
