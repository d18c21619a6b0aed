"""Keys that are fetched: when, how often, what is kept; with an engine that takes or refuses them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fake_engine import FakeCall, FakeEngine, until

from tidegate import key_sets
from tidegate.key_sets import Fetched, KeySets, Unfetched, Wanted, _holds_s
from tidegate.policy import Request
from tidegate.state import kept_keys

URL = "https://id.example.com/jwks"


class Engine(FakeEngine):
    """Refuses what is not JSON."""

    def set_keys(self, name: str, jwks: bytes, /) -> tuple[int, list[str]] | None:
        super().set_keys(name, jwks)
        if not jwks.startswith(b"{"):
            raise ValueError("this is no JWK Set")
        return 2, ["key 1: too short"]


class Issuer:
    """Says what the test wants said."""

    def __init__(self) -> None:
        self.asked = 0
        self.said: Any = Fetched(b"{}", 3600.0)

    def fetch(self, url: str, timeout_s: float) -> Fetched:
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        answer: Fetched = self.said
        return answer


async def settled(sets: KeySets, asked: int, issuer: Issuer) -> dict[str, Any]:
    await until(
        lambda: (
            issuer.asked >= asked
            and all(one.under_way is not None and one.under_way.done() for one in sets._sets.values())
        )
    )
    return sets.figures()[0]


def test_keys_are_handed_to_the_engine_and_kept(tmp_path: Path) -> None:
    async def story() -> None:
        issuer, engine = Issuer(), Engine()
        sets = KeySets(issuer.fetch)
        sets.in_force(engine, [Wanted(URL, 5)], str(tmp_path))
        told = await settled(sets, 1, issuer)
        assert (told["keys"], told["error"], told["unusable"]) == (2, "", ["key 1: too short"])
        assert engine.events == [f"set_keys {URL}"]
        assert kept_keys(str(tmp_path), URL) == "{}"
        sets.in_force(engine, [Wanted(URL, 5)], str(tmp_path))
        await asyncio.sleep(0)
        assert issuer.asked == 1, "a reload asks for nothing that is there"
        sets.in_force(engine, [], str(tmp_path))
        assert sets.figures() == []
        sets.stop()
        engine.close()

    asyncio.run(story())


def test_what_is_wrong_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sets, "BACKOFF_S", (0.0,))

    async def story() -> None:
        issuer, engine = Issuer(), Engine()
        issuer.said = Unfetched("it answers 500")
        sets = KeySets(issuer.fetch)
        sets.in_force(engine, [Wanted(URL, 5)], str(tmp_path))
        await until(lambda: issuer.asked >= 3)
        assert "it answers 500" in sets.figures()[0]["error"]
        assert sets.figures()[0]["failures"] >= 2
        assert set(engine.events) == {f"keys_failed {URL}"}
        issuer.said = Fetched(b"<html>", 60.0)
        await until(lambda: f"set_keys {URL}" in engine.events and "no JWK Set" in sets.figures()[0]["error"])
        assert kept_keys(str(tmp_path), URL) is None
        issuer.said = Fetched(b"{}", 3600.0)
        await until(lambda: sets.figures()[0]["keys"] == 2)
        assert sets.figures()[0]["error"] == ""
        sets.stop()
        engine.close()

    asyncio.run(story())


def test_questions_at_one_time_are_one_fetch() -> None:
    async def story() -> None:
        issuer, engine = Issuer(), Engine()
        sets = KeySets(issuer.fetch)
        sets.in_force(engine, [Wanted(URL, 5)], None)
        await settled(sets, 1, issuer)
        await asyncio.gather(*(sets.handle(Request(FakeCall(number, about=URL))) for number in range(20)))
        assert issuer.asked == 2
        await sets.handle(Request(FakeCall(99, about="https://nobody.example")))
        assert issuer.asked == 2
        sets.stop()
        engine.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("", 900),
        ("max-age=300", 300),
        ("public, MAX-AGE=7200, must-revalidate", 7200),
        ("max-age=1", 60),
        ("max-age=99999999", 86400),
        ("no-store", 60),
        ("no-cache, max-age=3000", 60),
        ("max-age=soon", 900),
    ],
)
def test_an_answer_holds_as_long_as_it_says_within_bounds(control: str, seconds: float) -> None:
    assert _holds_s(control) == seconds
