"""The ollama SDK: chat, generate, streams, tools, vectors, the list of models."""

from __future__ import annotations

from functools import cache
from typing import Any

import ollama
from common import FUNCTION, QUESTION, TEXTS, result_of, run


@cache
def client(base: str, key: str) -> ollama.Client:
    return ollama.Client(host=base, headers={"Authorization": f"Bearer {key}"})


def ask(messages: list[Any], model: str) -> dict[str, Any]:
    return {"model": model, "messages": messages}


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).chat(**ask([{"role": "user", "content": QUESTION}], model))
    return {
        "text": got.message.content,
        "finish": got.done_reason,
        "usage": [got.prompt_eval_count, got.eval_count],
    }


def stream(base: str, key: str, model: str) -> Any:
    text, pieces, last = "", 0, None
    for chunk in client(base, key).chat(**ask([{"role": "user", "content": QUESTION}], model), stream=True):
        text, pieces = text + (chunk.message.content or ""), pieces + bool(chunk.message.content)
        last = chunk
    usage = [last.prompt_eval_count, last.eval_count]
    return {"text": text, "pieces": pieces, "finish": last.done_reason, "usage": usage}


def generate(base: str, key: str, model: str) -> Any:
    whole = client(base, key).generate(model=model, prompt=QUESTION)
    text = "".join(chunk.response for chunk in client(base, key).generate(model=model, prompt=QUESTION, stream=True))
    return {"text": whole.response, "streamed": text, "finish": whole.done_reason}


def calls_of(message: Any) -> list[Any]:
    return [[call.function.name, dict(call.function.arguments)] for call in message.tool_calls or []]


def tools(base: str, key: str, model: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client(base, key).chat(**ask(messages, model), tools=[FUNCTION])
    messages.append(first.message)
    for name, arguments in calls_of(first.message):
        messages.append({"role": "tool", "tool_name": name, "content": result_of(arguments)})
    then = client(base, key).chat(**ask(messages, model), tools=[FUNCTION])
    return {"finish": first.done_reason, "calls": calls_of(first.message), "text": then.message.content}


def tools_stream(base: str, key: str, model: str) -> Any:
    calls, finish = [], None
    asked = ask([{"role": "user", "content": QUESTION}], model)
    for chunk in client(base, key).chat(**asked, tools=[FUNCTION], stream=True):
        calls += calls_of(chunk.message)
        finish = chunk.done_reason or finish
    return {"finish": finish, "calls": calls}


def embeddings(base: str, key: str, model: str) -> Any:
    return {"vectors": [list(one) for one in client(base, key).embed(model=model, input=TEXTS).embeddings]}


def models(base: str, key: str, model: str) -> Any:
    return {"names": [one.model for one in client(base, key).list().models]}


if __name__ == "__main__":
    run(
        {
            "plain": plain,
            "stream": stream,
            "tools": tools,
            "tools_stream": tools_stream,
            "generate": generate,
            "embeddings": embeddings,
            "models": models,
        }
    )
