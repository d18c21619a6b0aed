"""Changes of files are noticed once, when they have settled, and only where contents differ."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.watch import Watch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a.yaml"
    file.write_text("one")
    return file


def looks(watch: Watch) -> list[bool]:
    return [watch.poll() for _ in range(3)]


def test_nothing_changes_by_looking(file: Path) -> None:
    assert looks(Watch([str(file)])) == [False, False, False]


def test_a_change_is_told_once_and_only_when_it_stands_still(file: Path) -> None:
    watch = Watch([str(file)])
    file.write_text("two!")
    assert watch.poll() is False
    file.write_text("three")
    assert watch.poll() is False
    assert watch.poll() is True
    assert watch.poll() is False


def test_an_editor_that_replaces_the_file_is_seen_through(file: Path) -> None:
    watch = Watch([str(file)])
    fresh = file.with_name("b")
    fresh.write_text("two")
    fresh.replace(file)
    assert looks(watch) == [False, True, False]


def test_a_touched_file_is_no_change(file: Path) -> None:
    watch = Watch([str(file)])
    os.utime(file, (1, 1))
    assert looks(watch) == [False, False, False]


def test_a_swapped_symbolic_link_is_a_change(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("two")
    link = file.with_name("link")
    link.symlink_to(file)
    watch = Watch([str(link)])
    fresh = file.with_name("fresh")
    fresh.symlink_to(other)
    fresh.replace(link)
    assert looks(watch) == [False, True, False]


def test_a_file_that_goes_and_comes_back_is_told_both_times(file: Path) -> None:
    watch = Watch([str(file)])
    file.unlink()
    assert looks(watch) == [False, True, False]
    file.write_text("one")
    assert looks(watch) == [False, True, False]


def test_a_new_file_that_a_glob_finds_is_a_change(tmp_path: Path) -> None:
    watch = Watch([str(tmp_path / "*.yaml")])
    (tmp_path / "notes.txt").write_text("")
    assert looks(watch) == [False, False, False]
    (tmp_path / "b.yaml").write_text("")
    assert looks(watch) == [False, True, False]


def test_what_somebody_else_loads_is_not_told_again(file: Path) -> None:
    watch = Watch([str(file)])
    file.write_text("two")
    watch.accept()
    assert looks(watch) == [False, False, False]
    watch.rebase([str(file)])
    assert looks(watch) == [False, False, False]


def test_a_change_between_loading_and_watching_is_not_lost(file: Path) -> None:
    watch = Watch([str(file)])
    file.write_text("two")
    watch.rebase([str(file)])
    assert looks(watch) == [True, False, False]
