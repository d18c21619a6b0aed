"""What is done where a provider does not answer: other targets, other models, other credentials, later."""

from __future__ import annotations

import json
import time

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, begin, chunks, config, refusal, said, text_of, usage
from tests.support.providers import Gate, Raw, Script
from tests.support.waiting import until

HTML = b"<!doctype html><title>Sign in</title>"
CAUSES = {
    "rate_limited": Script(status=429),
    "down": Script(status=500),
    "context_too_long": Script(status=400, why="context"),
    "content_filter": Script(status=400, why="filter"),
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_another_model_is_asked_for_the_causes_it_is_there_for(
    run: Start, provide: Provide, cause: str, stream: bool
) -> None:
    first, second = provide("openai", m=CAUSES[cause]), provide("openai")
    models = {
        "m": {"targets": "a/m", "attempts": 1, "fallback": [{"model": "other", "on": [cause]}]},
        "n": {"targets": "a/m", "attempts": 1, "cooldown": "0", "fallback": [{"model": "other", "on": _others(cause)}]},
        "other": "b/plain",
    }
    gateway = run(config({"a": first, "b": second}, models))
    good = ask(gateway, "m", stream=stream)
    assert said(good, stream=stream) == "Hello from the tide."
    assert (good.fields.get("X-Tidegate-Model"), good.fields.get("X-Tidegate-Provider")) == ("other", "b")
    bad = ask(gateway, "n", stream=stream)
    assert bad.status >= 400, "a cause that nobody named leads nowhere"
    assert len(second.asked) == 1
    records = {row["model"]: row for row in usage(gateway, 2)}
    assert (records["m"]["fallbacks"], records["m"]["provider"]) == (1, "b")
    assert (records["n"]["fallbacks"], records["n"]["outcome"]) == (0, "error")


def _others(cause: str) -> list[str]:
    return [other for other in CAUSES if other != cause]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "broken",
    [
        Script(raw=Raw(HTML, "text/html", 502)),
        Script(raw=Raw(HTML, "text/html")),
        Script(raw=Raw(b"{", "application/json")),
        Script(raw=Raw(b"", "application/json")),
        Script(cut_at=0),
        Script(fail_at=0),
        Script(status=529),
    ],
    ids=["html-502", "html-200", "half-json", "nothing", "cut", "error-first", "529"],
)
def test_an_answer_that_is_none_leads_to_another_target(
    run: Start, provide: Provide, stream: bool, broken: Script
) -> None:
    first, second = provide("openai", m=broken), provide("anthropic")
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order"}}
    gateway = run(config({"a": first, "b": second}, models))
    assert said(ask(gateway, "m", stream=stream), stream=stream) == "Hello from the tide."
    expected = 2 if stream or broken.fail_at is None else 1  # only streams begin with an error behind a 200
    assert usage(gateway)[0]["attempts"] == expected


def test_a_provider_that_is_not_there_leads_to_another_target(run: Start, provide: Provide) -> None:
    first, second = provide("openai"), provide("openai")
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order"}}
    gateway = run(config({"a": first, "b": second}, models))
    first.close()
    assert said(ask(gateway, "m")) == "Hello from the tide."


@pytest.mark.parametrize("dialect", ASK)
def test_where_nobody_answers_the_client_is_told_in_its_dialect(run: Start, provide: Provide, dialect: str) -> None:
    provider = provide("openai", m=Script(status=500))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "attempts": 1, "cooldown": "0"}}))
    told = refusal(ask(gateway, "m", dialect=dialect), dialect)
    assert told["status"] in (500, 502, 503)
    provider.close()
    told = refusal(ask(gateway, "m", dialect=dialect), dialect)
    assert told["status"] == 502


def test_a_wrong_credential_of_the_gateway_is_not_the_client_s_fault(run: Start, provide: Provide) -> None:
    provider = provide("openai", m=Script(status=401))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "attempts": 1}}))
    told = refusal(ask(gateway, "m"))
    assert (told["status"], told["code"]) == (502, "provider_credential")


def test_what_the_provider_refuses_for_good_is_told_at_once(run: Start, provide: Provide) -> None:
    first, second = provide("openai", m=Script(status=400)), provide("openai")
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order"}}
    gateway = run(config({"a": first, "b": second}, models))
    told = refusal(ask(gateway, "m"))
    assert (told["status"], told["message"]) == (400, "This is not a request.")
    assert not second.asked


def test_a_provider_that_fails_once_is_asked_again_with_the_defaults(run: Start, provide: Provide) -> None:
    provider = provide("openai", m=[Script(status=500), Script()])
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "backoff": "10ms"}}))
    assert said(ask(gateway, "m")) == "Hello from the tide."
    assert len(provider.asked) == 2


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_a_retry_waits_as_long_as_retry_after_says(run: Start, provide: Provide, dialect: str) -> None:
    provider = provide(dialect, m=[Script(status=429, fields=("Retry-After: 1",)), Script()])
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "backoff": "1ms"}}))
    begun = time.monotonic()
    assert said(ask(gateway, "m")) == "Hello from the tide."
    assert time.monotonic() - begun >= 0.99


def test_a_retry_after_that_is_too_long_is_the_client_s_to_wait(run: Start, provide: Provide) -> None:
    provider = provide("openai", m=Script(status=429, fields=("Retry-After: 60",)))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "retry_after": "2s"}}))
    response = ask(gateway, "m")
    assert response.status == 429
    assert response.fields.get("Retry-After") == "60"
    assert len(provider.asked) == 1


def test_a_target_that_failed_is_left_out_while_it_cools_down(run: Start, provide: Provide) -> None:
    first, second = provide("openai", m=Script(status=429)), provide("openai")
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order", "cooldown": "500ms"}}
    gateway = run(config({"a": first, "b": second}, models))
    for _ in range(3):
        assert said(ask(gateway, "m")) == "Hello from the tide."
    assert len(first.asked) == 1

    def again() -> bool:
        assert ask(gateway, "m").status == 200
        return len(first.asked) == 2

    until(again, "it is asked again")


def test_where_all_targets_cool_down_one_of_them_is_asked_all_the_same(run: Start, provide: Provide) -> None:
    provider = provide("openai", m=[Script(status=500), Script()])
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "attempts": 1, "cooldown": "30s"}}))
    assert ask(gateway, "m").status >= 500
    assert said(ask(gateway, "m")) == "Hello from the tide."


def test_a_model_whose_targets_all_cool_down_leaves_its_calls_to_its_fallback(run: Start, provide: Provide) -> None:
    first, second = provide("openai", m=Script(status=500)), provide("openai")
    models = {"m": {"targets": "a/m", "attempts": 1, "cooldown": "30s", "fallback": ["other"]}, "other": "b/plain"}
    gateway = run(config({"a": first, "b": second}, models))
    for _ in range(3):
        assert said(ask(gateway, "m")) == "Hello from the tide."
    assert len(first.asked) == 1


def test_one_of_several_credentials_that_is_limited_leaves_the_others_to_work(run: Start, provide: Provide) -> None:
    keys = [f"provider-secret-{number}-0123456789" for number in range(3)]
    limited = f"Bearer {keys[0]}"
    provider = provide(
        "openai",
        keys=keys,
        m=lambda asked: Script(status=429) if asked.header("Authorization") == limited else Script(),
    )
    settings = config({"a": provider}, {"m": {"targets": "a/m", "attempts": 3}})
    del settings["ai"]["providers"]["a"]["api_key"]
    settings["ai"]["providers"]["a"]["credentials"] = [{"api_key": key} for key in keys]
    gateway = run(settings)
    for _ in range(24):
        assert said(ask(gateway, "m")) == "Hello from the tide."
    used = [asked.header("Authorization") for asked in provider.asked]
    assert used.count(limited) <= 1, "it cools down after its first refusal"
    assert set(used) >= {f"Bearer {key}" for key in keys[1:]}


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_without_a_first_token_in_time_is_left_for_another(
    run: Start, provide: Provide, stream: bool
) -> None:
    gate = Gate()
    first, second = provide("openai", m=Script(head_gate=gate)), provide("openai")
    slow = {"targets": "a/m", "attempts": 1, "timeouts": {"first_token": "150ms"}}
    models = {"m": {**slow, "fallback": [{"model": "other", "on": ["too_slow"]}]}, "other": "b/plain"}
    gateway = run(config({"a": first, "b": second}, models))
    assert said(ask(gateway, "m", stream=stream), stream=stream) == "Hello from the tide."
    until(lambda: first.asked[0].ended == "gone", "the slow one is given up")


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "bedrock", "ollama"])
def test_a_stream_that_stalls_before_its_first_token_is_another_s(run: Start, provide: Provide, dialect: str) -> None:
    gate = Gate()
    stalled = Script(stall_at=0 if dialect == "ollama" else 1, gate=gate)
    first, second = provide(dialect, m=stalled), provide("openai")
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order", "timeouts": {"first_token": "150ms"}}}
    gateway = run(config({"a": first, "b": second}, models))
    assert said(ask(gateway, "m", stream=True), stream=True) == "Hello from the tide."
    assert usage(gateway)[0]["attempts"] == 2


@pytest.mark.parametrize("dialect", ASK)
def test_a_stream_that_stalls_between_tokens_ends_in_an_error_of_the_client_s_dialect(
    run: Start, provide: Provide, dialect: str
) -> None:
    gate = Gate()
    provider = provide("openai", m=Script(stall_at=3, gate=gate))
    models = {"m": {"targets": "a/m", "timeouts": {"between_tokens": "150ms"}}}
    gateway = run(config({"a": provider}, models))
    response = ask(gateway, "m", dialect=dialect, stream=True)
    assert response.status == 200
    assert b"Hello" in response.body
    assert b"upstream_stalled" in response.body or b"stopped" in response.body or b"error" in response.body.lower()
    record = usage(gateway)[0]
    assert (record["outcome"], record["reason"]) == ("cut", "upstream_stalled")
    until(lambda: provider.asked[0].ended == "gone", "the provider is hung up on")


def test_a_request_goes_to_the_second_target_while_the_first_is_too_busy(run: Start, provide: Provide) -> None:
    gate = Gate()
    first, second = provide("openai", m=Script(stall_at=2, gate=gate)), provide("openai")
    own = {"provider": "a", "model": "m", "busy_calls": 1}
    models = {"m": {"targets": [own, "b/plain"], "balance": "order"}}
    gateway = run(config({"a": first, "b": second}, models))
    client = begin(gateway, "m")
    assert client.receive_head()[0] == 200
    assert ask(gateway, "m").fields.get("X-Tidegate-Provider") == "b"
    gate.open()
    assert text_of(b"".join(chunks(client.stream)), stream=True) == "Hello from the tide."
    until(lambda: ask(gateway, "m").fields.get("X-Tidegate-Provider") == "a", "the first has room again")


def test_weights_divide_calls_and_variants_stand_in_the_records(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    targets = [
        {"provider": "a", "model": "plain", "weight": 3, "variant": "old"},
        {"provider": "a", "model": "cached", "weight": 1, "variant": "new"},
        {"provider": "a", "model": "tool", "weight": 0},
    ]
    gateway = run(config({"a": provider}, {"m": {"targets": targets}, "s": {"targets": targets, "sticky": "key"}}))
    for _ in range(60):
        assert ask(gateway, "m").status == 200
    seen = [asked.model for asked in provider.asked]
    assert 25 <= seen.count("plain") < 60
    assert seen.count("plain") + seen.count("cached") == 60
    variants = {ask(gateway, "s").fields.get("X-Tidegate-Variant") for _ in range(8)}
    assert len(variants) == 1, "the same key always gets the same side"
    assert {row["variant"] for row in usage(gateway, 68)} == {"old", "new"}


def test_a_rule_sends_calls_to_another_model_by_header_tag_and_size(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    rules = [
        {"model": "by-header", "header": "X-Quality: high"},
        {"model": "by-tag", "tag": "batch"},
        {"model": "by-size", "min_tokens": 500},
    ]
    models = {"m": {"targets": "a/plain", "rules": rules}}
    models |= {name: {"targets": f"a/{name}"} for name in ("by-header", "by-tag", "by-size")}
    gateway = run(config({"a": provider}, models))
    assert ask(gateway, "m").fields.get("X-Tidegate-Model") == "m"
    assert ask(gateway, "m", headers={"X-Quality": "high"}).fields.get("X-Tidegate-Model") == "by-header"
    assert ask(gateway, "m", headers={"X-Tidegate-Tags": "a, batch"}).fields.get("X-Tidegate-Model") == "by-tag"
    assert ask(gateway, "m", "word " * 800).fields.get("X-Tidegate-Model") == "by-size"


def test_hedging_asks_a_second_target_and_records_what_the_loser_cost(run: Start, provide: Provide) -> None:
    gate = Gate()
    first, second = provide("openai", m=Script(head_gate=gate)), provide("openai")
    hedge = {"after": "50ms", "budget": "100%"}
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order", "hedge": hedge}}
    prices = {"a/m": {"input": 10, "output": 10}, "b/plain": {"input": 10, "output": 10}}
    gateway = run(config({"a": first, "b": second}, models, prices=prices))
    for stream in (False, True):
        assert said(ask(gateway, "m", stream=stream), stream=stream) == "Hello from the tide."
    until(lambda: all(asked.ended == "gone" for asked in first.asked), "the loser is hung up on")
    rows = usage(gateway, 4)
    losers = [row for row in rows if row["kind"] == "loser"]
    assert [row["provider"] for row in losers] == ["a", "a"]
    assert all(float(row["usd"]) > 0 and row["source"] == "estimated" for row in losers)
    assert [row["provider"] for row in rows if row["kind"] == "end"] == ["b", "b"]


def test_a_shadow_is_asked_the_same_and_only_its_usage_is_seen(run: Start, provide: Provide) -> None:
    first, second = provide("openai"), provide("anthropic")
    models = {"m": {"targets": "a/plain", "shadow": "candidate"}, "candidate": "b/cached"}
    gateway = run(config({"a": first, "b": second}, models))
    for stream in (False, True):
        assert said(ask(gateway, "m", "Is it so?", stream=stream), stream=stream) == "Hello from the tide."
    second.wait(2)
    assert "Is it so?" in json.dumps(second.asked[0].body["messages"])
    rows = usage(gateway, 4)
    shadows = [row for row in rows if row["kind"] == "shadow"]
    assert [(row["provider"], row["input"], row["cache_read"], row["output"]) for row in shadows] == [
        ("b", 5, 100, 3)
    ] * 2


def test_a_session_stays_with_its_target(run: Start, provide: Provide) -> None:
    one, two = provide("openai"), provide("openai")
    models = {"m": {"targets": ["a/plain", "b/plain"], "session": "X-Session-Id"}}
    gateway = run(config({"a": one, "b": two}, models))
    for session in ("s1", "s2", "s3", "s4", "s5", "s6"):
        told = {
            ask(gateway, "m", headers={"X-Session-Id": session}).fields.get("X-Tidegate-Provider") for _ in range(4)
        }
        assert len(told) == 1
    assert one.asked
    assert two.asked


def test_a_prompt_goes_where_its_beginning_was_served_last(run: Start, provide: Provide) -> None:
    one, two = provide("openai"), provide("openai")
    models = {"m": {"targets": ["a/plain", "b/plain"], "prefix_affinity": True}}
    gateway = run(config({"a": one, "b": two}, models))
    beginning = "You are a helpful assistant. " * 200
    served = [ask(gateway, "m", beginning + str(number)).fields.get("X-Tidegate-Provider") for number in range(8)]
    assert len(set(served)) == 1, served


def test_no_key_of_anybody_is_in_the_logs(start: Start, provide: Provide) -> None:
    first, second = provide("openai", m=Script(status=401)), provide("openai")
    models = {"m": {"targets": ["a/m", "b/plain"], "balance": "order"}}
    gateway = start(config({"a": first, "b": second}, models))
    assert ask(gateway, "m", "a private thought").status == 200
    assert ask(gateway, "m", key="wrong-secret-0123456789").status == 401
    gateway.records(2)
    written = gateway.log_file.read_text() + gateway.said.text + gateway.printed.text
    for secret in (KEY, "provider-secret", "wrong-secret", "private thought", "Hello from"):
        assert secret not in written
