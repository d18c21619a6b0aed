"""Answers that serve more than one call: kept ones, and those on their way that identical calls join."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, begin, chunks, config, post, said, text_of, usage
from tests.support.providers import DIALECTS, Gate, Script
from tests.support.providers.wording import vector
from tests.support.waiting import until

OTHER = "other-secret-0123456789"
STRANGER = "stranger-secret-0123456789"
BOUNDED: dict[str, dict[str, Any]] = {
    "openai": {"max_tokens": 256},
    "responses": {"max_output_tokens": 256},
    "anthropic": {},
    "gemini": {"generationConfig": {"maxOutputTokens": 256}},
    "bedrock": {"inferenceConfig": {"maxTokens": 256}},
    "cohere": {"max_tokens": 256},
    "ollama": {"options": {"num_predict": 256}},
}
"""How each dialect asks for the same length."""

CACHED = {"targets": "a/plain", "cache": {"ttl": "1h"}}


@pytest.mark.parametrize("stream", [False, True])
def test_a_kept_answer_is_replayed_to_every_dialect_whole_and_as_a_stream(
    run: Start, provide: Provide, stream: bool
) -> None:
    providers = {name: provide(name) for name in DIALECTS}
    models = {name: {"targets": f"{name}/plain", "cache": {"ttl": "1h"}} for name in providers}
    gateway = run(config(providers, models))
    for name, provider in providers.items():
        # Anthropic's clients have to say how long the answer may be, so the first one does too.
        first = ask(gateway, name, stream=stream, max_tokens=256)
        assert first.fields.get("X-Tidegate-Cache") == "miss"
        for dialect in ASK:
            for again in (False, True):
                response = ask(gateway, name, dialect=dialect, stream=again, **BOUNDED[dialect])
                assert said(response, dialect, stream=again) == "Hello from the tide.", (name, dialect)
                assert response.fields.get("X-Tidegate-Cache") == "hit", (name, dialect)
        assert len(provider.asked) == 1


def test_a_hit_costs_nothing_and_is_recorded_as_one(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}, {"m": CACHED}, prices={"a/*": {"input": 1, "output": 1}}))
    for _ in range(3):
        assert ask(gateway, "m").status == 200
    rows = usage(gateway, 3)
    assert [row["cache"] for row in rows] == ["miss", "hit", "hit"]
    assert float(rows[0]["usd"]) > 0
    assert [float(row["usd"]) for row in rows[1:]] == [0, 0]
    assert [row["attempts"] for row in rows] == [1, 0, 0]


def test_answers_are_kept_for_each_tenant_apart_unless_they_are_shared(run: Start, provide: Provide) -> None:
    keys = [
        {"name": "one", "key": KEY, "tenant": "acme"},
        {"name": "two", "key": OTHER, "tenant": "acme"},
        {"name": "three", "key": STRANGER, "tenant": "rival"},
    ]
    provider = provide("openai")
    models = {"own": CACHED, "common": {"targets": "a/plain", "cache": {"ttl": "1h", "shared": True}}}
    gateway = run(config({"a": provider}, models, keys=keys))

    def state(model: str, key: str) -> str | None:
        return ask(gateway, model, key=key).fields.get("X-Tidegate-Cache")

    assert [state("own", key) for key in (KEY, OTHER, STRANGER)] == ["miss", "hit", "miss"]
    assert [state("common", key) for key in (KEY, OTHER, STRANGER)] == ["miss", "hit", "hit"]


def test_a_key_that_is_called_like_a_tenant_does_not_see_its_answers(run: Start, provide: Provide) -> None:
    keys = [{"name": "one", "key": KEY, "tenant": "acme"}, {"name": "acme", "key": STRANGER}]
    gateway = run(config({"a": provide("openai")}, {"m": CACHED}, keys=keys))
    told = [ask(gateway, "m", key=key).fields.get("X-Tidegate-Cache") for key in (KEY, STRANGER)]
    assert told == ["miss", "miss"]


def test_what_differs_in_meaning_is_another_answer_and_what_does_not_is_the_same(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}, {"m": CACHED}))

    def state(text: str = "Q", **more: Any) -> str | None:
        return ask(gateway, "m", text, **more).fields.get("X-Tidegate-Cache")

    assert state() == "miss"
    assert state(user="somebody") == "hit"
    assert state(stream=True) == "hit"
    assert state("Q ") == "miss"
    assert state(temperature=0) == "miss"
    assert state(max_tokens=5) == "miss"
    assert state(brand_new=True) == "miss"


def test_calls_with_tools_or_a_high_temperature_are_not_kept_unless_that_is_wanted(
    run: Start, provide: Provide
) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    models = {
        "careful": {"targets": "a/plain", "cache": {"ttl": "1h", "max_temperature": 0.2}},
        "all": {"targets": "a/plain", "cache": {"ttl": "1h", "tools": True}},
    }
    gateway = run(config({"a": provide("openai")}, models))

    def states(model: str, **more: Any) -> list[str | None]:
        return [ask(gateway, model, **more).fields.get("X-Tidegate-Cache") for _ in range(2)]

    assert states("careful", temperature=1) == ["bypass", "bypass"]
    assert states("careful", temperature=0) == ["miss", "hit"]
    assert states("careful", temperature=0, tools=[tool]) == ["bypass", "bypass"]
    assert states("all", tools=[tool]) == ["miss", "hit"]


def test_a_client_may_ask_for_an_answer_of_its_own(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}, {"m": CACHED}))

    def state(control: str | None = None) -> str | None:
        headers = {"Cache-Control": control} if control else {}
        return ask(gateway, "m", headers=headers).fields.get("X-Tidegate-Cache")

    told = [state(), state("no-cache"), state(), state("no-store"), state()]
    assert told == ["miss", "miss", "hit", "bypass", "hit"]
    assert len(provider.asked) == 3


@pytest.mark.parametrize(
    "script", [Script(status=500), Script(cut_at=4), Script(fail_at=4), Script(finish="content_filter")]
)
def test_what_did_not_end_well_is_not_kept(run: Start, provide: Provide, script: Script) -> None:
    provider = provide("openai", m=[script, Script()])
    model = {"targets": "a/m", "attempts": 1, "cooldown": "0", "cache": {"ttl": "1h"}}
    gateway = run(config({"a": provider}, {"m": model}))
    ask(gateway, "m", stream=True)
    again = ask(gateway, "m", stream=True)
    assert said(again, stream=True) == "Hello from the tide."
    assert again.fields.get("X-Tidegate-Cache") == "miss"


def test_an_answer_is_forgotten_when_its_time_is_over(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}, {"m": {"targets": "a/plain", "cache": {"ttl": "300ms"}}}))
    assert ask(gateway, "m").fields.get("X-Tidegate-Cache") == "miss"
    assert ask(gateway, "m").fields.get("X-Tidegate-Cache") == "hit"
    until(lambda: ask(gateway, "m").fields.get("X-Tidegate-Cache") == "miss", "it is forgotten")


@pytest.mark.parametrize("stream", [False, True])
def test_fifty_identical_calls_are_one_at_the_provider(run: Start, provide: Provide, stream: bool) -> None:
    gate = Gate()
    provider = provide("openai", m=Script(head_gate=gate))
    models = {"m": {"targets": "a/m", "deduplicate": True}}
    gateway = run(config({"a": provider}, models, prices={"a/*": {"input": 1, "output": 1}}))
    dialects = ["openai", "gemini", "ollama", "cohere", "bedrock"]
    with ThreadPoolExecutor(50) as pool:
        calls = [
            (dialects[number % 5], pool.submit(ask, gateway, "m", dialect=dialects[number % 5], stream=stream))
            for number in range(50)
        ]
        provider.wait(1)
        until(lambda: gateway.connections() >= 50, "all have come")
        gate.open()
        for dialect, called in calls:
            assert said(called.result(), dialect, stream=stream) == "Hello from the tide."
    assert len(provider.asked) == 1
    rows = usage(gateway, 50)
    assert sorted(row["cache"] for row in rows).count("joined") == 49
    assert sum(float(row["usd"]) > 0 for row in rows) == 1, "one of them is paid for"


def test_whoever_joins_late_gets_what_was_said_already_and_the_rest_as_it_comes(run: Start, provide: Provide) -> None:
    gate = Gate()
    provider = provide("anthropic", m=Script(text=("One ", "two ", "three."), stall_at=5, gate=gate))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "deduplicate": True}}))
    first = begin(gateway, "m")
    assert first.receive_head()[0] == 200
    late = begin(gateway, "m")
    assert late.receive_head()[0] == 200
    body, pieces = b"", iter(chunks(late.stream))
    while b"two " not in body:
        body += next(pieces)
    assert b"three." not in body
    gate.open()
    body += b"".join(pieces)
    assert text_of(body, stream=True) == "One two three."
    assert text_of(b"".join(chunks(first.stream)), stream=True) == "One two three."
    assert len(provider.asked) == 1


def test_those_who_joined_get_everything_when_the_first_one_leaves(run: Start, provide: Provide) -> None:
    gate = Gate()
    words = tuple(f"word{number} " for number in range(4000))  # more than is read at once
    provider = provide("openai", m=Script(text=words, stall_at=3, gate=gate))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "deduplicate": True}}))
    first = begin(gateway, "m")
    first.receive_head()
    late = begin(gateway, "m")
    late.receive_head()
    first.reset()
    gate.open()
    assert text_of(b"".join(chunks(late.stream)), stream=True) == "".join(words)
    assert len(provider.asked) == 1


def test_those_who_joined_a_call_that_fails_ask_for_themselves(run: Start, provide: Provide) -> None:
    gate = Gate()
    provider = provide("openai", m=[Script(head_gate=gate, status=400), Script()])
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "deduplicate": True}}))
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(ask, gateway, "m") for _ in range(5)]
        until(lambda: gateway.connections() >= 5, "all have come")
        gate.open()
        statuses = sorted(call.result().status for call in calls)
    assert statuses == [200, 200, 200, 200, 400]


def test_different_calls_do_not_join(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}, {"m": {"targets": "a/plain", "deduplicate": True}}))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask(gateway, "m", f"question {number}"), range(8)))
    assert len(provider.asked) == 8


def test_small_embedding_calls_become_one_and_each_gets_its_own_vectors(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    batch = {"window": "150ms", "inputs": 64}
    models = {"m": {"targets": "a/plain", "batch": batch}}
    gateway = run(config({"a": provider}, models))
    inputs = [[f"text {number}", f"more {number}"] for number in range(8)]

    def embed(texts: list[str]) -> Any:
        response = post(gateway, "/v1/embeddings", {"model": "m", "input": texts})
        assert response.status == 200, response.body
        return [one["embedding"] for one in response.json()["data"]]

    with ThreadPoolExecutor(8) as pool:
        for texts, vectors in zip(inputs, pool.map(embed, inputs), strict=True):
            assert vectors == [vector(text) for text in texts]
    assert len(provider.asked) < 8
    rows = usage(gateway, 8)
    assert sum(row["input"] for row in rows) == 11 * 16, "the provider's usage is divided, and none of it is lost"
