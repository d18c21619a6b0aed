"""Streams on their way: what passes as it is, how they break off, what becomes of them without a client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import (
    ASK,
    KEY,
    ask,
    bearing,
    begin,
    chunks,
    config,
    data,
    is_an_error,
    post,
    said,
    text_of,
    usage,
)
from tests.support.client import message
from tests.support.gateway import Tidegate
from tests.support.http import Ended
from tests.support.providers import DIALECTS, Gate, Provider, Script
from tests.support.providers.script import SCRIPTS, Asked
from tests.support.waiting import until


@pytest.mark.parametrize("dialect", ASK)
def test_every_event_reaches_the_client_before_the_next_one_is_there(
    run: Start, provide: Provide, dialect: str
) -> None:
    texts = ("One ", "two ", "three ", "four.")
    script = Script(text=texts)
    providers = {name: provide(name, m=script) for name in DIALECTS}
    gateway = run(config(providers))
    for name, provider in providers.items():
        gates = [Gate() for _ in texts]
        first = next(at for at, frame in enumerate(_frames(name, script)) if b"One " in frame)
        provider.stop_before = {first + number + 1: gate for number, gate in enumerate(gates[:3])}
        client = begin(gateway, f"{name}-m", dialect=dialect)
        assert client.receive_head()[0] == 200
        body = b""
        pieces = iter(chunks(client.stream))
        for text, gate in zip(texts, gates, strict=True):
            while text.encode() not in body:
                body += next(pieces)
            gate.open()
        body += b"".join(pieces)
        assert text_of(body, dialect, stream=True) == "".join(texts), name


def _frames(dialect: str, script: Script) -> list[bytes]:
    words = DIALECTS[dialect]
    nothing: Any = None
    return words.frames(Asked("m", stream=True, surface="chat", body={}, request=nothing), script)


@pytest.mark.parametrize("dialect", ASK)
def test_a_stream_in_the_client_s_own_dialect_passes_byte_for_byte(run: Start, provide: Provide, dialect: str) -> None:
    odd = b': a comment\n\nevent: ping\ndata: {"type":"ping","new_field":[1,2.50,"\xc3\xa9"]}\n\n'

    def edit(frames: list[bytes]) -> list[bytes]:
        framed = DIALECTS[dialect].STREAM_TYPE.startswith("text/event-stream")
        return [frames[0], *([odd] if framed and dialect in ("anthropic", "openai") else []), *frames[1:]]

    provider = provide(dialect, m=Script(edit=edit))
    gateway = run(config({"a": provider}))
    asking: dict[str, Any] = {"stream_options": {"include_usage": True}} if dialect == "openai" else {}
    response = ask(gateway, "a-m", dialect=dialect, stream=True, **asking)
    assert response.status == 200
    assert response.body == b"".join(edit(DIALECTS[dialect].frames(provider.last(), Script())))
    assert response.fields.get("Content-Type") == DIALECTS[dialect].STREAM_TYPE.partition(";")[0]


@pytest.mark.parametrize("dialect", ASK)
def test_a_whole_answer_in_the_client_s_own_dialect_passes_byte_for_byte(
    run: Start, provide: Provide, dialect: str
) -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "brand_new": {"deep": [1.50, "é", None]}}

    provider = provide(dialect, m=Script(change=change))
    gateway = run(config({"a": provider}))
    response = ask(gateway, "a-m", dialect=dialect)
    whole = change(DIALECTS[dialect].whole(provider.last(), Script()))
    assert response.body == json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("dialect", [name for name in ASK if name != "bedrock"])  # whose clients know all fields
def test_unknown_fields_of_a_request_reach_a_provider_of_the_same_dialect(
    run: Start, provide: Provide, dialect: str
) -> None:
    provider = provide(dialect)
    gateway = run(config({"a": provider}))
    odd: dict[str, Any] = {"brand_new": {"deep": [1.5, "é", None, {"a": 10000000000000000000001}]}}
    assert ask(gateway, "a-plain", dialect=dialect, **odd).status == 200
    assert provider.last().body["brand_new"] == odd["brand_new"]
    assert provider.last().model == "plain"


def test_only_the_model_is_changed_in_the_bytes_of_a_request_to_the_same_dialect(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}))
    body = b'{ "messages" : [{"role":"user","content":"\\u00e9 \xc3\xa9"}],\n\t"model":"a-plain", "seed": 1.0e2 }'
    assert post(gateway, "/v1/chat/completions", body).status == 200
    assert provider.last().request.body == body.replace(b"a-plain", b"plain")


@pytest.mark.parametrize("wants", [False, True])
def test_usage_is_asked_for_and_hidden_from_clients_that_did_not_ask(run: Start, provide: Provide, wants: bool) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}))
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if wants else {}
    response = ask(gateway, "a-cached", stream=True, **more)
    assert provider.last().body["stream_options"] == {"include_usage": True}
    told = [event for event in data(response.body) if event != "[DONE]" and event.get("usage")]
    assert len(told) == wants
    assert all(event["choices"] for event in data(response.body) if event != "[DONE]" and event not in told)
    record = usage(gateway)[0]
    assert (record["input"], record["cache_read"], record["output"]) == (5, 100, 3)
    assert record["source"] == "reported"


def _after_hello(dialect: str) -> int:
    """The number of the frame behind the first piece of text."""
    return next(at for at, frame in enumerate(_frames(dialect, Script())) if b" from" in frame)


def _behind_hello(gateway: Tidegate, provider: Provider, dialect: str) -> bytes:
    """A stream that goes on only when its beginning has been seen: nobody else may be asked from then on."""
    gate = Gate()
    provider.stop_before = {_after_hello(provider.dialect): gate}
    client = begin(gateway, f"{provider.dialect}-m", dialect=dialect)
    assert client.receive_head()[0] == 200
    body, pieces = b"", iter(chunks(client.stream))
    while b"Hello" not in body:
        body += next(pieces)
    gate.open()
    return body + b"".join(pieces)


@pytest.mark.parametrize("dialect", ASK)
def test_an_error_behind_a_200_is_told_in_the_client_s_dialect(run: Start, provide: Provide, dialect: str) -> None:
    providers = {name: provide(name, m=Script(fail_at=_after_hello(name))) for name in DIALECTS}
    gateway = run(config(providers))
    for name, provider in providers.items():
        body = _behind_hello(gateway, provider, dialect)
        assert b"It broke midway." in body, (name, body)
        is_an_error(body, dialect)
    for record in usage(gateway, len(providers)):
        assert record["outcome"] == "cut", record
        assert record["finish"] in ("", "error"), record


@pytest.mark.parametrize("dialect", ASK)
def test_a_stream_that_is_cut_ends_in_an_error_of_the_client_s_dialect(
    run: Start, provide: Provide, dialect: str
) -> None:
    providers = {name: provide(name, m=Script(cut_at=_after_hello(name))) for name in DIALECTS}
    gateway = run(config(providers))
    for name, provider in providers.items():
        body = _behind_hello(gateway, provider, dialect)
        assert b"[DONE]" not in body, name
        is_an_error(body, dialect)
    assert {record["outcome"] for record in usage(gateway, len(providers))} == {"cut"}


def test_bytes_that_trickle_in_are_the_same_stream(run: Start, provide: Provide) -> None:
    odd = ("Ti", "de “é” ", "\U0001f30a turns", "\n\nat six.")
    providers = {name: provide(name, m=Script(text=odd, trickle=True)) for name in DIALECTS}
    gateway = run(config(providers))
    for name in providers:
        for dialect in ("openai", "anthropic"):
            response = ask(gateway, f"{name}-m", dialect=dialect, stream=True)
            assert said(response, dialect, stream=True) == "".join(odd), name


LONG = tuple(f"word{number} " for number in range(4000))
"""More than is read at once."""


@pytest.mark.parametrize("policy", ["abort", "drain"])
@pytest.mark.parametrize("provider_dialect", ["openai", "anthropic"])
def test_a_client_that_goes_away_ends_the_stream_or_leaves_it_to_be_counted(
    run: Start, provide: Provide, policy: str, provider_dialect: str
) -> None:
    gate = Gate()
    provider = provide(provider_dialect, m=Script(text=LONG, stall_at=4, gate=gate))
    gateway = run(config({"a": provider}, {"m": {"targets": "a/m", "on_disconnect": policy}}))
    client = begin(gateway, "m")
    assert client.receive_head()[0] == 200
    assert any(b"word" in piece for piece in chunks(client.stream)), "content, not only the beginning"
    client.reset()
    if policy == "abort":
        until(lambda: provider.last().ended == "gone", "the provider is hung up on")
    else:
        gate.open()
        until(lambda: provider.last().ended == "whole", "the stream is read to its end")
    record = usage(gateway)[0]
    assert record["outcome"] == "client_gone"
    expected = ("reported", 11, 7) if policy == "drain" else ("estimated", record["input"], record["output"])
    assert (record["source"], record["input"], record["output"]) == expected
    assert record["input"] > 0


def test_a_client_that_goes_away_before_the_answer_has_begun_is_no_fault_of_the_provider_s(
    run: Start, provide: Provide
) -> None:
    gate = Gate()
    provider = provide("openai", m=Script(head_gate=gate))
    gateway = run(config({"a": provider}))
    client = begin(gateway, "a-m", stream=False)
    provider.wait(1)
    client.close()
    until(lambda: provider.last().ended == "gone", "the provider is hung up on")
    assert usage(gateway)[0]["outcome"] == "client_gone"
    provider.scripts["m"] = Script()
    assert ask(gateway, "a-m").status == 200, "nothing cools down"


def test_cached_and_reasoned_tokens_are_recorded_in_buckets_that_do_not_overlap(run: Start, provide: Provide) -> None:
    providers = {name: provide(name) for name in ("openai", "responses", "anthropic", "gemini", "bedrock")}
    gateway = run(config(providers))
    for name in providers:
        for dialect in ASK:
            for stream in (False, True):
                assert ask(gateway, f"{name}-cached", dialect=dialect, stream=stream).status == 200
    for row in usage(gateway, len(providers) * len(ASK) * 2):
        assert (row["input"], row["cache_read"], row["output"]) == (5, 100, 3), row


def test_the_next_call_takes_the_connection_of_the_one_before(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}))
    for stream in (False, True, False, True):
        said(ask(gateway, "a-plain", stream=stream), stream=stream)
    assert provider.accepted == 1


def test_a_connection_that_the_provider_closed_meanwhile_costs_nothing(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}))
    said(ask(gateway, "a-plain"))
    provider.close_connections()
    said(ask(gateway, "a-plain"))
    assert {row["outcome"] for row in usage(gateway, 2)} == {"ok"}


def test_a_tool_s_call_in_a_stream_reaches_a_client_of_another_dialect_whole(run: Start, provide: Provide) -> None:
    provider = provide("anthropic")
    gateway = run(config({"a": provider}))
    made: dict[int, list[str]] = {}
    for event in data(ask(gateway, "a-tools", stream=True).body)[:-1]:
        for choice in event["choices"]:
            for call in choice["delta"].get("tool_calls") or []:
                known = made.setdefault(call["index"], ["", "", ""])
                known[0] += call.get("id") or ""
                known[1] += call["function"].get("name") or ""
                known[2] += call["function"].get("arguments") or ""
    assert [(call_id, name, json.loads(told)) for call_id, name, told in made.values()] == [
        (call.id, call.name, dict(call.arguments)) for call in SCRIPTS["tools"].calls
    ]


def test_several_calls_on_one_connection_follow_each_other(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("anthropic")}))
    client = begin(gateway, "a-plain")
    for _ in range(3):
        response = client.receive()
        assert text_of(response.body, stream=True) == "Hello from the tide."
        path, body = ASK["openai"]("a-plain", stream=True)
        client.send(message("POST", path, bearing(KEY), json.dumps(body).encode()))
    client.receive()
    client.no_more()
    with pytest.raises(Ended):
        client.receive()
