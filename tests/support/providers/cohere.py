"""Cohere v2 chat and embed."""

from __future__ import annotations

from typing import Any

from tests.support.http import Request
from tests.support.providers.script import Asked, Script, Usage, reason
from tests.support.providers.wording import (
    NotServed,
    arguments,
    bearer,
    event,
    json_body,
    must,
    pieces,
    texts,
    tools_by_function,
    turns_by_role,
    vector,
)

STREAM_TYPE = "text/event-stream"
PREFIX = ""
ENDS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "content_filter": "ERROR_TOXIC"}


def credential(request: Request) -> str | None:
    return bearer(request)


def read(request: Request) -> Asked:
    path = request.target.partition("?")[0]
    if request.method != "POST" or path not in ("/v2/chat", "/v2/embed"):
        raise NotServed(path)
    body = json_body(request)
    must(isinstance(body.get("model"), str), "no model")
    if path == "/v2/embed":
        must(body.get("input_type"), "no input_type")
        must(body.get("embedding_types", ["float"]) == ["float"], "only floats are made here")
        texts(body.get("texts") or [one["content"][0]["text"] for one in body.get("inputs") or []])
        return Asked(model=body["model"], stream=False, surface="embeddings", body=body, request=request)
    for name in ("n", "top_p", "stop", "max_completion_tokens", "stream_options"):
        must(name not in body, f"Cohere takes no `{name}`")
    tools_by_function(body)
    return Asked(
        model=body["model"],
        stream=body.get("stream") is True,
        surface="chat",
        body=body,
        request=request,
        results=turns_by_role(body.get("messages"), {"system", "user", "assistant", "tool"}),
    )


def usage(told: Usage) -> dict[str, Any]:
    return {
        "billed_units": {"input_tokens": told.all_input, "output_tokens": told.all_output},
        "tokens": {"input_tokens": told.all_input, "output_tokens": told.all_output},
    }


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "embeddings":
        given = asked.body.get("texts") or [one["content"][0]["text"] for one in asked.body["inputs"]]
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if script.usage:
            meta["billed_units"] = {"input_tokens": script.usage.input * len(given)}
        vectors = {"float": [vector(text) for text in given]}
        return {
            "id": "embed-fake",
            "embeddings": vectors,
            "texts": given,
            "meta": meta,
            "response_type": "embeddings_by_type",
        }
    message: dict[str, Any] = {"role": "assistant"}
    content: list[dict[str, Any]] = []
    if script.thought:
        content.append({"type": "thinking", "thinking": script.thought})
    if script.calls:
        message["tool_plan"] = script.said
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments(call.arguments)}}
            for call in script.calls
        ]
    elif script.text:
        content.append({"type": "text", "text": script.said})
    if content:
        message["content"] = content
    out = {"id": "chat-fake", "finish_reason": ENDS[script.ends], "message": message}
    return {**out, **({"usage": usage(script.usage)} if script.usage else {})}


def frames(asked: Asked, script: Script) -> list[bytes]:
    def one(kind: str, **more: Any) -> bytes:
        return event(kind, {"type": kind, **more})

    opened = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    out = [one("message-start", id="chat-fake", delta={"message": opened})]
    at = 0
    if script.thought:
        begun = {"message": {"content": {"type": "thinking", "thinking": ""}}}
        out.append(one("content-start", index=at, delta=begun))
        thoughts = [{"message": {"content": {"thinking": piece}}} for piece in pieces(script.thought)]
        out += [one("content-delta", index=at, delta=delta) for delta in thoughts]
        out.append(one("content-end", index=at))
        at += 1
    if script.calls:
        out += [one("tool-plan-delta", delta={"message": {"tool_plan": piece}}) for piece in script.text]
    elif script.text:
        out.append(one("content-start", index=at, delta={"message": {"content": {"type": "text", "text": ""}}}))
        for piece in script.text:
            out.append(one("content-delta", index=at, delta={"message": {"content": {"text": piece}}}))
        out.append(one("content-end", index=at))
    for index, call in enumerate(script.calls):
        made = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        out.append(one("tool-call-start", index=index, delta={"message": {"tool_calls": made}}))
        for piece in pieces(arguments(call.arguments)):
            delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            out.append(one("tool-call-delta", index=index, delta=delta))
        out.append(one("tool-call-end", index=index))
    end: dict[str, Any] = {"finish_reason": ENDS[script.ends]}
    if script.usage:
        end["usage"] = usage(script.usage)
    return [*out, one("message-end", id="chat-fake", delta=end)]


def refusal(script: Script) -> tuple[Any, list[str]]:
    return {"id": "error-fake", "message": reason(script)}, [*script.fields]


def failure(script: Script) -> bytes:
    end = {"finish_reason": "ERROR", "error": "It broke midway."}
    return event("message-end", {"type": "message-end", "id": "chat-fake", "delta": end})
