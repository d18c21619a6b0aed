"""Gemini generateContent, its stream, countTokens and embeddings."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from tests.support.http import Request
from tests.support.providers.script import Asked, Script, Usage, reason
from tests.support.providers.wording import NotServed, data, json_body, must, vector

STREAM_TYPE = "text/event-stream"
PREFIX = ""
ENDS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_PATH = re.compile(r"/v1(?:beta)?/models/([^:/]+):(\w+)")
_SURFACES = {
    "generateContent": "chat",
    "streamGenerateContent": "chat",
    "countTokens": "count_tokens",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
}
_PARTS = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
}


def credential(request: Request) -> str | None:
    found = re.search(r"[?&]key=([^&]*)", request.target)
    return request.fields.get("x-goog-api-key") or (unquote(found[1]) if found else None)


def read(request: Request) -> Asked:
    path, _, query = request.target.partition("?")
    found = _PATH.fullmatch(path)
    if not found or request.method != "POST" or found[2] not in _SURFACES:
        raise NotServed(path)
    stream = found[2].startswith("stream")
    must(not stream or "alt=sse" in query.split("&"), "a stream is asked for as server-sent events")
    body = json_body(request)
    asked = Asked(model=unquote(found[1]), stream=stream, surface=_SURFACES[found[2]], body=body, request=request)
    if asked.surface == "chat":
        for tool in body.get("tools") or []:
            for function in tool.get("functionDeclarations") or []:
                must(function.get("name"), f"a function without a name: {function}")
        asked.results = _turns(body)
    return asked


def _turns(body: dict[str, Any]) -> tuple[str, ...]:
    contents = body.get("contents")
    must(isinstance(contents, list) and contents, "no contents")
    assert isinstance(contents, list)
    open_calls: list[str] = []
    results: list[str] = []
    for content in contents:
        must(content.get("role", "user") in ("user", "model"), f"no such role: {content.get('role')}")
        parts = content.get("parts")
        must(isinstance(parts, list) and parts, f"no parts: {content}")
        for part in parts:
            must(len(_PARTS & set(part)) == 1, f"a part is one thing: {part}")
        told = [part["functionResponse"] for part in parts if "functionResponse" in part]
        must(sorted(one["name"] for one in told) == sorted(open_calls), f"results {told}, calls {open_calls}")
        for one in told:
            must(isinstance(one["response"], dict), f"a response that is no object: {one}")
        results = [str(one["response"]) for one in told]
        open_calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    must(not open_calls, f"calls without results: {open_calls}")
    return tuple(results)


def usage(told: Usage) -> dict[str, Any]:
    out = {
        "promptTokenCount": told.all_input,
        "candidatesTokenCount": told.output,
        "totalTokenCount": told.all_input + told.all_output,
    }
    if told.cache_read:
        out["cachedContentTokenCount"] = told.cache_read
    if told.reasoning:
        out["thoughtsTokenCount"] = told.reasoning
    return out


def _calls(script: Script) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for call in script.calls:
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": dict(call.arguments)}}
        if script.signature and not out:
            part["thoughtSignature"] = script.signature
        out.append(part)
    return out


def _answer(asked: Asked, parts: list[dict[str, Any]], finish: str | None, usage: dict[str, Any] | None) -> Any:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": parts}
    if finish:
        candidate["finishReason"] = finish
    out = {"candidates": [candidate], "modelVersion": asked.model + "-001", "responseId": "resp-fake"}
    return {**out, **({"usageMetadata": usage} if usage else {})}


def whole(asked: Asked, script: Script) -> Any:
    if asked.surface == "count_tokens":
        return {"totalTokens": script.usage.input if script.usage else 0}
    if asked.surface == "embeddings":
        if "requests" not in asked.body:
            return {"embedding": {"values": vector(asked.body["content"]["parts"][0]["text"])}}
        given = [one["content"]["parts"][0]["text"] for one in asked.body["requests"]]
        return {"embeddings": [{"values": vector(text)} for text in given]}
    parts: list[dict[str, Any]] = []
    if script.thought:
        parts.append({"text": script.thought, "thought": True})
    if script.text:
        parts.append({"text": script.said})
        if script.signature and not script.calls:
            parts[-1]["thoughtSignature"] = script.signature
    parts += _calls(script)
    return _answer(asked, parts, ENDS[script.ends], usage(script.usage) if script.usage else None)


def frames(asked: Asked, script: Script) -> list[bytes]:
    told = usage(script.usage) if script.usage else None
    early = {"promptTokenCount": told["promptTokenCount"]} if told else None
    parts: list[dict[str, Any]] = []
    if script.thought:
        parts.append({"text": script.thought, "thought": True})
    for at, piece in enumerate(script.text):
        parts.append({"text": piece})
        if script.signature and not script.calls and at == len(script.text) - 1:
            parts[-1]["thoughtSignature"] = script.signature
    out = [data(_answer(asked, [part], None, early)) for part in parts]
    return [*out, data(_answer(asked, _calls(script), ENDS[script.ends], told))]


def error(script: Script) -> dict[str, Any]:
    status = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
        529: "UNAVAILABLE",
    }.get(script.status, "INTERNAL")
    return {"error": {"code": script.status, "message": reason(script), "status": status}}


def refusal(script: Script) -> tuple[Any, list[str]]:
    body = error(script)
    for line in script.fields:
        name, _, value = line.partition(": ")
        if name.lower() == "retry-after":  # Gemini tells it in the body
            info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{value}s"}
            body["error"]["details"] = [info]
    return body, [line for line in script.fields if not line.lower().startswith("retry-after")]


def failure(script: Script) -> bytes:
    return data({"error": {"code": 503, "message": "It broke midway.", "status": "UNAVAILABLE"}})
