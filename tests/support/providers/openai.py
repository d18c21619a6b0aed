"""OpenAI chat completions, completions, embeddings and models, and what goes to the same base unread."""

from __future__ import annotations

from typing import Any

from tests.support.http import Request
from tests.support.providers.script import Asked, Script, Usage, reason
from tests.support.providers.wording import (
    NotServed,
    arguments,
    bearer,
    compact,
    data,
    json_body,
    must,
    packed,
    pieces,
    texts,
    tools_by_function,
    turns_by_role,
    vector,
)

STREAM_TYPE = "text/event-stream; charset=utf-8"
PREFIX = "/v1"
ROLES = {"system", "developer", "user", "assistant", "tool"}
UNREAD = ("/v1/images/", "/v1/audio/", "/v1/files", "/v1/batches", "/v1/moderations", "/v1/rerank")


def credential(request: Request) -> str | None:
    return bearer(request)


def read(request: Request) -> Asked:
    path = request.target.partition("?")[0]
    if path.startswith(UNREAD):
        return Asked(model="", stream=False, surface=path.removeprefix("/v1/"), body=request.body, request=request)
    if request.method != "POST" or path not in ("/v1/chat/completions", "/v1/embeddings", "/v1/completions"):
        raise NotServed(path)
    body = json_body(request)
    must(isinstance(body.get("model"), str), "no model")
    asked = Asked(model=body["model"], stream=body.get("stream") is True, surface=path[4:], body=body, request=request)
    match path:
        case "/v1/embeddings":
            texts(body.get("input"))
            asked.surface = "embeddings"
        case "/v1/chat/completions":
            tools_by_function(body)
            asked.results = turns_by_role(body.get("messages"), ROLES)
            must("stream_options" not in body or asked.stream, "stream_options without a stream")
            asked.surface = "chat"
    return asked


def usage(told: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": told.all_input,
        "completion_tokens": told.all_output,
        "total_tokens": told.all_input + told.all_output,
        "prompt_tokens_details": {"cached_tokens": told.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": told.reasoning, "audio_tokens": 0},
    }


def embeddings(asked: Asked, script: Script) -> dict[str, Any]:
    inputs = texts(asked.body["input"])
    as_text = asked.body.get("encoding_format") == "base64"
    out: dict[str, Any] = {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": at, "embedding": packed(vector(text)) if as_text else vector(text)}
            for at, text in enumerate(inputs)
        ],
    }
    if script.usage:
        count = script.usage.input * len(inputs)
        out["usage"] = {"prompt_tokens": count, "total_tokens": count}
    return out


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "embeddings":
        return embeddings(asked, script)
    if asked.surface == "completions":
        choice: dict[str, Any] = {"index": 0, "text": script.said, "logprobs": None, "finish_reason": script.ends}
        out = {"id": "cmpl-fake", "object": "text_completion", "created": 1_700_000_000, "model": asked.model}
        return {**out, "choices": [choice], **({"usage": usage(script.usage)} if script.usage else {})}
    if asked.surface != "chat":
        return {"echoed": asked.surface, "bytes": len(asked.body)}
    message: dict[str, Any] = {"role": "assistant", "content": script.said or None, "refusal": None}
    if script.thought:
        message["reasoning_content"] = script.thought
    if script.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments(call.arguments)}}
            for call in script.calls
        ]
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked.model + "-2024",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": script.ends}],
        **({"usage": usage(script.usage)} if script.usage else {}),
        "service_tier": "default",
        "system_fingerprint": "fp_tide",
    }


def frames(asked: Asked, script: Script) -> list[bytes]:
    wants = (asked.body.get("stream_options") or {}).get("include_usage") is True
    head = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": asked.model + "-2024",
        "system_fingerprint": "fp_tide",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data({**head, "choices": [choice], **({"usage": None} if wants else {})})

    out = [chunk({"role": "assistant", "content": "", "refusal": None})]
    out += [chunk({"reasoning_content": piece}) for piece in pieces(script.thought)]
    out += [chunk({"content": piece}) for piece in script.text]
    for at, call in enumerate(script.calls):
        opened = {"index": at, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        out.append(chunk({"tool_calls": [opened]}))
        for piece in pieces(arguments(call.arguments)):
            out.append(chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}))
    out.append(chunk({}, script.ends))
    if wants and script.usage:
        out.append(data({**head, "choices": [], "usage": usage(script.usage)}))
    return [*out, b"data: [DONE]\n\n"]


def error(script: Script) -> dict[str, Any]:
    kind, code = {
        400: ("invalid_request_error", None),
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "model_not_found"),
        429: ("requests", "rate_limit_exceeded"),
    }.get(script.status, ("server_error", None))
    match script.why:
        case "context":
            code = "context_length_exceeded"
        case "quota":
            kind = code = "insufficient_quota"
        case "filter":
            code = "content_filter"
    return {"error": {"message": reason(script), "type": kind, "param": None, "code": code}}


def refusal(script: Script) -> tuple[Any, list[str]]:
    return error(script), ["x-request-id: req_fake", *script.fields]


def failure(script: Script) -> bytes:
    return (
        b"data: " + compact({"error": {"message": "It broke midway.", "type": "server_error", "code": None}}) + b"\n\n"
    )
