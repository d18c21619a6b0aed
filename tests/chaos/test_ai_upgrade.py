"""Upgraded while spending: every call is booked once, and the new process's budgets know of the old one's calls."""

from __future__ import annotations

import json
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.test_ai_kill import COST, PICO, TOLD, Spender, agree, settings
from tests.chaos.test_upgrade import running, upgraded
from tests.conftest import Provide, Start
from tests.support.ai import KEY, bearing, openai, usage
from tests.support.providers import Script
from tests.support.waiting import dawdle, until

UPGRADES = 4


@pytest.mark.timeout(200)
def test_upgrades_while_spending_book_every_call_once_and_keep_budgets_exact(
    start: Start, provide: Provide, tmp_path: Path
) -> None:
    provider = provide("openai", m=Script(usage=TOLD))
    gateway = start(settings(provider))
    spender = Spender(0)
    pid = gateway.pid
    for _ in range(UPGRADES):
        threads = spender.spend(gateway.address)
        dawdle(0.2)
        os.kill(pid, signal.SIGUSR2)
        pid = upgraded(gateway, pid)
        for thread in threads:
            thread.join(20)  # its connection ends with the old process
        until(lambda: gateway.status()["predecessor"]["draining"] is False, "the old one to end", 20)
    gateway.since = 0
    assert not spender.refused, spender.refused[:3]
    assert len(spender.served) > 20 * UPGRADES
    spent = agree(gateway, spender)
    in_memory_too(gateway, provider, spent)
    assert running(gateway) == pid


def in_memory_too(gateway: Any, provider: Any, spent: int) -> None:
    """What the process itself holds against a budget is what the ledger says, to the picodollar."""
    path, body = openai("m")
    content = json.dumps({**body, "max_tokens": 20}).encode()
    headers = {"Content-Type": "application/json", "X-Tidegate-Tags": "last", **bearing(KEY)}

    def ask() -> Any:
        with gateway.client() as client:
            return client.request("POST", path, headers, content)

    def limited(picodollars: int) -> None:
        gateway.write(settings(provider, Decimal(picodollars) / PICO))
        assert gateway.control("/reload", "POST").status == 200

    assert ask().status == 200
    (record,) = [row for row in usage(gateway) if row["tags"] == ["last"]]
    spent += COST
    reserved = int(Decimal(record["reserved_usd"]) * PICO)
    limited(spent + reserved - 1)
    assert ask().status == 429
    limited(spent + reserved)
    assert ask().status == 200
