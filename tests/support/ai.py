"""Calls of the AI gateway as bytes on a socket: what each dialect's clients send, and what their answers say."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.support.client import Client, message, once
from tests.support.gateway import Tidegate
from tests.support.http import Response, Stream, read_chunk
from tests.support.providers import Provider
from tests.support.providers.bedrock import unframed
from tests.support.waiting import until

KEY = "client-secret-0123456789"
"""The key that the clients in tests have."""

QUESTION = "What is the weather like?"

Body = dict[str, Any]


def config(providers: Mapping[str, Provider], models: Mapping[str, Any] | None = None, **ai: Any) -> dict[str, Any]:
    """A gateway for these providers; all of each one's models are there as `NAME-MODEL` beside those given."""
    every = {f"{name}-*": f"{name}/*" for name in providers}
    return {
        "routes": [{"match": {"path": "/"}, "ai": {}}],
        "ai": {
            "providers": {name: provider.config for name, provider in providers.items()},
            "models": {**every, **(models or {})},
            "keys": [{"name": "tester", "key": KEY}],
            **ai,
        },
    }


def openai(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    body: Body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return "/v1/chat/completions", {**body, **({"stream": True} if stream else {})}


def responses(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    return "/v1/responses", {"model": model, "input": text, **({"stream": True} if stream else {})}


def anthropic(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    body: Body = {"model": model, "max_tokens": 256, "messages": [{"role": "user", "content": text}]}
    return "/v1/messages", {**body, **({"stream": True} if stream else {})}


def gemini(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def bedrock(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    verb = "converse-stream" if stream else "converse"
    return f"/model/{model}/{verb}", {"messages": [{"role": "user", "content": [{"text": text}]}]}


def cohere(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    _, body = openai(model, text)
    return "/v2/chat", {**body, "stream": stream}


def mistral(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    return openai(model, text, stream=stream)


def ollama(model: str, text: str = QUESTION, *, stream: bool = False) -> tuple[str, Body]:
    _, body = openai(model, text)
    return "/api/chat", {**body, "stream": stream}


ASK: dict[str, Callable[..., tuple[str, Body]]] = {
    "openai": openai,
    "responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": bedrock,
    "cohere": cohere,
    "ollama": ollama,
}
"""What a client of each dialect sends for a question."""


def bearing(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def post(
    gateway: Tidegate,
    path: str,
    body: Any,
    *,
    key: str | None = KEY,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One POST on a connection of its own; the body as it is, or as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json", **bearing(key), **(headers or {})}
    return once(gateway.address, "POST", path, told, content)


def ask(
    gateway: Tidegate,
    model: str,
    text: str = QUESTION,
    /,
    *,
    dialect: str = "openai",
    stream: bool = False,
    key: str | None = KEY,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """A question in the words of a dialect; `more` goes into the body."""
    path, body = ASK[dialect](model, text, stream=stream)
    return post(gateway, path, {**body, **more}, key=key, headers=headers)


def begin(
    gateway: Tidegate, model: str, text: str = QUESTION, *, dialect: str = "openai", stream: bool = True, **more: Any
) -> Client:
    """Sends a question and leaves its answer to be read."""
    path, body = ASK[dialect](model, text, stream=stream)
    client = gateway.client()
    told = {"Content-Type": "application/json", **bearing(KEY)}
    client.send(message("POST", path, told, json.dumps({**body, **more}).encode()))
    return client


def chunks(stream: Stream) -> Iterable[bytes]:
    """A chunked body's pieces, as they come, up to its end."""
    while piece := read_chunk(stream):
        yield piece
    stream.line()


def data(stream: bytes) -> list[Any]:
    """The data of server-sent events: JSON where it is, `[DONE]` as it stands."""
    out: list[Any] = []
    for block in stream.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line.removeprefix("data:").removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            told = "\n".join(lines)
            out.append(told if told == "[DONE]" else json.loads(told))
    return out


def said(response: Response, dialect: str = "openai", *, stream: bool = False) -> str:
    """The text of a good answer."""
    assert response.status == 200, (response.status, response.body[:2000])
    return text_of(response.body, dialect, stream=stream)


def text_of(body: bytes, dialect: str = "openai", *, stream: bool = False) -> str:
    """The text of an answer's bytes."""
    pieces = _streamed(body, dialect) if stream else _whole(json.loads(body), dialect)
    return "".join(piece for piece in pieces if piece)


def _whole(answer: Any, dialect: str) -> Iterable[Any]:
    match dialect:
        case "openai" | "mistral":
            return [answer["choices"][0]["message"]["content"]]
        case "responses":
            parts = [part for item in answer["output"] for part in item.get("content") or []]
            return [part["text"] for part in parts if part["type"] == "output_text"]
        case "anthropic":
            return [block.get("text") for block in answer["content"]]
        case "gemini":
            return [part.get("text") for part in answer["candidates"][0]["content"]["parts"]]
        case "bedrock":
            return [block.get("text") for block in answer["output"]["message"]["content"]]
        case "cohere":
            return [block.get("text") for block in answer["message"]["content"]]
    return [answer["message"]["content"]]


def _streamed(body: bytes, dialect: str) -> Iterable[Any]:
    match dialect:
        case "openai" | "mistral":
            told = data(body)
            assert told[-1] == "[DONE]", told[-1]
            return [choice["delta"].get("content") for event in told[:-1] for choice in event["choices"]]
        case "responses":
            return [event["delta"] for event in data(body) if event["type"] == "response.output_text.delta"]
        case "anthropic":
            deltas = [event["delta"] for event in data(body) if event["type"] == "content_block_delta"]
            return [delta.get("text") for delta in deltas]
        case "gemini":
            parts = [event["candidates"][0].get("content", {}).get("parts", []) for event in data(body)]
            return [part.get("text") for some in parts for part in some]
        case "bedrock":
            return [told["delta"].get("text") for kind, told in unframed(body) if kind == "contentBlockDelta"]
        case "cohere":
            deltas = [event["delta"] for event in data(body) if event["type"] == "content-delta"]
            return [delta["message"]["content"].get("text") for delta in deltas]
    return [json.loads(line)["message"]["content"] for line in body.splitlines()]


def refusal(response: Response, dialect: str = "openai") -> dict[str, Any]:
    """What an error in a dialect's words says: its message, its type, its code, the request's id."""
    assert response.status >= 400, response.body[:2000]
    content_type = response.fields.get("Content-Type") or ""
    assert content_type.startswith("application/json"), content_type
    body = response.json()
    request_id = response.fields.get("X-Request-Id")
    assert request_id, response.fields
    match dialect:
        case "openai" | "responses" | "mistral":
            assert set(body["error"]) >= {"message", "type", "param", "code"}, body
            told = body["error"]
        case "anthropic":
            assert body["type"] == "error", body
            assert body["request_id"] == request_id, body
            told = body["error"]
        case "gemini":
            assert body["error"]["code"] == response.status, body
            told = {"type": body["error"]["status"], "message": body["error"]["message"]}
        case "bedrock":
            told = {"type": response.fields.get("x-amzn-ErrorType"), "message": body["message"]}
            assert told["type"], response.fields
        case "cohere":
            told = {"type": None, "message": body["message"]}
        case _:
            told = {"type": None, "message": body["error"]}
    assert told["message"], body
    return {**told, "status": response.status, "request_id": request_id}


def is_an_error(body: bytes, dialect: str) -> None:
    """The last thing in a stream is an error as the dialect has it."""
    match dialect:
        case "bedrock":
            kind, told = unframed(body)[-1]
            assert kind.endswith("Exception"), kind
            assert told["message"]
        case "ollama":
            assert json.loads(body.splitlines()[-1])["error"]
        case "cohere":
            last = data(body)[-1]
            assert last["type"] == "message-end", last
            assert last["delta"]["finish_reason"] == "ERROR", last
        case "responses":
            last = data(body)[-1]
            assert last["type"] in ("error", "response.failed"), last
        case "anthropic":
            last = data(body)[-1]
            assert (last["type"], bool(last["error"]["message"])) == ("error", True)
        case "gemini":
            assert data(body)[-1]["error"]["message"]
        case _:
            told = [event for event in data(body) if event != "[DONE]"]
            assert told[-1]["error"]["message"]


def usage(gateway: Tidegate, count: int = 1) -> list[dict[str, Any]]:
    """The usage records of the test, oldest first, once there are so many."""
    since = dt.datetime.fromtimestamp(gateway.since, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")

    def look() -> list[dict[str, Any]] | None:
        told = gateway.control(f"/ai/usage?records=true&format=json&from={since}")
        assert told.status == 200, told.body
        rows = [row for row in told.json() if row["started_ms"] + 1 > gateway.since * 1000]
        return rows if len(rows) >= count else None

    return until(look, f"{count} usage records") or []
