"""Mistral chat and embeddings: nearly OpenAI's words."""

from __future__ import annotations

import re
from typing import Any

from tests.support.http import Request
from tests.support.providers import openai
from tests.support.providers.script import Asked, Script, reason
from tests.support.providers.wording import arguments, bearer, data, must, pieces

STREAM_TYPE = "text/event-stream; charset=utf-8"
TAKEN = {
    *("model", "messages", "stream", "temperature", "top_p", "top_k", "max_tokens", "min_tokens", "stop", "n"),
    *("random_seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs"),
    *("metadata", "response_format", "tools", "tool_choice", "parallel_tool_calls", "prediction", "prompt_mode"),
    *(
        "reasoning_effort",
        "guardrails",
        "safe_prompt",
        "prompt_logprobs",
        "top_prompt_logprobs",
        "prompt_cache_key",
        "service_tier",
    ),
}
"""The fields of its SDK's chat request; all others are refused (422)."""
PREFIX = ""


def credential(request: Request) -> str | None:
    return bearer(request)


def read(request: Request) -> Asked:
    asked = openai.read(request)
    if asked.surface == "chat":
        for name in asked.body:
            must(name in TAKEN, f"Mistral takes no `{name}`")
        for message in asked.body["messages"]:
            must(message["role"] != "developer", "Mistral knows no developer")
            for call in message.get("tool_calls") or []:
                must(re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]), f"not nine letters and digits: {call['id']}")
    return asked


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "embeddings":
        return {"id": "embd-fake", **openai.embeddings(asked, script)}
    message: dict[str, Any] = {"role": "assistant", "content": script.said, "tool_calls": None, "prefix": False}
    if script.thought:
        told = {"type": "thinking", "thinking": [{"type": "text", "text": script.thought}], "closed": True}
        message["content"] = [told, {"type": "text", "text": script.said}]
    if script.calls:
        message["tool_calls"] = calls(script)
    return {
        "id": "cmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": script.ends}],
        **({"usage": usage(script)} if script.usage else {}),
    }


def usage(script: Script) -> dict[str, Any]:
    assert script.usage
    told = {"prompt_tokens": script.usage.all_input, "completion_tokens": script.usage.all_output}
    return {**told, "total_tokens": sum(told.values())}


def calls(script: Script) -> list[dict[str, Any]]:
    return [
        {
            "id": re.sub(r"[^a-zA-Z0-9]", "", call.id)[-9:],
            "type": "function",
            "function": {"name": call.name, "arguments": arguments(call.arguments)},
            "index": at,
        }
        for at, call in enumerate(script.calls)
    ]


def frames(asked: Asked, script: Script) -> list[bytes]:
    head = {"id": "cmpl-fake", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": asked.model}

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        return data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    out = [chunk({"role": "assistant", "content": ""})]
    thoughts = [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]} for piece in pieces(script.thought)]
    out += [chunk({"content": [thought]}) for thought in thoughts]
    out += [chunk({"content": piece}) for piece in script.text]
    last: dict[str, Any] = {"content": ""}
    if script.calls:
        last["tool_calls"] = calls(script)
    out.append(chunk(last, script.ends, **({"usage": usage(script)} if script.usage else {})))
    return [*out, b"data: [DONE]\n\n"]


def refusal(script: Script) -> tuple[Any, list[str]]:
    kind = {401: "unauthorized", 429: "rate_limited"}.get(script.status, "invalid_request_error")
    return {"object": "error", "message": reason(script), "type": kind, "param": None, "code": "3000"}, [*script.fields]


def failure(script: Script) -> bytes:
    return data({"error": {"message": "It broke midway.", "type": "internal_server_error", "code": "1000"}})
