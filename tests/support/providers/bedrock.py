"""Bedrock converse and converse-stream, with frames of its own making."""

from __future__ import annotations

import json
import re
import struct
import zlib
from typing import Any
from urllib.parse import unquote

from tests.support.http import Request
from tests.support.providers.script import Asked, Script, Usage, reason
from tests.support.providers.wording import NotServed, bearer, compact, json_body, must, pieces, plain

STREAM_TYPE = "application/vnd.amazon.eventstream"
PREFIX = ""
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}
_PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream)")
_BLOCKS = {
    "text",
    "image",
    "document",
    "video",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "cachePoint",
    "guardContent",
}
_FIELDS = {
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "requestMetadata",
    "performanceConfig",
    "promptVariables",
    "outputConfig",
    "serviceTier",
}


def frame(kind: str, value: Any, *, exception: bool = False) -> bytes:
    """One message of an event stream: lengths, their check, headers, the payload, a check of all."""
    names = (":message-type", ":exception-type") if exception else (":message-type", ":event-type")
    told = {names[0]: "exception" if exception else "event", names[1]: kind, ":content-type": "application/json"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(text)) + text.encode()
        for name, text in told.items()
    )
    payload = compact(value)
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    before = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return before + struct.pack("!I", zlib.crc32(before))


def unframed(stream: bytes) -> list[tuple[str, Any]]:
    """The events of a whole stream; asserts that every check holds."""
    out = []
    while stream:
        total, length, check = struct.unpack_from("!III", stream)
        assert zlib.crc32(stream[:8]) == check
        assert zlib.crc32(stream[: total - 4]) == struct.unpack_from("!I", stream, total - 4)[0]
        headers, at = {}, 12
        while at < 12 + length:
            size = stream[at]
            name = stream[at + 1 : at + 1 + size].decode()
            kind, size_of_value = struct.unpack_from("!BH", stream, at + 1 + size)
            assert kind == 7
            at += 4 + size
            headers[name] = stream[at : at + size_of_value].decode()
            at += size_of_value
        payload = json.loads(stream[12 + length : total - 4])
        out.append((headers.get(":event-type") or headers[":exception-type"], payload))
        stream = stream[total:]
    return out


def credential(request: Request) -> str | None:
    told = request.fields.get("Authorization") or ""
    found = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/[a-z0-9-]+/bedrock/aws4_request,", told)
    return found[1] if found else bearer(request)


def read(request: Request) -> Asked:
    found = _PATH.fullmatch(request.target.partition("?")[0])
    if not found or request.method != "POST":
        raise NotServed(request.target)
    body = json_body(request)
    must(set(body) <= _FIELDS, f"Bedrock takes no {set(body) - _FIELDS}")
    tools = (body.get("toolConfig") or {}).get("tools") or []
    for tool in tools:
        if "toolSpec" in tool:
            must(isinstance(tool["toolSpec"]["inputSchema"]["json"], dict), f"a tool without a schema: {tool}")
    asked = Asked(
        model=unquote(found[1]),
        stream=found[2] == "converse-stream",
        surface="chat",
        body=body,
        request=request,
        results=_turns(body),
    )
    must(tools or not asked.results, "results need the tools' declarations")
    return asked


def _turns(body: dict[str, Any]) -> tuple[str, ...]:
    messages = body.get("messages")
    must(isinstance(messages, list) and messages, "no messages")
    assert isinstance(messages, list)
    open_calls: set[str] = set()
    results: list[str] = []
    last = ""
    for message in messages:
        must(message.get("role") in ("user", "assistant"), f"no such role: {message}")
        must(message["role"] != last, "roles take turns")
        last = message["role"]
        blocks = message.get("content")
        must(isinstance(blocks, list) and blocks, f"no content: {message}")
        for block in blocks:
            must(len(set(block) & _BLOCKS) == 1 and len(block) == 1, f"a block is one thing: {block}")
        told = [block["toolResult"] for block in blocks if "toolResult" in block]
        must({one["toolUseId"] for one in told} == open_calls, f"results {told}, calls {open_calls}")
        results = [plain(one["content"]) for one in told]
        open_calls = {block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block}
    must(not open_calls, f"calls without results: {open_calls}")
    return tuple(results)


def usage(told: Usage) -> dict[str, Any]:
    out = {
        "inputTokens": told.input,
        "outputTokens": told.all_output,
        "totalTokens": told.all_input + told.all_output,
    }
    if told.cache_read or told.cache_write:
        out |= {"cacheReadInputTokens": told.cache_read, "cacheWriteInputTokens": told.cache_write}
    return out


def whole(asked: Asked, script: Script) -> Any:
    content: list[dict[str, Any]] = []
    if script.thought:
        content.append({"reasoningContent": {"reasoningText": {"text": script.thought, "signature": script.signature}}})
    if script.text:
        content.append({"text": script.said})
    content += [
        {"toolUse": {"toolUseId": call.id, "name": call.name, "input": dict(call.arguments)}} for call in script.calls
    ]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": STOPS[script.ends],
        **({"usage": usage(script.usage)} if script.usage else {}),
        "metrics": {"latencyMs": 5},
    }


def frames(asked: Asked, script: Script) -> list[bytes]:
    out = [frame("messageStart", {"role": "assistant"})]
    at = 0

    def block(opened: dict[str, Any] | None, deltas: list[dict[str, Any]]) -> None:
        nonlocal at
        if opened is not None:  # texts begin with their first delta
            out.append(frame("contentBlockStart", {"contentBlockIndex": at, "start": opened}))
        out.extend(frame("contentBlockDelta", {"contentBlockIndex": at, "delta": delta}) for delta in deltas)
        out.append(frame("contentBlockStop", {"contentBlockIndex": at}))
        at += 1

    if script.thought:
        deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(script.thought)]
        block(None, [*deltas, {"reasoningContent": {"signature": script.signature}}])
    if script.text:
        block(None, [{"text": piece} for piece in script.text])
    for call in script.calls:
        parts = pieces(json.dumps(dict(call.arguments)))
        opened = {"toolUse": {"toolUseId": call.id, "name": call.name}}
        block(opened, [{"toolUse": {"input": piece}} for piece in parts])
    out.append(frame("messageStop", {"stopReason": STOPS[script.ends]}))
    told = {"usage": usage(script.usage)} if script.usage else {}
    return [*out, frame("metadata", {**told, "metrics": {"latencyMs": 5}})]


def refusal(script: Script) -> tuple[Any, list[str]]:
    kind = {
        400: "ValidationException",
        401: "UnrecognizedClientException",
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        429: "ThrottlingException",
        503: "ServiceUnavailableException",
        529: "ServiceUnavailableException",
    }.get(script.status, "InternalServerException")
    return {"message": reason(script)}, [f"x-amzn-ErrorType: {kind}", "x-amzn-RequestId: req-fake", *script.fields]


def failure(script: Script) -> bytes:
    return frame("modelStreamErrorException", {"message": "It broke midway."}, exception=True)
