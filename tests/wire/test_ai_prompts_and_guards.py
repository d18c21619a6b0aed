"""Prompts as APIs, and guards over what is asked and answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, bearing, config, post, refusal, said, usage
from tests.support.client import once
from tests.support.providers import DIALECTS, Script
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


@pytest.mark.parametrize("provider_dialect", DIALECTS)
def test_a_prompt_is_an_api_with_plain_json_in_and_out(
    start: Start, provide: Provide, provider_dialect: str
) -> None:
    provider = provide(provider_dialect)
    gateway = start(config({"a": provider}, {"m": "a/plain"}, prompts={"summarize": SUMMARIZE}))
    response = post(gateway, "/prompts/summarize", {"text": "A tide is a {{ wave }}.", "words": 3})
    assert response.status == 200, response.body
    assert "Hello from the tide." in json.dumps(response.json())
    asked = json.dumps(provider.last().body)
    assert "Summarize in 3 words: A tide is a {{ wave }}." in asked
    assert "You are terse." in asked
    record = usage(gateway)[0]
    assert record["prompt"].startswith("summarize")
    assert (record["input"], record["output"], record["surface"]) == (11, 7, "prompts")


def test_inputs_that_do_not_fit_the_schema_are_refused(start: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = start(config({"a": provider}, {"m": "a/plain"}, prompts={"summarize": SUMMARIZE}))
    for body in ({}, {"text": 5}, [], "text", b"{"):
        assert refusal(post(gateway, "/prompts/summarize", body))["status"] == 400, body
    assert refusal(post(gateway, "/prompts/nothing", {}))["status"] == 404
    assert not provider.asked


def test_an_answer_that_does_not_fit_the_output_s_schema_is_no_answer(start: Start, provide: Provide) -> None:
    output = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    prompt = {"model": "m", "template": "Name {{ it }}", "output": output}
    good, bad = Script(text=('{"title":', ' "Tide"}')), Script(text=("no", " JSON"))
    provider = provide("openai", x=[good, bad])
    gateway = start(config({"a": provider}, {"m": "a/x"}, prompts={"name": prompt}))
    assert post(gateway, "/prompts/name", {"it": "this"}).json() == {"title": "Tide"}
    assert provider.last().body["response_format"]["json_schema"]["schema"] == output
    assert refusal(post(gateway, "/prompts/name", {"it": "this"}))["code"] == "bad_output"


def test_a_version_of_a_prompt_may_be_pinned(start: Start, provide: Provide) -> None:
    provider = provide("openai")
    versions = {"1": {"template": "Old: {{ x }}"}, "2": {"template": "New: {{ x }}"}}
    gateway = start(config({"a": provider}, {"m": "a/plain"}, prompts={"p": {"model": "m", "versions": versions}}))
    assert post(gateway, "/prompts/p", {"x": 1}).status == 200
    assert "New: 1" in json.dumps(provider.last().body)
    assert post(gateway, "/prompts/p", {"x": 1}, headers={"X-Tidegate-Prompt-Version": "1"}).status == 200
    assert "Old: 1" in json.dumps(provider.last().body)
    assert refusal(post(gateway, "/prompts/p", {"x": 1}, headers={"X-Tidegate-Prompt-Version": "9"}))["status"] == 404


def test_prompts_stand_in_an_openapi_document(start: Start, provide: Provide) -> None:
    gateway = start(config({"a": provide("openai")}, {"m": "a/plain"}, prompts={"summarize": SUMMARIZE}))
    document = once(gateway.address, "GET", "/openapi.json", bearing(KEY)).json()
    assert document["openapi"].startswith("3.1")
    assert any("summarize" in path for path in document["paths"])


def guarded(provide: Provide, guards: Any, dialect: str = "openai", **scripts: Any) -> tuple[Any, Any]:
    provider = provide(dialect, **scripts)
    settings = config({"a": provider})
    settings["routes"][0]["ai"] = {"guards": guards}
    return provider, settings


@pytest.mark.parametrize("dialect", ASK)
def test_a_guard_that_blocks_refuses_the_call_in_the_client_s_dialect(
    start: Start, provide: Provide, dialect: str
) -> None:
    provider, settings = guarded(provide, [{"keywords": ["falcon"], "name": "secrets"}])
    gateway = start(settings)
    told = refusal(ask(gateway, "a-plain", "What of Falcon?", dialect=dialect), dialect)
    assert told["status"] == 400
    assert "secrets" in told["message"]
    assert not provider.asked
    assert ask(gateway, "a-plain", "What of falconry?", dialect=dialect).status == 200
    rows = usage(gateway, 2)
    assert [row["status"] for row in rows] == [400, 200]


@pytest.mark.parametrize("provider_dialect", DIALECTS)
def test_personal_data_is_masked_before_it_leaves(start: Start, provide: Provide, provider_dialect: str) -> None:
    provider, settings = guarded(provide, [{"pii": ["card", "email"], "action": "mask"}], provider_dialect)
    gateway = start(settings)
    assert said(ask(gateway, "a-plain", f"Charge {CARD}, tell {MAIL}.")) == "Hello from the tide."
    asked = json.dumps(provider.last().body)
    assert CARD not in asked
    assert MAIL not in asked
    assert "Charge [CARD], tell [EMAIL]." in asked


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider_dialect", DIALECTS)
@pytest.mark.parametrize("dialect", ASK)
def test_what_was_masked_comes_back_in_the_answer_wherever_it_is_cut(
    start: Start, provide: Provide, dialect: str, provider_dialect: str, stream: bool
) -> None:
    script = Script(text=("I told [EM", "AIL_1", "] of [", "CARD_1] and ", "[EMAIL_2]."))
    provider, settings = guarded(
        provide, [{"pii": ["card", "email"], "action": "restore"}], provider_dialect, m=script
    )
    gateway = start(settings)
    response = ask(gateway, "a-m", f"Tell {MAIL} of {CARD}.", dialect=dialect, stream=stream)
    assert said(response, dialect, stream=stream) == f"I told {MAIL} of {CARD} and [EMAIL_2]."
    assert "Tell [EMAIL_1] of [CARD_1]." in json.dumps(provider.last().body)


def test_what_was_masked_comes_back_in_the_arguments_of_tools(start: Start, provide: Provide) -> None:
    from tests.support.providers import Call

    script = Script(text=(), calls=(Call(name="mail", arguments={"to": "[EMAIL_1]"}),))
    _, settings = guarded(provide, [{"pii": ["email"], "action": "restore"}], "anthropic", m=script)
    gateway = start(settings)
    tool = {"type": "function", "function": {"name": "mail", "parameters": {"type": "object"}}}
    response = ask(gateway, "a-m", f"Tell {MAIL}.", tools=[tool])
    call = response.json()["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"to": MAIL}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_an_answer_is_masked_on_its_way(start: Start, provide: Provide, dialect: str, stream: bool) -> None:
    script = Script(text=("Write to ann.exam", "ple@tide.ex", "ample, or ", "not."))
    _, settings = guarded(provide, [{"pii": ["email"], "action": "mask", "scope": "response"}], m=script)
    gateway = start(settings)
    response = ask(gateway, "a-m", f"Is {MAIL} right?", dialect=dialect, stream=stream)
    assert said(response, dialect, stream=stream) == "Write to [EMAIL], or not."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ASK)
def test_an_answer_that_may_not_be_said_is_cut_off_or_refused(
    start: Start, provide: Provide, dialect: str, stream: bool
) -> None:
    script = Script(text=("The name is ", "proj", "ect fal", "con", ", and more", " of it."))
    _, settings = guarded(provide, [{"keywords": ["project falcon"], "scope": "response", "name": "names"}], m=script)
    gateway = start(settings)
    response = ask(gateway, "a-m", dialect=dialect, stream=stream)
    assert b"falcon" not in response.body
    assert b"of it" not in response.body
    if not stream:
        assert refusal(response, dialect)["status"] >= 400
    record = usage(gateway)[0]
    assert record["reason"] == "guard_blocked"
    assert record["output"] > 0, "it was made all the same, and is paid for"


def test_a_key_has_guards_of_its_own(start: Start, provide: Provide) -> None:
    keys = [{"name": "k", "key": KEY, "guards": [{"regex": "[A-Z]{3}-[0-9]{6}", "action": "mask", "name": "orders"}]}]
    provider = provide("openai")
    gateway = start(config({"a": provider}, keys=keys))
    assert ask(gateway, "a-plain", "Where is ABC-123456?").status == 200
    assert "ABC-123456" not in json.dumps(provider.last().body)


def test_texts_that_become_vectors_are_guarded_too(start: Start, provide: Provide) -> None:
    provider, settings = guarded(provide, [{"pii": ["email"], "action": "mask"}])
    gateway = start(settings)
    response = post(gateway, "/v1/embeddings", {"model": "a-plain", "input": [f"Tell {MAIL}.", "Nobody"]})
    assert response.status == 200
    assert provider.last().body["input"] == ["Tell [EMAIL].", "Nobody"]


def test_two_people_with_the_same_placeholder_do_not_see_each_other_s_data(start: Start, provide: Provide) -> None:
    def answer(asked: Asked) -> Script:
        return Script(text=("Told ", "[EMAIL_1]."))

    provider = provide("openai", m=answer)
    settings = config({"a": provider}, {"m": {"targets": "a/m", "cache": {"ttl": "1h"}, "deduplicate": True}})
    settings["routes"][0]["ai"] = {"guards": [{"pii": ["email"], "action": "restore"}]}
    gateway = start(settings)
    for person in ("ann@tide.example", "bob@tide.example"):
        for stream in (False, True):
            response = ask(gateway, "m", f"Tell {person}.", stream=stream)
            assert said(response, stream=stream) == f"Told {person}."
