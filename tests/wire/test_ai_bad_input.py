"""Nonsense from clients and from providers: an error in the client's dialect, a record, and nothing that leaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, bearing, config, data, post, refusal, said, usage
from tests.support.client import message, once
from tests.support.providers import DIALECTS, Raw, Script, Usage

PROMPT = "my-private-prompt"

NOT_JSON = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe{}",
    b'{"model":"a-plain","messages":[{"role":"user","content":"\xff"}]}',
    b"{'model': 'a-plain'}",
    b'{"model":"a-plain"' + b"," * 20 + b"}",
    b'{"a":' * 400 + b"1" + b"}" * 400,
]


@pytest.mark.parametrize("dialect", ASK)
def test_a_body_that_is_no_request_is_told_in_the_client_s_dialect(run: Start, provide: Provide, dialect: str) -> None:
    provider = provide("openai" if dialect != "openai" else "anthropic")
    gateway = run(config({"a": provider}))
    path, _ = ASK[dialect]("a-plain")
    ids = []
    for body in NOT_JSON:
        told = refusal(post(gateway, path, body), dialect)
        assert told["status"] == 400, body[:80]
        ids.append(told["request_id"])
    assert not provider.asked
    records = usage(gateway, len(NOT_JSON))
    assert [record["request_id"] for record in records] == ids
    assert {(record["status"], record["outcome"]) for record in records} == {(400, "error")}


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("openai", {"messages": "text"}),
    ("openai", {"messages": [{"role": "wizard", "content": "x"}]}),
    ("openai", {"messages": [{"content": "x"}]}),
    ("openai", {"messages": [{"role": "user", "content": 7}]}),
    ("openai", {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}),
    ("openai", {"model": 5}),
    ("openai", {"stream": "yes"}),
    ("openai", {"tools": [{"type": "function"}]}),
    ("openai", {"tools": "hammer"}),
    ("openai", {"tools": [{"type": "function", "function": {"name": "x", "parameters": "no schema"}}]}),
    ("openai", {"max_tokens": "many"}),
    ("openai", {"max_tokens": -1}),
    ("anthropic", {"messages": "text"}),
    ("anthropic", {"messages": [{"role": "user", "content": 7}]}),
    ("anthropic", {"tools": [{"name": 5}]}),
    ("anthropic", {"max_tokens": "many"}),
    ("gemini", {"contents": 5}),
    ("gemini", {"contents": [{"role": "user", "parts": "x"}]}),
    ("bedrock", {"messages": 5}),
    ("cohere", {"messages": 5}),
    ("ollama", {"messages": 5}),
    ("responses", {"input": 5}),
    ("responses", {"tools": [{"type": "function"}]}),
]


def test_a_field_of_the_wrong_type_is_named_to_the_client(run: Start, provide: Provide) -> None:
    providers = {name: provide(name) for name in ("cohere", "openai")}
    gateway = run(config(providers))
    for dialect, wrong in WRONG:
        model = "openai-plain" if dialect == "cohere" else "cohere-plain"
        path, body = ASK[dialect](model, PROMPT)
        response = post(gateway, path, {**body, **wrong})
        assert response.status == 400, (dialect, wrong, response.body)
        told = refusal(response, dialect)
        assert next(iter(wrong)) in json.dumps(told), (dialect, wrong, told)
        assert PROMPT not in json.dumps(told)
    assert not any(provider.asked for provider in providers.values())


def test_a_call_without_a_model_is_told_which_field_is_missing(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}))
    told = refusal(post(gateway, "/v1/chat/completions", {"messages": []}))
    assert (told["status"], told["param"]) == (400, "model")


@pytest.mark.parametrize("dialect", ASK)
def test_a_prompt_that_is_too_long_is_told_in_the_client_s_dialect(run: Start, provide: Provide, dialect: str) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}, {"m": {"targets": "a/plain", "max_prompt": "2KiB"}}))
    assert refusal(ask(gateway, "m", "x" * 4000, dialect=dialect), dialect)["status"] == 413
    assert not provider.asked
    assert ask(gateway, "m", "x" * 400, dialect=dialect).status == 200


@pytest.mark.parametrize("dialect", ASK)
def test_a_body_beyond_the_bound_is_told_in_the_client_s_dialect(run: Start, provide: Provide, dialect: str) -> None:
    settings = config({"a": provide("openai")})
    settings["routes"][0]["max_body"] = "16KiB"
    gateway = run(settings)
    path, _ = ASK[dialect]("a-plain")
    client = gateway.client()
    client.send_what_is_taken(message("POST", path, bearing(KEY), b"x" * 20_000))
    assert refusal(client.receive("POST"), dialect)["status"] == 413


def test_a_body_of_many_megabytes_passes(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider, "b": provide("anthropic")}))
    for name in ("a", "b"):
        assert said(ask(gateway, f"{name}-plain", "word " * 2_000_000)) == "Hello from the tide."
    assert len(provider.last().body["messages"][0]["content"]) == 10_000_000


REFUSED = {
    "html": (502,),
    "html-200": (502,),
    "bad-request": (400,),
    "limited": (429,),
    "broken": (500, 502),
    "overloaded": (503, 529),
    "too-long": (400,),
}
"""What clients are told of a provider that answers so."""


@pytest.mark.parametrize("dialect", ASK)
def test_what_providers_refuse_is_told_in_the_client_s_dialect(run: Start, provide: Provide, dialect: str) -> None:
    providers = {name: provide(name) for name in DIALECTS}
    models = {
        f"{name}-{model}": {"targets": f"{name}/{model}", "attempts": 1, "cooldown": "0"}
        for name in providers
        for model in REFUSED
    }
    gateway = run(config(providers, models))
    told = {}
    for name in models:
        for stream in (False, True):
            error = refusal(ask(gateway, name, PROMPT, dialect=dialect, stream=stream), dialect)
            told[name, stream] = error["status"]
            assert "<html>" not in json.dumps(error), name
    wrong = {at: status for at, status in told.items() if status not in REFUSED[at[0].partition("-")[2]]}
    assert not wrong
    records = usage(gateway, len(told))
    assert [record["status"] for record in records] == list(told.values())
    assert {record["outcome"] for record in records} == {"error"}


RAW = {
    "nothing": Raw(b""),
    "half an object": Raw(b'{"choices":[{"mess'),
    "another object": Raw(b'{"hello":"world"}'),
    "a list": Raw(b"[1,2,3]"),
    "not UTF-8": Raw(b'{"choices":[{"index":0,"message":{"role":"assistant","content":"\xff\xfe"}}]}'),
    "no JSON at all": Raw(b"OK", "text/plain"),
    "wrong types": Raw(b'{"choices":"many","usage":"a lot"}'),
}


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("name", RAW)
def test_an_answer_that_can_t_be_read_is_a_502_to_clients_of_another_dialect(
    run: Start, provide: Provide, name: str, dialect: str
) -> None:
    provider = provide("openai", m=Script(raw=RAW[name]))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "attempts": 1}}))
    response = ask(gateway, "m", dialect=dialect)
    if dialect == "openai" and name in ("half an object", "another object", "a list", "not UTF-8", "wrong types"):
        assert response.status in (200, 502), "what comes in the client's own words may pass as it is"
        return
    assert refusal(response, dialect)["status"] == 502
    assert usage(gateway)[0]["outcome"] == "error"


def test_an_absent_usage_is_estimated_and_said_to_be(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai"), "b": provide("anthropic")}))
    for name in ("a", "b"):
        for stream in (False, True):
            assert ask(gateway, f"{name}-no-usage", stream=stream).status == 200
    for row in usage(gateway, 4):
        assert row["source"] == "estimated", row
        assert 0 < row["input"] < 60
        assert 0 < row["output"] < 60


@pytest.mark.parametrize("number", [-5, 2**62, 10**30], ids=["negative", "huge", "beyond-64-bits"])
def test_an_absurd_usage_harms_neither_the_answer_nor_the_sums(run: Start, provide: Provide, number: int) -> None:
    told = Usage(input=number, output=number)
    providers = {name: provide(name, m=Script(usage=told)) for name in DIALECTS}
    prices = {f"{name}/*": {"input": 1, "output": 1} for name in providers}
    keys = [{"name": "k", "key": KEY, "budget": {"usd": 1e6, "per": "day"}}]
    gateway = run(config(providers, keys=keys, prices=prices))
    for name in providers:
        for stream in (False, True):
            response = ask(gateway, f"{name}-m", stream=stream)
            if response.status != 429:  # a provider that is believed may use a budget up
                assert said(response, stream=stream) == "Hello from the tide.", name
    rows = usage(gateway, len(providers) * 2)
    assert all(row["input"] is None or 0 <= row["input"] <= 2**40 for row in rows), rows
    assert gateway.control("/ai/usage").status == 200


def _edited(*pieces: bytes) -> Script:
    return Script(edit=lambda frames: [*frames[:2], *pieces, *frames[2:]])


STRANGE = {
    "not UTF-8": _edited(b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'),
    "not JSON": _edited(b"data: {nonsense\n\n"),
    "no object": _edited(b"data: 7\n\n"),
    "a wrong type": _edited(b'data: {"choices":7}\n\n'),
    "no event": _edited(b"nonsense without a colon\n\n"),
    "an endless line": _edited(b"data: " + b"x" * (50 << 20)),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "bedrock"])
def test_a_strange_line_in_a_stream_ends_it_or_is_passed_over(
    run: Start, provide: Provide, name: str, dialect: str
) -> None:
    provider = provide("openai", m=STRANGE[name])
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "attempts": 1}}))
    response = ask(gateway, "m", dialect=dialect, stream=True)
    assert response.status in (200, 502)
    if dialect != "openai":
        assert len(response.body) < 1 << 20, "what can't be read is not handed on"
    assert usage(gateway)[0]["outcome"] in ("ok", "cut", "error")
    assert gateway.memory_kib() < 250_000
    assert ask(gateway, "a-plain").status == 200


def test_an_endless_answer_is_refused_where_it_has_to_be_held(run: Start, provide: Provide) -> None:
    provider = provide("openai", m=Script(text=("x" * (100 << 20),)))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "attempts": 1}}))
    assert refusal(ask(gateway, "m", dialect="anthropic"), "anthropic")["status"] == 502


def test_a_stream_that_was_asked_for_and_comes_whole_is_a_stream_to_the_client(run: Start, provide: Provide) -> None:
    def whole(dialect: str) -> Callable[[Any], Script]:
        return lambda asked: Script(raw=Raw(json.dumps(DIALECTS[dialect].whole(asked, Script())).encode()))

    providers = {name: provide(name, m=whole(name)) for name in DIALECTS}
    gateway = run(config(providers))
    for name in providers:
        assert said(ask(gateway, f"{name}-m", stream=True), stream=True) == "Hello from the tide.", name
    assert [row["output"] for row in usage(gateway, len(providers))] == [7] * len(providers)


def test_what_a_target_can_t_do_is_refused_or_dropped_where_that_is_allowed(run: Start, provide: Provide) -> None:
    provider = provide("anthropic")
    models = {"strict": "a/plain", "lax": {"targets": "a/plain", "drop_unsupported": True}}
    gateway = run(config({"a": provider}, models))
    told = refusal(ask(gateway, "strict", n=2))
    assert (told["status"], told["param"]) == (400, "n")
    assert said(ask(gateway, "lax", logit_bias={"5": 1})) == "Hello from the tide."
    assert "logit_bias" not in provider.last().body


def test_more_output_than_is_allowed_is_cut_to_the_bound(run: Start, provide: Provide) -> None:
    same, other = provide("openai"), provide("anthropic")
    models = {name: {"targets": f"{name}/plain", "max_output": 50} for name in ("a", "b")}
    gateway = run(config({"a": same, "b": other}, models))
    for name, provider in (("a", same), ("b", other)):
        assert ask(gateway, name, max_tokens=5000).status == 200
        assert provider.last().body["max_tokens"] == 50
        assert ask(gateway, name, max_tokens=20).status == 200
        assert provider.last().body["max_tokens"] == 20


def test_the_errors_of_clients_say_nothing_of_prompts_and_keys(start: Start, provide: Provide) -> None:
    settings = config({"a": provide("openai")})
    gateway = start(settings)
    for body in (
        {"model": "a-plain", "messages": [{"role": "user", "content": PROMPT}], "tools": PROMPT},
        {"model": "a-plain", "messages": PROMPT},
        {"model": "a-plain", "messages": [{"role": PROMPT, "content": PROMPT}]},
    ):
        response = post(gateway, "/v1/messages", {"max_tokens": 5, **body})
        assert response.status == 400
        assert PROMPT.encode() not in response.body
    once(gateway.address, "POST", f"/v1/chat/completions?key={KEY}", {}, b"{}")
    gateway.records(4)
    assert KEY not in gateway.log_file.read_text()
    assert PROMPT not in gateway.log_file.read_text() + gateway.said.text


def test_no_data_of_a_stream_is_lost_where_clients_ask_for_it_in_pieces(run: Start, provide: Provide) -> None:
    words = tuple(f"word{number} " for number in range(3000))
    gateway = run(config({"a": provide("openai", m=Script(text=words)), "b": provide("bedrock", m=Script(text=words))}))
    for name in ("a", "b"):
        response = ask(gateway, f"{name}-m", stream=True)
        assert said(response, stream=True) == "".join(words)
        assert len(data(response.body)) >= 3000
