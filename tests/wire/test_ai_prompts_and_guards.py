"""Prompts as APIs, and guards over what is asked and answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, bearing, config, post, refusal, said, usage
from tests.support.client import once
from tests.support.providers import DIALECTS, Call, Provider, Script
from tests.support.providers.script import Asked

CARD, MAIL = "4111 1111 1111 1111", "ann.example@tide.example"

SUMMARIZE = {
    "model": "m",
    "template": "Summarize in {{ words }} words: {{ text }}",
    "system": "You are terse.",
    "input": {
        "type": "object",
        "required": ["text"],
        "properties": {"text": {"type": "string"}, "words": {"type": "integer", "default": 5}},
    },
    "parameters": {"temperature": 0},
}


def test_a_prompt_is_an_api_with_plain_json_in_and_out(run: Start, provide: Provide) -> None:
    providers = {name: provide(name) for name in DIALECTS}
    models = {name: f"{name}/plain" for name in providers}
    prompts = {f"by-{name}": {**SUMMARIZE, "model": name} for name in providers}
    gateway = run(config(providers, models, prompts=prompts))
    for name, provider in providers.items():
        response = post(gateway, f"/prompts/by-{name}", {"text": "A tide is a {{ wave }}.", "words": 3})
        assert response.status == 200, (name, response.body)
        assert "Hello from the tide." in json.dumps(response.json())
        asked = json.dumps(provider.last().body)
        assert "Summarize in 3 words: A tide is a {{ wave }}." in asked
        assert "You are terse." in asked
    for record in usage(gateway, len(providers)):
        assert record["prompt"].startswith("by-")
        assert (record["input"], record["output"], record["surface"]) == (11, 7, "prompts")


def test_inputs_that_do_not_fit_the_schema_are_refused(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}, {"m": "a/plain"}, prompts={"summarize": SUMMARIZE}))
    wrong: list[Any] = [{}, {"text": 5}, [], "text", b"{"]
    for body in wrong:
        assert refusal(post(gateway, "/prompts/summarize", body))["status"] == 400, body
    assert refusal(post(gateway, "/prompts/nothing", {}))["status"] == 404
    assert not provider.asked


def test_an_answer_that_does_not_fit_the_output_s_schema_is_no_answer(run: Start, provide: Provide) -> None:
    output = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    prompt = {"model": "m", "template": "Name {{ it }}", "output": output}
    good, bad = Script(text=('{"title":', ' "Tide"}')), Script(text=("no", " JSON"))
    provider = provide("openai", x=[good, bad])
    gateway = run(config({"a": provider}, {"m": "a/x"}, prompts={"name": prompt}))
    assert post(gateway, "/prompts/name", {"it": "this"}).json() == {"title": "Tide"}
    assert provider.last().body["response_format"]["json_schema"]["schema"] == output
    assert refusal(post(gateway, "/prompts/name", {"it": "this"}))["code"] == "bad_output"


def test_a_version_of_a_prompt_may_be_pinned(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    versions = {"1": {"template": "Old: {{ x }}"}, "2": {"template": "New: {{ x }}"}}
    gateway = run(config({"a": provider}, {"m": "a/plain"}, prompts={"p": {"model": "m", "versions": versions}}))
    assert post(gateway, "/prompts/p", {"x": 1}).status == 200
    assert "New: 1" in json.dumps(provider.last().body)
    assert post(gateway, "/prompts/p", {"x": 1}, headers={"X-Tidegate-Prompt-Version": "1"}).status == 200
    assert "Old: 1" in json.dumps(provider.last().body)
    assert refusal(post(gateway, "/prompts/p", {"x": 1}, headers={"X-Tidegate-Prompt-Version": "9"}))["status"] == 404


def test_prompts_stand_in_an_openapi_document(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}, {"m": "a/plain"}, prompts={"summarize": SUMMARIZE}))
    document = once(gateway.address, "GET", "/openapi.json", bearing(KEY)).json()
    assert document["openapi"].startswith("3.1")
    assert any("summarize" in path for path in document["paths"])


def guarded(providers: dict[str, Provider], guards: Any, models: Any = None) -> dict[str, Any]:
    """A configuration whose one route has these guards."""
    settings = config(providers, models)
    settings["routes"][0]["ai"] = {"guards": guards}
    return settings


@pytest.mark.parametrize("dialect", ASK)
def test_a_guard_that_blocks_refuses_the_call_in_the_client_s_dialect(
    run: Start, provide: Provide, dialect: str
) -> None:
    provider = provide("openai")
    gateway = run(guarded({"a": provider}, [{"keywords": ["falcon"], "name": "secrets"}]))
    told = refusal(ask(gateway, "a-plain", "What of Falcon?", dialect=dialect), dialect)
    assert told["status"] == 400
    assert "secrets" in told["message"]
    assert not provider.asked
    assert ask(gateway, "a-plain", "What of falconry?", dialect=dialect).status == 200
    rows = usage(gateway, 2)
    assert [row["status"] for row in rows] == [400, 200]


def test_personal_data_is_masked_before_it_leaves(run: Start, provide: Provide) -> None:
    providers = {name: provide(name) for name in DIALECTS}
    gateway = run(guarded(providers, [{"pii": ["card", "email"], "action": "mask"}]))
    for name, provider in providers.items():
        assert said(ask(gateway, f"{name}-plain", f"Charge {CARD}, tell {MAIL}.")) == "Hello from the tide."
        asked = json.dumps(provider.last().body)
        assert CARD not in asked
        assert MAIL not in asked
        assert "Charge [CARD], tell [EMAIL]." in asked


@pytest.mark.parametrize("dialect", ASK)
def test_what_was_masked_comes_back_in_the_answer_wherever_it_is_cut(
    run: Start, provide: Provide, dialect: str
) -> None:
    script = Script(text=("I told [EM", "AIL_1", "] of [", "CARD_1] and ", "[EMAIL_2]."))
    providers = {name: provide(name, m=script) for name in DIALECTS}
    gateway = run(guarded(providers, [{"pii": ["card", "email"], "action": "restore"}]))
    for name, provider in providers.items():
        for stream in (False, True):
            response = ask(gateway, f"{name}-m", f"Tell {MAIL} of {CARD}.", dialect=dialect, stream=stream)
            expected = f"I told {MAIL} of {CARD} and [EMAIL_2]."
            assert said(response, dialect, stream=stream) == expected, (name, stream)
            assert "Tell [EMAIL_1] of [CARD_1]." in json.dumps(provider.last().body)


def test_what_was_masked_comes_back_in_the_arguments_of_tools(run: Start, provide: Provide) -> None:
    script = Script(text=(), calls=(Call(name="mail", arguments={"to": "[EMAIL_1]"}),))
    gateway = run(guarded({"a": provide("anthropic", m=script)}, [{"pii": ["email"], "action": "restore"}]))
    tool = {"type": "function", "function": {"name": "mail", "parameters": {"type": "object"}}}
    response = ask(gateway, "a-m", f"Tell {MAIL}.", tools=[tool])
    call = response.json()["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"to": MAIL}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_an_answer_is_masked_on_its_way(run: Start, provide: Provide, dialect: str, stream: bool) -> None:
    script = Script(text=("Write to ann.exam", "ple@tide.ex", "ample, or ", "not."))
    guards = [{"pii": ["email"], "action": "mask", "scope": "response"}]
    gateway = run(guarded({"a": provide("openai", m=script)}, guards))
    response = ask(gateway, "a-m", f"Is {MAIL} right?", dialect=dialect, stream=stream)
    assert said(response, dialect, stream=stream) == "Write to [EMAIL], or not."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ASK)
def test_an_answer_that_may_not_be_said_is_cut_off_or_refused(
    run: Start, provide: Provide, dialect: str, stream: bool
) -> None:
    script = Script(text=("The name is ", "proj", "ect fal", "con", ", and more", " of it."))
    guards = [{"keywords": ["project falcon"], "scope": "response", "name": "names"}]
    gateway = run(guarded({"a": provide("openai", m=script)}, guards))
    response = ask(gateway, "a-m", dialect=dialect, stream=stream)
    assert b"falcon" not in response.body
    assert b"of it" not in response.body
    if not stream:
        assert refusal(response, dialect)["status"] >= 400
    record = usage(gateway)[0]
    assert record["reason"] == "guard_blocked"
    assert record["output"] > 0, "it was made all the same, and is paid for"


def test_a_key_has_guards_of_its_own(run: Start, provide: Provide) -> None:
    keys = [{"name": "k", "key": KEY, "guards": [{"regex": "[A-Z]{3}-[0-9]{6}", "action": "mask", "name": "orders"}]}]
    provider = provide("openai")
    gateway = run(config({"a": provider}, keys=keys))
    assert ask(gateway, "a-plain", "Where is ABC-123456?").status == 200
    assert "ABC-123456" not in json.dumps(provider.last().body)


def test_texts_that_become_vectors_are_guarded_too(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(guarded({"a": provider}, [{"pii": ["email"], "action": "mask"}]))
    response = post(gateway, "/v1/embeddings", {"model": "a-plain", "input": [f"Tell {MAIL}.", "Nobody"]})
    assert response.status == 200
    assert provider.last().body["input"] == ["Tell [EMAIL].", "Nobody"]


def test_two_people_with_the_same_placeholder_do_not_see_each_other_s_data(run: Start, provide: Provide) -> None:
    def answer(asked: Asked) -> Script:
        return Script(text=("Told ", "[EMAIL_1]."))

    provider = provide("openai", m=answer)
    models = {"m": {"targets": "a/m", "cache": {"ttl": "1h"}, "deduplicate": True}}
    gateway = run(guarded({"a": provider}, [{"pii": ["email"], "action": "restore"}], models))
    for person in ("ann@tide.example", "bob@tide.example"):
        for stream in (False, True):
            response = ask(gateway, "m", f"Tell {person}.", stream=stream)
            assert said(response, stream=stream) == f"Told {person}."
