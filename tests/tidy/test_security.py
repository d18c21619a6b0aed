"""The table of threats names tests that are there, and every attack that is tested stands in it."""

from __future__ import annotations

import re

from tests.tidy.test_sources import ROOT, sources, text

_NAMED = re.compile(r"`((?:test_)?[a-z0-9]+(?:_[a-z0-9]+){3,})`")
_TEST = re.compile(r"^(?:    )?(?:async )?(?:def|fn) ([a-z0-9_]+)\(", re.MULTILINE)


BESIDE = {
    "test_a_client_that_is_turned_away_is_told_why",
    "test_addresses_of_one_attacker_are_told_from_the_neighbours",
}
"""Tests beside the attacks that are no threat of their own."""


def _tests(suffix: str, *folders: str) -> set[str]:
    names = (name for name in sources(suffix) if name.startswith(folders))
    return {found for name in names for found in _TEST.findall(text(name))}


def _rows() -> list[list[str]]:
    lines = (ROOT / "docs/security.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [row for row in rows if row[-1] != "proof" and row[0] != "level" and len(row) == 3 and not row[0].isdigit()]


def test_every_threat_names_a_test_that_is_there() -> None:
    known = _tests(".py", "tests/") | _tests(".rs", "rust/")
    rows = [row for row in _rows() if set(row[0]) - set("- ")]
    assert len(rows) >= 25, "the table is read"
    bad = []
    for threat, _, proof in rows:
        named = _NAMED.findall(proof)
        if not named and "the same" not in proof:
            bad.append(f"{threat}: no test")
        bad += [f"{threat}: {name} is no test" for name in named if name not in known]
    assert not bad


def test_every_attack_that_is_tested_stands_in_the_table() -> None:
    told = (ROOT / "docs/security.md").read_text()
    ours = {name for name in _tests(".py", "tests/chaos/test_abuse_") if name.startswith("test_")}
    missing = sorted(name for name in ours - BESIDE if name not in told)
    assert not missing, "add a row to docs/security.md"
