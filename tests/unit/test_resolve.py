"""Names of hooks lead to functions, and what leads nowhere is told with what was found instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.resolve import HookError, Resolver


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules and paths of one test are not another's."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("pol", "helper"):
        sys.modules.pop(name, None)


def test_sync_async_methods_and_callable_objects_are_found(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text(
        "class Check:\n"
        "    async def __call__(self, request): ...\n"
        "    def plain(self, request): ...\n"
        "async def coroutine(request): ...\n"
        "check = Check()\n"
    )
    found = Resolver(str(tmp_path)).resolve(["pol:coroutine", "pol:check", "pol:check.plain"])
    assert [function.is_async for function in found] == [True, True, False]


def test_the_gateways_own_functions_come_first() -> None:
    def handle(_: object) -> None:
        return None

    (found,) = Resolver(".", {"tidegate.admin:handle": handle}).resolve(["tidegate.admin:handle"])
    assert found.call is handle


@pytest.mark.parametrize(
    ("source", "name", "why"),
    [
        ("", "gone:check", "there is no module 'gone' in "),
        ("def other(request): ...", "pol:check", "has no 'check'; it has other"),
        ("check = 5", "pol:check", "'check' is no function but int"),
        ("def check(): ...", "pol:check", "must take one argument"),
        ("def check(a, b): ...", "pol:check", "must take one argument"),
        ("def check(:", "pol:check", "pol.py:1:"),
        ("1 / 0", "pol:check", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "pol:check", "SystemExit: 3"),
        ("import not_there_at_all", "pol:check", "No module named 'not_there_at_all'"),
        ("", "pol", "write it as module:function"),
    ],
)
def test_what_leads_nowhere_is_told(tmp_path: Path, source: str, name: str, why: str) -> None:
    (tmp_path / "pol.py").write_text(source)
    with pytest.raises(HookError) as caught:
        Resolver(str(tmp_path)).resolve([name])
    assert why in str(caught.value)
    assert str(caught.value).startswith(f"hook {name!r}: ")


def test_a_failing_import_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text("x = 1\n\nraise RuntimeError('no')\n")
    with pytest.raises(HookError, match=r"RuntimeError: no \(.*pol\.py:3\)"):
        Resolver(str(tmp_path)).resolve(["pol:check"])


def test_an_unchanged_module_is_not_imported_again(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text("def check(request): ...\n")
    resolver = Resolver(str(tmp_path))
    assert resolver.resolve(["pol:check"]) == resolver.resolve(["pol:check"])


def test_a_changed_module_is_imported_anew_and_the_old_function_keeps_its_globals(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text("word = 'one'\ndef check(request): return word\n")
    resolver = Resolver(str(tmp_path))
    (old,) = resolver.resolve(["pol:check"])
    (tmp_path / "pol.py").write_text("word = 'two'\ndef check(request): return word\n")
    (new,) = resolver.resolve(["pol:check"])
    assert (old.call(None), new.call(None)) == ("one", "two")


def test_a_changed_helper_reaches_the_module_that_imports_it(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text("from helper import word\ndef check(request): return word\n")
    (tmp_path / "helper.py").write_text("word = 'one'\n")
    resolver = Resolver(str(tmp_path))
    (old,) = resolver.resolve(["pol:check"])
    assert resolver.files == {str(tmp_path / "pol.py"), str(tmp_path / "helper.py")}
    (tmp_path / "helper.py").write_text("word = 'two'\n")
    (new,) = resolver.resolve(["pol:check"])
    assert (old.call(None), new.call(None)) == ("one", "two")


def test_a_change_that_breaks_the_import_leaves_the_old_module(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text("def check(request): return 1\n")
    resolver = Resolver(str(tmp_path))
    resolver.resolve(["pol:check"])
    module = sys.modules["pol"]
    (tmp_path / "pol.py").write_text("def check(request: return 2\n")
    for _ in range(2):
        with pytest.raises(HookError):
            resolver.resolve(["pol:check"])
    assert sys.modules["pol"] is module
    (tmp_path / "pol.py").write_text("def check(request): return 3\n")
    assert resolver.resolve(["pol:check"])[0].call(None) == 3


def test_nothing_is_written_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pol.py").write_text("def check(request): ...\n")
    Resolver(str(tmp_path)).resolve(["pol:check"])
    assert [path.name for path in tmp_path.iterdir()] == ["pol.py"]


def test_installed_modules_are_not_the_users(tmp_path: Path) -> None:
    resolver = Resolver(str(tmp_path))
    resolver.resolve(["string:capwords"])
    assert resolver.files == frozenset()
