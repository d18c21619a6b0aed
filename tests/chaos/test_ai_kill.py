"""Killed at any moment while spending: what was served is booked once, what was lost as reserved, and sums agree."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import KEY, bearing, config, openai, usage
from tests.support.client import Client, message
from tests.support.gateway import Tidegate
from tests.support.http import Cut, Ended, Malformed
from tests.support.providers import Provider, Script, Usage
from tests.support.waiting import dawdle

KILLS = 50
LANES = 2
"""Gateways side by side, each killed its share of times: one starts while the other one spends."""
CLIENTS = 6
MOST_S = 0.25
"""The longest that a gateway spends before it is killed."""
TOLD = Usage(input=100, output=7)
PICO = 10**12
COST = 100 * 1_000_000 + 7 * 2_000_000
"""Of one call, in picodollars: a dollar for a million of input tokens, two for output."""


class Spender:
    """Clients of one lane: each call bears a tag of its own, by which its record is found."""

    def __init__(self, lane: int) -> None:
        self._lane = lane
        self._lock = threading.Lock()
        self._count = 0
        self.sent: set[str] = set()
        self.served: set[str] = set()
        self.refused: list[str] = []

    def spend(self, address: str) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._ask, args=(address, number % 2 == 0)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def _ask(self, address: str, stream: bool) -> None:
        """Asks until the gateway is gone."""
        path, body = openai("m", stream=stream)
        content = json.dumps({**body, "max_tokens": 20}).encode()
        try:
            with Client(address) as client:
                while True:
                    with self._lock:
                        self._count += 1
                        tag = f"{self._lane}-{self._count}"
                        self.sent.add(tag)
                    headers = {"Content-Type": "application/json", "X-Tidegate-Tags": tag, **bearing(KEY)}
                    client.send(message("POST", path, headers, content))
                    response = client.receive("POST")
                    with self._lock:
                        if response.status == 200:
                            self.served.add(tag)
                        else:
                            self.refused.append(response.body.decode())
        except (OSError, Ended, Cut, Malformed):
            return


def settings(provider: Provider, budget: Decimal = Decimal(1000)) -> dict[str, Any]:
    provider_config = {**provider.config, "price": {"input": 1, "output": 2}}
    key = {"name": "tester", "key": KEY, "tenant": "acme", "budget": {"usd": f"{budget:.12f}", "per": "ever"}}
    told = config({"a": provider}, {"m": {"targets": "a/m"}}, keys=[key])
    told["ai"]["providers"]["a"] = provider_config
    return {**told, "workers": 2}


@pytest.mark.timeout(400)
def test_fifty_kills_while_spending_lose_nothing_and_book_nothing_twice(
    start: Start, provide: Provide, tmp_path: Path
) -> None:
    provider = provide("openai", m=Script(usage=TOLD))

    def lane(number: int) -> tuple[Tidegate, Spender]:
        chance = random.Random(number)
        spender = Spender(number)
        folder = tmp_path / f"lane{number}"
        for _ in range(KILLS // LANES):
            gateway = start(settings(provider), folder=folder)
            threads = spender.spend(gateway.address)
            dawdle(chance.random() * MOST_S)
            gateway.kill()
            for thread in threads:
                thread.join()
        return start(settings(provider), folder=folder), spender

    with ThreadPoolExecutor(LANES) as pool:
        lanes = list(pool.map(lane, range(LANES)))
    for gateway, spender in lanes:
        assert not spender.refused, spender.refused[:3]
        assert len(spender.served) > KILLS, "too little was spent to say anything"
        spent = agree(gateway, spender)
        budget_is_exact(gateway, provider, spent)


def agree(gateway: Tidegate, spender: Spender) -> int:
    """Records, what clients saw, and sums say the same; what was spent, in picodollars."""
    gateway.since = 0  # also of those that were killed
    records = usage(gateway, len(spender.served))
    tags = Counter(tag for record in records for tag in record["tags"])
    assert not [tag for tag, count in tags.items() if count > 1], "a call is booked twice"
    assert not set(tags) - spender.sent
    assert not spender.served - set(tags), "a call was served and is not booked"
    assert len({record["id"] for record in records}) == len(records) == len(tags)
    total = 0
    for record in records:
        cost = int(Decimal(record["usd"]) * PICO)
        total += cost
        if record["outcome"] == "lost":
            # Also of a call whose answer was sent, where the end came between its last byte and its record.
            assert cost == int(Decimal(record["reserved_usd"]) * PICO) > 0, record
        elif record["tags"][0] in spender.served:
            assert (record["outcome"], cost) == ("ok", COST), record
        else:
            assert record["outcome"] in ("ok", "client_gone", "cut"), record
            assert cost > 0, record
    lost = sum(record["outcome"] == "lost" for record in records)
    assert lost <= (KILLS // LANES) * CLIENTS
    for by in ("key", "model", "day", "outcome", "tag"):
        rows = gateway.control(f"/ai/usage?format=json&by={by}").json()
        assert sum(Decimal(row["usd"]) for row in rows) * PICO == total, by
        assert sum(row["requests"] for row in rows) == len(records), by
    return total


def budget_is_exact(gateway: Tidegate, provider: Provider, spent: int) -> None:
    """After a restart a budget has what records say: a call more fits if its reservation does, to the picodollar."""
    path, body = openai("m")
    content = json.dumps({**body, "max_tokens": 20}).encode()
    headers = {"Content-Type": "application/json", "X-Tidegate-Tags": "last", **bearing(KEY)}

    def ask() -> Any:
        with gateway.client() as client:
            return client.request("POST", path, headers, content)

    def limited(picodollars: int) -> None:
        assert "generation" in gateway.reload(settings(provider, Decimal(picodollars) / PICO))

    assert ask().status == 200
    (record,) = [row for row in usage(gateway) if row["tags"] == ["last"]]
    spent += COST
    reserved = int(Decimal(record["reserved_usd"]) * PICO)
    gateway.kill()
    gateway.__init__(gateway.folder, settings(provider, Decimal(spent + reserved - 1) / PICO))  # type: ignore[misc]
    gateway.ready()
    assert ask().status == 429
    limited(spent + reserved)
    assert ask().status == 200
