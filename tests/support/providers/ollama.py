"""Ollama chat and embed: lines of JSON."""

from __future__ import annotations

from typing import Any

from tests.support.http import Request
from tests.support.providers.script import Asked, Script, Usage, reason
from tests.support.providers.wording import (
    NotServed,
    compact,
    json_body,
    must,
    pieces,
    texts,
    tools_by_function,
    vector,
)

STREAM_TYPE = "application/x-ndjson"
PREFIX = ""
ENDS = {"stop": "stop", "tool_calls": "stop", "length": "length", "content_filter": "stop"}


def credential(request: Request) -> str | None:
    told = request.fields.get("Authorization")
    return told.removeprefix("Bearer ") if told else "none"


def read(request: Request) -> Asked:
    path = request.target.partition("?")[0]
    if request.method != "POST" or path not in ("/api/chat", "/api/embed"):
        raise NotServed(path)
    body = json_body(request)
    must(isinstance(body.get("model"), str), "no model")
    if path == "/api/embed":
        texts(body.get("input"))
        return Asked(model=body["model"], stream=False, surface="embeddings", body=body, request=request)
    tools_by_function(body)
    messages: Any = body.get("messages")
    must(isinstance(messages, list) and messages, "no messages")
    assert isinstance(messages, list)
    results: list[str] = []
    for message in messages:
        must(message.get("role") in ("system", "user", "assistant", "tool"), f"no such role: {message}")
        must(isinstance(message.get("content", ""), str), f"a content that is no text: {message}")
        for call in message.get("tool_calls") or []:
            must(isinstance(call["function"]["arguments"], dict), f"arguments that are no object: {call}")
        results = [*results, message["content"]] if message["role"] == "tool" else []
    return Asked(
        model=body["model"],
        stream=body.get("stream") is not False,  # it streams unless told not to
        surface="chat",
        body=body,
        request=request,
        results=tuple(results),
    )


def _done(script: Script) -> dict[str, Any]:
    out: dict[str, Any] = {"done_reason": ENDS[script.ends], "done": True, "total_duration": 5_000_000}
    told: Usage | None = script.usage
    return {**out, **({"prompt_eval_count": told.all_input, "eval_count": told.all_output} if told else {})}


def _calls(script: Script) -> list[dict[str, Any]]:
    return [{"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in script.calls]


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "embeddings":
        given = texts(asked.body["input"])
        out: dict[str, Any] = {"model": asked.model, "embeddings": [vector(text) for text in given]}
        return {**out, **({"prompt_eval_count": script.usage.input * len(given)} if script.usage else {})}
    message: dict[str, Any] = {"role": "assistant", "content": script.said}
    if script.thought:
        message["thinking"] = script.thought
    if script.calls:
        message["tool_calls"] = _calls(script)
    return {"model": asked.model, "created_at": "2026-11-01T00:00:00Z", "message": message, **_done(script)}


def frames(asked: Asked, script: Script) -> list[bytes]:
    def line(more: dict[str, Any], **message: Any) -> bytes:
        head = {"model": asked.model, "created_at": "2026-11-01T00:00:00Z"}
        said = {"role": "assistant", "content": "", **message}
        return compact({**head, "message": said, **more}) + b"\n"

    more = {"done": False}
    out = [line(more, thinking=piece) for piece in pieces(script.thought)]
    out += [line(more, content=piece) for piece in script.text]
    out += [line(more, tool_calls=[call]) for call in _calls(script)]
    return [*out, line(_done(script))]


def refusal(script: Script) -> tuple[Any, list[str]]:
    return {"error": reason(script)}, [*script.fields]


def failure(script: Script) -> bytes:
    return compact({"error": "It broke midway."}) + b"\n"
