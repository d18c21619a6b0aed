"""A real model end to end: llama.cpp's own server, as itself, in other dialects, at once, and killed in the middle."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Start
from tests.support import ai
from tests.support.client import Client, message, once
from tests.support.gateway import Tidegate
from tests.support.http import Response, read_chunk
from tests.support.model import NAME, Model
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)  # the first test installs the model, and a busy machine computes slowly

LIMIT_S = 60.0
"""For one answer: other tests may have the cores."""
GREETING = "Say hello to the sea."
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "large": {"type": "boolean"}},
    "required": ["city", "large"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[Model, Model, Model]]:
    """Two that chat, and one that makes vectors."""
    every = Model(), Model(), Model("embeddings")
    yield every
    for model in every:
        model.kill()


@pytest.fixture
def gateway(start: Start, models: tuple[Model, Model, Model]) -> Tidegate:
    one, _, vectors = models
    return start(config({"local": one.provider, "vectors": vectors.provider}, vectors=f"vectors/{NAME}"))


def config(providers: dict[str, Any], **names: Any) -> dict[str, Any]:
    first = next(iter(providers))
    return {
        "routes": [{"match": {"path": "/"}, "ai": {}}],
        "ai": {
            "providers": providers,
            "models": {NAME: f"{first}/{NAME}", **names},
            "keys": [{"name": "tester", "key": ai.KEY}],
        },
    }


def call(gateway: Tidegate, path: str, body: dict[str, Any]) -> Response:
    with Client(gateway.address, timeout=LIMIT_S) as client:
        headers = {"Content-Type": "application/json", **ai.bearing(ai.KEY)}
        client.send(message("POST", path, headers, json.dumps(body).encode()))
        return client.receive("POST")


def chat(
    gateway: Tidegate, question: str = GREETING, dialect: str = "openai", /, *, stream: bool = False, **more: Any
) -> str:
    """What the model says to that, without chance."""
    path, body = ai.ASK[dialect](NAME, question, stream=stream)
    bound = {"max_output_tokens": 16} if dialect == "responses" else {"max_tokens": 16}
    return ai.said(call(gateway, path, {**body, "temperature": 0, **bound, **more}), dialect, stream=stream)


def begin(gateway: Tidegate, text: str, tokens: int, dialect: str = "openai") -> Client:
    """A stream that is still to be read."""
    path, body = ai.ASK[dialect](NAME, text, stream=True)
    client = gateway.client(timeout=LIMIT_S)
    asked = json.dumps({**body, "temperature": 0, "max_tokens": tokens}).encode()
    client.send(message("POST", path, {"Content-Type": "application/json", **ai.bearing(ai.KEY)}, asked))
    return client


def connections(server: Model) -> int:
    """Those that the gateway has to it: before the first call has ended, its calls under way."""
    remote = f":{int(server.address.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(remote) and row[3] == "01" for row in rows)


def buckets(record: dict[str, Any]) -> tuple[int, int, int]:
    return record["input"], record["cache_read"] or 0, record["output"]


def test_usage_is_what_the_server_says_and_its_cached_tokens_are_a_bucket_of_their_own(
    gateway: Tidegate, models: tuple[Model, Model, Model]
) -> None:
    path, body = ai.ASK["openai"](NAME, "Which way does the tide go at noon?")
    body = {**body, "temperature": 0, "max_tokens": 8}
    answers = [call(gateway, path, body).json() for _ in range(2)]
    told = [answer["usage"] for answer in answers]
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in told]
    assert cached[1] > cached[0], "the server keeps what it has read"
    records = ai.usage(gateway, 2)
    for record, usage, hit in zip(records, told, cached, strict=True):
        assert buckets(record) == (usage["prompt_tokens"] - hit, hit, usage["completion_tokens"])
        assert (record["source"], record["outcome"], record["finish"]) == ("reported", "ok", "length")
        # A dollar for a million of input tokens, cached or not, and two for as many of output.
        assert float(record["usd"]) == pytest.approx((usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1e6)
    direct = once(models[0].address, "POST", path, (), json.dumps(body).encode())
    assert direct.json()["choices"] == answers[1]["choices"]
    assert direct.json()["usage"]["prompt_tokens"] == told[1]["prompt_tokens"]


def test_every_dialect_gets_the_same_words_whole_and_as_a_stream(gateway: Tidegate) -> None:
    said = {
        (dialect, stream): chat(gateway, GREETING, dialect, stream=stream)
        for dialect in ("openai", "anthropic", "responses")
        for stream in (False, True)
    }
    assert len(set(said.values())) == 1, said
    records = ai.usage(gateway, len(said))
    assert {record["source"] for record in records} == {"reported"}, "also where the client did not ask for it"
    assert len({(sum(buckets(record)[:2]), record["output"]) for record in records}) == 1
    assert [record["client_dialect"] for record in records] == [dialect for dialect, _ in said]


def test_several_at_once_get_their_own_answers_and_records(gateway: Tidegate) -> None:
    questions = [f"Name {thing}." for thing in ("a fish", "a boat", "a port", "a bird", "a wind", "a star")]
    alone = {text: chat(gateway, text) for text in questions}
    at_once: dict[str, str] = {}

    def ask(number: int, text: str) -> None:
        at_once[text] = chat(gateway, text, ("openai", "anthropic", "responses")[number % 3], stream=number % 2 == 0)

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(questions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    # What it computes for two at once may be rounded otherwise: most must be the same.
    same = sum(at_once[text] == alone[text] for text in questions)
    assert set(at_once) == set(questions)
    assert same >= 3, (alone, at_once)
    records = ai.usage(gateway, 12)
    assert len({record["id"] for record in records}) == 12
    assert {record["outcome"] for record in records} == {"ok"}


def test_vectors_are_those_of_the_server(gateway: Tidegate, models: tuple[Model, Model, Model]) -> None:
    asked = {"input": ["the sea", "a gate of stone"]}
    through = call(gateway, "/v1/embeddings", {"model": "vectors", **asked}).json()
    direct = once(models[2].address, "POST", "/v1/embeddings", (), json.dumps({"model": NAME, **asked}).encode()).json()
    assert [len(one["embedding"]) for one in through["data"]] == [576, 576]
    for one, other in zip(through["data"], direct["data"], strict=True):
        assert one["embedding"] == pytest.approx(other["embedding"], abs=1e-4)
    (record,) = ai.usage(gateway)
    assert (record["surface"], record["input"]) == ("embeddings", direct["usage"]["prompt_tokens"])


def test_an_answer_has_the_structure_that_was_asked_for_in_either_dialect(gateway: Tidegate) -> None:
    text = "Name a city by the sea, as JSON."
    shape = {"name": "city", "strict": True, "schema": CITY}
    as_chat = chat(gateway, text, max_tokens=60, response_format={"type": "json_schema", "json_schema": shape})
    as_response = chat(
        gateway,
        text,
        "responses",
        max_output_tokens=60,
        text={"format": {"type": "json_schema", **shape}},
    )
    for said in (as_chat, as_response):
        assert set(json.loads(said)) == {"city", "large"}, said


@pytest.mark.parametrize(("shape", "dialect"), [("endpoints", "openai"), ("targets", "anthropic")])
def test_a_server_that_is_killed_takes_only_the_stream_that_it_had_begun(
    start: Start, shape: str, dialect: str
) -> None:
    """Two servers, as two endpoints of a provider or as two targets of a model."""
    servers = Model(), Model()
    try:
        if shape == "endpoints":
            both = {**servers[0].provider, "base_url": [server.url for server in servers], "balance": "least_requests"}
            gateway = start(config({"both": both}))
        else:
            names = {NAME: {"targets": [f"a/{NAME}", f"b/{NAME}"], "balance": "least_busy"}}
            gateway = start(config({"a": servers[0].provider, "b": servers[1].provider}, **names))
        begun = begin(gateway, "Tell me a long story of the sea.", 400, dialect)
        assert begun.receive_head()[0] == 200
        assert read_chunk(begun.stream), "it has begun"
        (dies,) = (server for server in servers if connections(server))
        # Of three calls with much to read, one at least goes where the stream is; the others to the idle server.
        waiting = [begin(gateway, "word " * 400 + f"How many words are these, {number}?", 3) for number in range(3)]
        until(lambda: connections(dies) > 1, "a call that waits beside the stream")
        dies.kill()
        ended = ai.data(b"".join(ai.chunks(begun.stream)))
        assert ended[-1]["error"]["message"], ended[-1]
        for client in waiting:
            assert client.receive_head()[0] == 200
            assert ai.data(b"".join(ai.chunks(client.stream)))[-1] == "[DONE]"
        assert chat(gateway)
        records = ai.usage(gateway, len(waiting) + 2)
        cut = [record for record in records if record["outcome"] == "cut"]
        assert [(record["source"], record["output"] > 0) for record in cut] == [("estimated", True)]
        rest = [record for record in records if record["outcome"] == "ok"]
        assert len(rest) == len(waiting) + 1
        assert max(record["attempts"] for record in rest) == 2, "one was asked again at the other server"
    finally:
        for server in servers:
            server.kill()


def test_a_prompt_goes_where_its_beginning_is_in_the_cache(start: Start, models: tuple[Model, Model, Model]) -> None:
    both = {"a": models[0].provider, "b": models[1].provider}
    name = {"targets": [f"a/{NAME}", f"b/{NAME}"], "prefix_affinity": True}
    gateway = start(config(both, **{NAME: name}))
    beginnings = [f"You are keeper {who} of the harbour. " + f"Rule {who}: the tide waits. " * 24 for who in "xy"]
    for turn in range(3):
        for beginning in beginnings:
            chat(gateway, f"{beginning} Question {turn}: is it high?", max_tokens=2)
    records = ai.usage(gateway, 6)
    for who in range(len(beginnings)):
        first, *later = records[who :: len(beginnings)]
        assert {record["provider"] for record in later} == {first["provider"]}
        assert all(record["cache_read"] > 100 > record["input"] for record in later), later
