"""What was served is what the ledger says: single records, sums, money, and what the command line prints of them."""

from __future__ import annotations

import json

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, config, usage
from tests.support.gateway import command
from tests.support.providers import DIALECTS, Script, Usage
from tests.support.waiting import until

PRICES = {"a/*": {"input": 3, "cache_read": 0.3, "cache_write": 3.75, "output": 15}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ASK)
def test_a_call_leaves_one_record_that_says_who_what_and_how_much(
    run: Start, provide: Provide, dialect: str, stream: bool
) -> None:
    told = Usage(input=100, cache_read=40, cache_write=20, output=50)
    provider = provide("anthropic", m=Script(usage=told))
    key = {"name": "ci", "key": KEY, "tenant": "acme", "team": "core", "user": "ann", "tags": ["fixed"]}
    gateway = run(config({"a": provider}, keys=[key], prices=PRICES))
    response = ask(gateway, "a-m", dialect=dialect, stream=stream, headers={"X-Tidegate-Tags": "mine"})
    assert response.status == 200
    (row,) = usage(gateway)
    expected = {
        "key": "ci",
        "tenant": "acme",
        "team": "core",
        "user": "ann",
        "client_dialect": dialect,
        "model": "a-m",
        "served": "m",
        "provider": "a",
        "status": 200,
        "outcome": "ok",
        "finish": "stop",
        "attempts": 1,
        "fallbacks": 0,
        "source": "reported",
        "input": 100,
        "cache_read": 40,
        "cache_write_5m": 20,
        "output": 50,
        "request_id": response.fields.get("X-Request-Id"),
    }
    assert {name: row[name] for name in expected} == expected
    assert float(row["usd"]) == pytest.approx((100 * 3 + 40 * 0.3 + 20 * 3.75 + 50 * 15) / 1e6, abs=1e-12)
    assert {"fixed", "mine"} <= set(row["tags"] if isinstance(row["tags"], list) else row["tags"].split(","))
    assert 0 <= row["queue_us"] <= row["first_token_us"] <= row["total_us"]


def test_sums_equal_what_the_providers_served(start: Start, provide: Provide) -> None:
    providers = {dialect: provide(dialect) for dialect in DIALECTS}
    prices = {f"{name}/*": {"input": 1, "output": 2} for name in providers}
    gateway = start(config(providers, prices=prices))
    calls = 0
    for name in providers:
        for stream in (False, True):
            for model in ("plain", "tools", "think", "limited"):
                ask(gateway, f"{name}-{model}", stream=stream)
                calls += 1
    usage(gateway, calls)
    printed = command(gateway.folder, "usage", "--by", "provider", "--format", "json", "-c", str(gateway.file))
    assert printed.returncode == 0, printed.stderr
    sums = {row["provider"]: row for row in json.loads(printed.stdout)}
    for name in providers:
        assert (sums[name]["input"], sums[name]["output"] + sums[name].get("reasoning", 0)) == (66, 42), name
        assert float(sums[name]["usd"]) == pytest.approx((66 + 2 * 42) / 1e6, abs=1e-12)
    table = command(gateway.folder, "usage", "--by", "key,model,day", "-c", str(gateway.file))
    assert "tester" in table.stdout
    records = command(gateway.folder, "usage", "--records", "--format", "csv", "-c", str(gateway.file))
    assert len(records.stdout.splitlines()) == calls + 1


def test_a_price_that_nobody_knows_is_said_to_be_unknown(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}))
    assert ask(gateway, "a-plain").status == 200
    assert usage(gateway)[0]["usd"] is None


def test_records_outlive_a_kill_and_budgets_know_what_was_spent_before_it(start: Start, provide: Provide) -> None:
    key = {"name": "k", "key": KEY, "budget": {"usd": 0.002, "per": "month"}}
    model = {"targets": "a/plain", "expected_output": 1}
    settings = config({"a": provide("openai")}, {"m": model}, keys=[key], prices={"a/*": {"input": 1, "output": 100}})
    first = start(settings)
    for _ in range(2):
        assert ask(first, "m", max_tokens=1).status == 200  # 0.000711 each
    # An answer is out before its record is written; what is killed in between is booked as lost.
    until(lambda: first.metrics().sum("tidegate_ai_calls_total") == 2, "both calls are recorded")
    first.kill()
    second = start(settings, folder=first.folder)
    second.since = first.since
    assert len(usage(second, 2)) == 2
    statuses = [ask(second, "m", max_tokens=1).status for _ in range(3)]
    assert statuses[-1] == 429, statuses
    assert len([status for status in statuses if status == 200]) <= 1


def test_prompts_and_answers_are_recorded_only_where_that_is_wanted(start: Start, provide: Provide) -> None:
    secret = "card 4111 1111 1111 1111"
    for wanted, prompt in (("off", None), ("redacted", "card [CARD]"), ("full", secret)):
        gateway = start(config({"a": provide("openai")}, log_content=wanted))
        for stream in (False, True):
            assert ask(gateway, "a-plain", secret, stream=stream).status == 200
        usage(gateway, 2)
        journal = b"".join(path.read_bytes() for path in gateway.state.rglob("*") if path.is_file())
        assert (secret.encode() in journal) == (wanted == "full"), wanted
        if prompt:
            assert prompt.encode() in journal
            assert b"Hello from the tide." in journal
        else:
            assert b"Hello from the tide." not in journal


def test_metrics_count_tokens_and_money_by_model_and_provider(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}, prices={"a/*": {"input": 1, "output": 1}}))
    for stream in (False, True):
        assert ask(gateway, "a-cached", stream=stream).status == 200
    text = gateway.admin("/metrics").body.decode()
    tokens = [line for line in text.splitlines() if "token" in line and "a-*" in line and not line.startswith("#")]
    assert tokens, "\n".join(line for line in text.splitlines() if "ai" in line)[:3000]
