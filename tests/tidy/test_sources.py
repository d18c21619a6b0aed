"""Rules for every file: how it opens, how long it is, what it never says."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 600

LONGER: dict[str, str] = {
    "python/tidegate/plan.py": "the plan's schema is one page on purpose: it is read beside rust/plan",
}
"""Files that may be longer, each with its reason."""

NEVER = {
    r"\b(TODO|FIXME|XXX|HACK)\b": "finish it, or write down in docs/decisions why not",
    r"/(?:root|home/[a-z]+|work|Users)/(?!\.)[a-z]": "a path of one machine means nothing on another",
    r"\bissue[s]? #?\d+": "a source says why itself",
    r"(?i)\b(?:artifactory|jfrog|nexus)\b|pypi\.[a-z-]+\.(?:internal|corp)": "pip knows where packages come from",
    r"todo!\(|unimplemented!\(|\bdbg!\(": "nothing is half there",
}
"""What no file says, and what to do instead."""

_HERE = "tests/tidy/test_sources.py"


@cache
def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def sources(*endings: str) -> list[str]:
    return [name for name in tracked() if name.endswith(endings)]


def text(name: str) -> str:
    return (ROOT / name).read_text()


def test_every_rust_file_opens_with_a_sentence() -> None:
    bad = [name for name in sources(".rs") if not re.match(r"//! \S.*", text(name))]
    assert not bad, "a file opens with `//! One sentence.`"


def test_every_python_file_opens_with_a_sentence() -> None:
    bad = [
        name
        for name in sources(".py", ".pyi")
        if text(name).strip() and not re.match(r"\S.*[.:]", ast.get_docstring(ast.parse(text(name))) or "")
    ]
    assert not bad, 'a file opens with `"""One sentence."""`'


def test_every_crate_opens_with_its_room_card() -> None:
    for name in sources("/src/lib.rs"):
        if name.startswith("rust/fuzz/"):
            continue
        card = "\n".join(line for line in text(name).splitlines() if line.startswith("//!"))
        assert "//! Knows: " in card, f"{name}: what does this room know?"
        assert "//! Never: " in card, f"{name}: what does it never touch?"


def test_no_file_is_too_long_to_be_read() -> None:
    long = {name: len(text(name).splitlines()) for name in sources(".rs", ".py", ".pyi")}
    bad = {name: lines for name, lines in long.items() if lines > MOST_LINES and name not in LONGER}
    assert not bad, "divide it by what it knows, or give the reason in LONGER"


@pytest.mark.parametrize("pattern", NEVER)
def test_no_file_says_what_is_never_said(pattern: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name in sources(".rs", ".py", ".pyi", ".toml", ".md", ".yaml", ".yml", ".sh", "Makefile", "run", "peers")
        if name != _HERE
        for number, line in enumerate(text(name).splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found, NEVER[pattern] + "\n" + "\n".join(found)


def test_unsafe_code_says_why_beside_the_allow() -> None:
    for name in sources(".rs"):
        lines = text(name).splitlines()
        for at, line in enumerate(lines):
            if re.search(r"allow\(unsafe_code\)", line):
                around = "\n".join(lines[max(0, at - 3) : at + 3])
                assert "//" in around.replace("//!", ""), f"{name}:{at + 1}: say why"


def test_code_that_the_network_reaches_unwraps_nothing() -> None:
    found = []
    for name in sources(".rs"):
        if "/src/" not in name or name.startswith(("rust/fuzz/", "rust/playbook/")):
            continue
        if name.endswith("/tests.rs") or "/tests/" in name:
            continue
        shipped = text(name).split("#[cfg(test)]")[0]
        found += [f"{name}: {word}" for word in (".unwrap()", "panic!(", "unreachable!(") if word in shipped]
    assert not found, "return a named failure, or use expect with the invariant that holds"


def test_every_golden_configuration_has_its_plan() -> None:
    golden = ROOT / "tests/golden/plan"
    written = {path.stem for path in golden.glob("*.yaml")}
    lowered = {path.stem for path in golden.glob("*.json")}
    assert written == lowered, "pytest tests/unit --update-golden"
    assert len(written) >= 25


def test_a_golden_plan_is_the_same_wherever_the_checkout_stands() -> None:
    for path in (ROOT / "tests/golden").rglob("*.json"):
        assert str(ROOT) not in path.read_text(), path.name
        assert not re.search(r'"/(?:tmp|root|home|work)/', path.read_text()), path.name
