"""The cohere SDK, version 2 of its API: chat, streams, tools, vectors."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import cohere
from common import FUNCTION, QUESTION, TEXTS, result_of, run


@cache
def client(base: str, key: str) -> cohere.ClientV2:
    return cohere.ClientV2(api_key=key, base_url=base, max_retries=0)


def usage(told: Any) -> list[int] | None:
    return [int(told.tokens.input_tokens), int(told.tokens.output_tokens)] if told and told.tokens else None


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content or [] if block.type == "text")


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).chat(model=model, messages=[{"role": "user", "content": QUESTION}])
    return {"text": text_of(got.message), "finish": got.finish_reason, "usage": usage(got.usage)}


def stream(base: str, key: str, model: str) -> Any:
    text, pieces, finish, told = "", 0, None, None
    for event in client(base, key).chat_stream(model=model, messages=[{"role": "user", "content": QUESTION}]):
        if event.type == "content-delta":
            piece = event.delta.message.content.text or ""
            text, pieces = text + piece, pieces + bool(piece)
        if event.type == "message-end":
            finish, told = event.delta.finish_reason, usage(event.delta.usage)
    return {"text": text, "pieces": pieces, "finish": finish, "usage": told}


def tools(base: str, key: str, model: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client(base, key).chat(model=model, messages=messages, tools=[FUNCTION])
    said = first.message
    messages.append({"role": "assistant", "tool_plan": said.tool_plan or "", "tool_calls": said.tool_calls})
    calls = []
    for call in said.tool_calls or []:
        arguments = json.loads(call.function.arguments)
        calls.append([call.function.name, arguments])
        document = {"type": "document", "document": {"data": result_of(arguments)}}
        messages.append({"role": "tool", "tool_call_id": call.id, "content": [document]})
    then = client(base, key).chat(model=model, messages=messages, tools=[FUNCTION])
    return {"finish": first.finish_reason, "calls": calls, "text": text_of(then.message)}


def tools_stream(base: str, key: str, model: str) -> Any:
    calls: list[list[Any]] = []
    finish = None
    messages = [{"role": "user", "content": QUESTION}]
    for event in client(base, key).chat_stream(model=model, messages=messages, tools=[FUNCTION]):
        match event.type:
            case "tool-call-start":
                begun = event.delta.message.tool_calls.function
                calls.append([begun.name, begun.arguments or ""])
            case "tool-call-delta":
                calls[-1][1] += event.delta.message.tool_calls.function.arguments or ""
            case "message-end":
                finish = event.delta.finish_reason
    return {"finish": finish, "calls": [[name, json.loads(told)] for name, told in calls]}


def embeddings(base: str, key: str, model: str) -> Any:
    got = client(base, key).embed(model=model, texts=TEXTS, input_type="search_document", embedding_types=["float"])
    return {"vectors": got.embeddings.float_}


if __name__ == "__main__":
    run({"plain": plain, "stream": stream, "tools": tools, "tools_stream": tools_stream, "embeddings": embeddings})
