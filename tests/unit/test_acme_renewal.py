"""Who asks for certificates, when one is given up, and what is told; without an authority."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.certificates import Authority, pem
from tests.unit.test_acme_store import ORDER

from tidegate.acme import renewal
from tidegate.acme.dress import Proof
from tidegate.acme.fault import Fault
from tidegate.acme.renewal import Renewals
from tidegate.acme.schedule import Reason
from tidegate.acme.store import Kept, Store, parse


class Room:
    def __init__(self, *, owner: bool = True) -> None:
        self.may_ask = owner
        self.refreshed = 0

    async def refresh(self) -> None:
        self.refreshed += 1


class Scripted:
    """An authority that gives what a test says, or raises it."""

    asked = 0

    def __init__(self, answer: Callable[[], tuple[str, str, Kept]]) -> None:
        self._answer = answer

    def obtain(self, present: Callable[[Sequence[Proof]], None]) -> tuple[str, str, Kept]:
        Scripted.asked += 1
        present([Proof("a.example", "token", "token.print", None)])
        try:
            return self._answer()
        finally:
            present(())

    def renewal(self, chain: str) -> tuple[float | None, float]:
        raise Fault(Reason.NOT_ACME, "it does not say")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], tuple[str, str, Kept]]], None]:
    def put(answer: Callable[[], tuple[str, str, Kept]]) -> None:
        Scripted.asked = 0
        monkeypatch.setattr(renewal, "_authority", lambda *_: Scripted(answer))

    return put


def certificate(folder: Path) -> tuple[str, str, Kept]:
    signed = Authority(folder).sign("a.example")
    chain, key = b"".join(map(pem, signed.chain)), signed.key_pem()
    return chain.decode(), key.decode(), parse(key + chain)


def run(state: Path | None, room: Room, reached: Callable[[Renewals], Any]) -> dict[str, Any]:
    """Lives until that is so; what status says then."""

    async def live() -> dict[str, Any]:
        renewals = Renewals(room)
        renewals.keep_in(None if state is None else str(state))
        renewals.in_force([ORDER])
        task = asyncio.create_task(renewals.live())
        async with asyncio.timeout(10):
            while not reached(renewals):  # noqa: ASYNC110 — what is looked for has no event
                await asyncio.sleep(0)
        task.cancel()
        return renewals.as_json()[0]

    return asyncio.run(live())


def test_what_comes_is_kept_and_put_in_force(tmp_path: Path, scripted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scripted(lambda: certificate(tmp_path))
    room = Room()
    told = run(tmp_path, room, lambda one: one.as_json()[0]["state"] == "valid" and room.refreshed >= 4)
    assert told["reason"] is None
    assert Scripted.asked == 1
    assert "acme:a.example: certificate valid until" in capsys.readouterr().err
    assert Store(str(tmp_path)).certificate(ORDER) is not None


def test_a_failure_is_told_and_remembered(tmp_path: Path, scripted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> tuple[str, str, Kept]:
        raise Fault(Reason.RATE_LIMITED, "too many", 7200.0)

    scripted(refuse)
    told = run(tmp_path, Room(), lambda one: one.as_json()[0]["failures"])
    assert told["next_s"] == pytest.approx(told["failed_s"] + 7200.0)
    assert "no certificate: rate_limited: too many; there is none yet, next try" in capsys.readouterr().err
    assert Store(str(tmp_path)).record(ORDER).reason is Reason.RATE_LIMITED


def test_a_bug_is_a_failure_like_any_other(tmp_path: Path, scripted: Any) -> None:
    scripted(lambda: 1 / 0)
    told = run(tmp_path, Room(), lambda one: one.as_json()[0]["failures"])
    assert (told["reason"], told["error"]) == ("internal", "ZeroDivisionError: division by zero")


def test_who_does_not_own_the_directory_asks_nothing_and_shows_what_comes(tmp_path: Path, scripted: Any) -> None:
    scripted(lambda: certificate(tmp_path))
    chain, key, _ = certificate(tmp_path)
    room = Room(owner=False)
    store = Store(str(tmp_path))

    def look(one: Renewals) -> bool:
        if room.refreshed == 1 and store.certificate(ORDER) is None:
            store.keep_certificate(ORDER, chain, key)
        one.wake()
        return room.refreshed > 1

    run(tmp_path, room, look)
    assert Scripted.asked == 0


def test_without_a_state_directory_nothing_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    told = run(None, Room(), lambda _: True)
    assert told["state"] == "no_state_directory"
    assert "there is no state directory to keep certificates in" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tidegate.acme.authority", None)
    told = run(tmp_path, Room(), lambda one: one.as_json()[0]["failures"])
    assert told["reason"] == "library"
    assert "pip install 'tidegate[acme]'" in told["error"]
