"""Anthropic messages and count_tokens."""

from __future__ import annotations

import json
from typing import Any

from tests.support.http import Request
from tests.support.providers.script import Asked, Script, Usage, reason
from tests.support.providers.wording import NotServed, bearer, event, json_body, must, pieces, plain

STREAM_TYPE = "text/event-stream; charset=utf-8"
PREFIX = ""
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def credential(request: Request) -> str | None:
    return request.fields.get("x-api-key") or bearer(request)


def read(request: Request) -> Asked:
    path = request.target.partition("?")[0]
    if request.method != "POST" or path not in ("/v1/messages", "/v1/messages/count_tokens"):
        raise NotServed(path)
    must(request.fields.get("anthropic-version"), "no anthropic-version")
    body = json_body(request)
    must(isinstance(body.get("model"), str), "no model")
    counts = path.endswith("count_tokens")
    must(counts or isinstance(body.get("max_tokens"), int), "no max_tokens")
    for tool in body.get("tools") or []:
        must(tool.get("name"), f"a tool without a name: {tool}")
        must(isinstance(tool.get("input_schema"), dict), f"a tool without a schema: {tool}")
    return Asked(
        model=body["model"],
        stream=body.get("stream") is True,
        surface="count_tokens" if counts else "chat",
        body=body,
        request=request,
        results=_turns(body),
    )


def _turns(body: dict[str, Any]) -> tuple[str, ...]:
    messages = body.get("messages")
    must(isinstance(messages, list) and messages, "no messages")
    assert isinstance(messages, list)
    open_calls: set[str] = set()
    results: list[str] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        must(role in ("user", "assistant"), f"no such role: {role}")
        must(content, f"an empty message: {message}")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        told = [block for block in blocks if block["type"] == "tool_result"]
        must({block["tool_use_id"] for block in told} == open_calls, f"results of {told}, calls {open_calls}")
        must(blocks[: len(told)] == told, "results stand first in their turn")
        results = [plain(block.get("content")) for block in told]
        calls = [block for block in blocks if block["type"] == "tool_use"]
        must(role == "assistant" or not calls, "a user does not call tools")
        open_calls = {block["id"] for block in calls}
        for block in blocks:
            if block["type"] == "text":
                must(block["text"], "an empty text block")
            if block["type"] == "tool_use":
                must(isinstance(block["input"], dict), f"an input that is no object: {block}")
            if block["type"] == "thinking":
                must(block.get("signature"), "a thought without its signature")
    must(not open_calls, f"calls without results: {open_calls}")
    return tuple(results)


def usage(told: Usage) -> dict[str, Any]:
    return {
        "input_tokens": told.input,
        "cache_creation_input_tokens": told.cache_write,
        "cache_read_input_tokens": told.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": told.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": told.all_output,
        "service_tier": "standard",
    }


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "count_tokens":
        return {"input_tokens": script.usage.input if script.usage else 0}
    content: list[dict[str, Any]] = []
    if script.thought:
        content.append({"type": "thinking", "thinking": script.thought, "signature": script.signature})
    if script.text:
        content.append({"type": "text", "text": script.said})
    for call in script.calls:
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)})
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": STOPS[script.ends],
        "stop_sequence": None,
        **({"usage": usage(script.usage)} if script.usage else {}),
    }


def frames(asked: Asked, script: Script) -> list[bytes]:
    begun = {**usage(script.usage), "output_tokens": 1} if script.usage else {}
    message: dict[str, Any] = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **({"usage": begun} if begun else {}),
    }
    out = [event("message_start", {"type": "message_start", "message": message})]
    at = 0

    def block(opened: dict[str, Any], deltas: list[dict[str, Any]]) -> None:
        nonlocal at
        out.append(event("content_block_start", {"type": "content_block_start", "index": at, "content_block": opened}))
        if at == 0:
            out.append(event("ping", {"type": "ping"}))
        for delta in deltas:
            out.append(event("content_block_delta", {"type": "content_block_delta", "index": at, "delta": delta}))
        out.append(event("content_block_stop", {"type": "content_block_stop", "index": at}))
        at += 1

    if script.thought:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(script.thought)]
        signed = {"type": "signature_delta", "signature": script.signature}
        block({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed])
    if script.text:
        block({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in script.text])
    for call in script.calls:
        parts = ["", *pieces(json.dumps(dict(call.arguments)))]
        opened = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        block(opened, [{"type": "input_json_delta", "partial_json": piece} for piece in parts])
    delta = {"stop_reason": STOPS[script.ends], "stop_sequence": None}
    last = {"usage": {"output_tokens": script.usage.all_output}} if script.usage else {}
    out.append(event("message_delta", {"type": "message_delta", "delta": delta, **last}))
    return [*out, event("message_stop", {"type": "message_stop"})]


def error(script: Script) -> dict[str, Any]:
    kind = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }.get(script.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": reason(script)}, "request_id": "req_fake"}


def refusal(script: Script) -> tuple[Any, list[str]]:
    return error(script), ["request-id: req_fake", *script.fields]


def failure(script: Script) -> bytes:
    told = {"type": "overloaded_error", "message": "It broke midway."}
    return event("error", {"type": "error", "error": told})
