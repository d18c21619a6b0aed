"""Rules for tests: their names are sentences, they wait for conditions, they take the ports they are given."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.tidy.test_sources import ROOT, sources, text

MAY_PAUSE = {"tests/support/waiting.py"}
"""Where the one short pause between two looks lives."""


def _functions(name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node for node in ast.walk(ast.parse(text(name))) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _test_files() -> list[str]:
    return [name for name in sources(".py") if name.startswith("tests/")]


def test_names_of_python_tests_are_sentences() -> None:
    bad = [
        f"{name}: {function.name}"
        for name in _test_files()
        for function in _functions(name)
        if function.name.startswith("test_") and len(function.name.split("_")) < 4
    ]
    assert not bad, "say what holds: somebody does something"


def test_names_of_rust_tests_are_sentences() -> None:
    pattern = re.compile(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn ([a-z0-9_]+)")
    bad = [
        f"{name}: {found}"
        for name in sources(".rs")
        for found in pattern.findall(text(name))
        if len(found.split("_")) < 3
    ]
    assert not bad, "say what holds: somebody does something"


def test_no_test_waits_for_time_to_pass() -> None:
    bad = [
        f"{name}:{number}: {line.strip()}"
        for name in _test_files()
        if name not in MAY_PAUSE and not name.startswith("tests/tidy/")
        for number, line in enumerate(text(name).splitlines(), 1)
        if re.search(r"\btime\.sleep\(|\basyncio\.sleep\((?!0\))", line) and "# a hook" not in line
    ]
    assert not bad, "wait for a condition with tests.support.waiting.until"


def test_every_folder_of_tests_stands_in_the_table_of_levels() -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text()
    known = {"support"}
    for folder in sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir()):
        if folder in known or folder.startswith(("__", ".")):
            continue
        assert re.search(rf"tests/{folder}\b", told), f"CONTRIBUTING.md says nothing of tests/{folder}"


def test_every_python_noun_of_the_model_has_a_golden_plan() -> None:
    golden = "\n".join(path.stem for path in Path(ROOT / "tests/golden/plan").glob("*.yaml"))
    for noun in (
        "auth",
        "hook",
        "limit",
        "listeners",
        "match",
        "headers",
        "rewrite",
        "upstream",
        "access",
        "access-log",
    ):
        assert noun in golden, noun
