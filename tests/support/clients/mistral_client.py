"""The mistralai SDK: chat, streams, tools, vectors."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from common import FUNCTION, QUESTION, TEXTS, result_of, run
from mistralai.client import Mistral


@cache
def client(base: str, key: str) -> Mistral:
    return Mistral(api_key=key, server_url=base)


def arguments_of(call: Any) -> Any:
    told = call.function.arguments
    return json.loads(told) if isinstance(told, str) else told


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).chat.complete(model=model, messages=[{"role": "user", "content": QUESTION}])
    return {
        "text": got.choices[0].message.content,
        "finish": got.choices[0].finish_reason,
        "usage": [got.usage.prompt_tokens, got.usage.completion_tokens],
    }


def stream(base: str, key: str, model: str) -> Any:
    text, pieces, finish, usage = "", 0, None, None
    for event in client(base, key).chat.stream(model=model, messages=[{"role": "user", "content": QUESTION}]):
        chunk = event.data
        if chunk.usage:
            usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        for choice in chunk.choices:
            piece = choice.delta.content or ""
            text, pieces = text + piece, pieces + bool(piece)
            finish = choice.finish_reason or finish
    return {"text": text, "pieces": pieces, "finish": finish, "usage": usage}


def tools(base: str, key: str, model: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client(base, key).chat.complete(model=model, messages=messages, tools=[FUNCTION])
    said = first.choices[0].message
    messages.append(said)
    calls = []
    for call in said.tool_calls or []:
        calls.append([call.function.name, arguments_of(call)])
        result = {"role": "tool", "name": call.function.name, "tool_call_id": call.id}
        messages.append({**result, "content": result_of(arguments_of(call))})
    then = client(base, key).chat.complete(model=model, messages=messages, tools=[FUNCTION])
    return {"finish": first.choices[0].finish_reason, "calls": calls, "text": then.choices[0].message.content}


def tools_stream(base: str, key: str, model: str) -> Any:
    made: dict[Any, list[str]] = {}
    finish = None
    messages = [{"role": "user", "content": QUESTION}]
    for event in client(base, key).chat.stream(model=model, messages=messages, tools=[FUNCTION]):
        for choice in event.data.choices:
            for call in choice.delta.tool_calls or []:
                told = call.function.arguments
                known = made.setdefault(call.index, ["", ""])
                known[0] = known[0] or call.function.name
                known[1] += told if isinstance(told, str) else json.dumps(told)
            finish = choice.finish_reason or finish
    return {"finish": finish, "calls": [[name, json.loads(told)] for name, told in made.values()]}


def embeddings(base: str, key: str, model: str) -> Any:
    got = client(base, key).embeddings.create(model=model, inputs=TEXTS)
    return {"vectors": [one.embedding for one in got.data]}


if __name__ == "__main__":
    run({"plain": plain, "stream": stream, "tools": tools, "tools_stream": tools_stream, "embeddings": embeddings})
