"""Which Python module may import which: read off the sources, imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "tidegate"

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "machine": set(),
    "log": set(),
    "ports": set(),
    "plan_part": set(),
    "plan_ai": {"plan_part"},
    "plan_auth": {"plan_part"},
    "plan_tcp": {"plan_part"},
    "plan_text": {"plan_part"},
    "plan_cache": {"plan_part", "plan_text"},
    "plan": {"plan_ai", "plan_auth", "plan_cache", "plan_part", "plan_tcp", "plan_text"},
    "model": {"model"},
    "load": {"load", "model", "errors", "ai"},
    "lower": {"lower", "load", "model", "plan", "plan_ai", "plan_cache", "plan_part", "plan_tcp", "errors", "ai"},
}
"""Rooms that know nothing of those above them. Others may use what they need, but for `_engine`."""


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def _imports(path: Path) -> Iterator[str]:
    """Modules of this package that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.ImportFrom) or node.level == 0, f"{path.name}: write the whole name"
        yield from _named(node)


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name.removeprefix("tidegate.") for name in node.names if name.name.startswith("tidegate."))
    elif isinstance(node, ast.ImportFrom) and node.module == "tidegate":
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tidegate."):
        base = (node.module or "").removeprefix("tidegate.")
        yield from (f"{base}.{name.name}" if f"{base}.{name.name}" in modules() else base for name in node.names)


def test_only_the_gateway_knows_the_engine() -> None:
    users = {
        name for name, path in modules().items() if any(used.split(".")[0] == "_engine" for used in _imports(path))
    }
    assert users == {"gateway"}, "ask the gateway, or take what you need as an argument (tidegate.ports)"


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_low_room_imports_nothing_from_above(room: str) -> None:
    for name, path in modules().items():
        if name.split(".")[0] != room:
            continue
        above = {used for used in _imports(path) if used.split(".")[0] not in MAY_IMPORT[room] | {room}}
        assert not above, f"{name} imports {sorted(above)}"


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """At import time; what a function imports when it runs may point anywhere."""
    graph = {}
    for name, path in modules().items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = [ast.Pass()]
        graph[name] = _at_start(tree) & set(modules()) - {name}
    left = dict(graph)
    while left:
        bottom = {name for name, used in left.items() if not used & set(left)}
        assert bottom, f"these import each other: {sorted(left)}"
        left = {name: used for name, used in left.items() if name not in bottom}


def _at_start(tree: ast.Module) -> set[str]:
    """What importing the module imports; what only type checkers see is left out."""
    seen = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))]
    return {name for node in seen for inner in ast.walk(node) for name in _named(inner)}


def test_a_noun_has_one_name_in_every_room() -> None:
    """CONTRIBUTING.md: a feature is one noun with one name in the model, the lowering and the plan."""
    for noun in ("ai", "auth", "hook", "limit", "listener", "route", "server", "upstream"):
        assert f"model.{noun}" in modules(), noun
        assert f"lower.{noun}" in modules(), noun
        assert (PACKAGE.parents[1] / "rust/plan/src" / f"{noun}.rs").exists(), noun
