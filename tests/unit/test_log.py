"""The process's own log: lines like the engine's, never too many, never an error."""

from __future__ import annotations

import io
import re
import sys

import pytest

from tidegate.log import Seldom, say


def test_a_line_has_time_level_and_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    say("one\ntwo", "warn")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn one\n  two\n", capsys.readouterr().err)


def test_the_journal_gets_a_priority(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    say("bad", "error")
    assert capsys.readouterr().err == "<3>bad\n"


def test_a_log_that_cannot_be_written_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    say("lost")


def test_the_first_of_a_kind_is_said_and_the_others_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("tidegate.log.time.monotonic", lambda: now[0])
    seldom = Seldom(10)
    for _ in range(5):
        seldom.say("a", "first")
    seldom.say("b", "other")
    now[0] = 11.0
    seldom.say("a", "again")
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in said] == ["first", "other", "again (and 4 more like it before)"]
