"""OpenAI responses."""

from __future__ import annotations

import json
from typing import Any

from tests.support.http import Request
from tests.support.providers import openai
from tests.support.providers.script import Asked, Script, Usage
from tests.support.providers.wording import NotServed, arguments, bearer, event, json_body, must, pieces, plain

STREAM_TYPE = "text/event-stream; charset=utf-8"
PREFIX = "/v1"
_ITEMS = {"message", "function_call", "function_call_output", "reasoning", "item_reference"}


def credential(request: Request) -> str | None:
    return bearer(request)


def read(request: Request) -> Asked:
    path = request.target.partition("?")[0]
    if path == "/v1/embeddings":
        return openai.read(request)
    if request.method != "POST" or path != "/v1/responses":
        raise NotServed(path)
    body = json_body(request)
    must(isinstance(body.get("model"), str), "no model")
    for tool in body.get("tools") or []:
        must(tool.get("type"), f"a tool of no type: {tool}")
        must(tool["type"] != "function" or tool.get("name"), f"a tool without a name: {tool}")
    results: list[str] = []
    given = body.get("input")
    must(given, "no input")
    open_calls: list[str] = []
    for item in given if isinstance(given, list) else []:
        kind = item.get("type", "message")
        must(kind in _ITEMS, f"no such item: {item}")
        if kind == "function_call":
            json.loads(item["arguments"])
            open_calls.append(item["call_id"])
        elif kind == "function_call_output":
            must(item["call_id"] in open_calls, f"an output of no call: {item}")
            open_calls.remove(item["call_id"])
            results.append(plain(item["output"]))
        elif kind == "message":
            must(item["role"] in ("user", "assistant", "system", "developer"), f"no such role: {item}")
            results = []
    must(not open_calls, f"calls without outputs: {open_calls}")
    return Asked(
        model=body["model"],
        stream=body.get("stream") is True,
        surface="chat",
        body=body,
        request=request,
        results=tuple(results),
    )


def usage(told: Usage) -> dict[str, Any]:
    return {
        "input_tokens": told.all_input,
        "input_tokens_details": {"cached_tokens": told.cache_read},
        "output_tokens": told.all_output,
        "output_tokens_details": {"reasoning_tokens": told.reasoning},
        "total_tokens": told.all_input + told.all_output,
    }


def _items(script: Script) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    if script.thought:
        summary = [{"type": "summary_text", "text": script.thought}]
        item: dict[str, Any] = {"type": "reasoning", "id": "rs_fake", "summary": summary}
        out.append({**item, **({"encrypted_content": script.signature} if script.signature else {})})
    if script.text:
        content = [{"type": "output_text", "text": script.said, "annotations": [], "logprobs": []}]
        out.append(
            {"type": "message", "id": "msg_fake", "status": "completed", "role": "assistant", "content": content}
        )
    for at, call in enumerate(script.calls):
        out.append(
            {
                "type": "function_call",
                "id": f"fc_fake{at}",
                "call_id": call.id,
                "name": call.name,
                "arguments": arguments(call.arguments),
                "status": "completed",
            }
        )
    return out


def _response(asked: Asked, script: Script, status: str) -> dict[str, Any]:
    over = status != "in_progress"
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(script.ends)
    return {
        "id": "resp_fake",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if over and cut else status,
        "error": None,
        "incomplete_details": {"reason": cut} if over and cut else None,
        "instructions": asked.body.get("instructions"),
        "metadata": {},
        "model": asked.model,
        "output": _items(script) if over else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": asked.body.get("tools") or [],
        "top_p": 1.0,
        "usage": usage(script.usage) if over and script.usage else None,
    }


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "embeddings":
        return openai.embeddings(asked, script)
    return _response(asked, script, "completed")


def frames(asked: Asked, script: Script) -> list[bytes]:
    out: list[bytes] = []

    def say(kind: str, **more: Any) -> None:
        out.append(event(kind, {"type": kind, "sequence_number": len(out), **more}))

    say("response.created", response=_response(asked, script, "in_progress"))
    say("response.in_progress", response=_response(asked, script, "in_progress"))
    for at, item in enumerate(_items(script)):
        where = {"item_id": item["id"], "output_index": at}
        match item["type"]:
            case "message":
                say(
                    "response.output_item.added", output_index=at, item={**item, "status": "in_progress", "content": []}
                )
                part = item["content"][0]
                inside = {**where, "content_index": 0}
                say("response.content_part.added", **inside, part={**part, "text": ""})
                for piece in script.text:
                    say("response.output_text.delta", **inside, delta=piece, logprobs=[])
                say("response.output_text.done", **inside, text=script.said, logprobs=[])
                say("response.content_part.done", **inside, part=part)
            case "function_call":
                opened = {**item, "status": "in_progress", "arguments": ""}
                say("response.output_item.added", output_index=at, item=opened)
                for piece in pieces(item["arguments"]):
                    say("response.function_call_arguments.delta", **where, delta=piece)
                say("response.function_call_arguments.done", **where, arguments=item["arguments"], name=item["name"])
            case "reasoning":
                say("response.output_item.added", output_index=at, item={**item, "summary": []})
                inside = {**where, "summary_index": 0}
                say("response.reasoning_summary_part.added", **inside, part={"type": "summary_text", "text": ""})
                for piece in pieces(script.thought):
                    say("response.reasoning_summary_text.delta", **inside, delta=piece)
                say("response.reasoning_summary_text.done", **inside, text=script.thought)
                say("response.reasoning_summary_part.done", **inside, part=item["summary"][0])
        say("response.output_item.done", output_index=at, item=item)
    last = _response(asked, script, "completed")
    say(f"response.{last['status']}", response=last)
    return out


def refusal(script: Script) -> tuple[Any, list[str]]:
    return openai.refusal(script)


def failure(script: Script) -> bytes:
    told = {"type": "error", "code": "server_error", "message": "It broke midway.", "param": None}
    return event("error", {**told, "sequence_number": 99})
