"""The anthropic SDK: messages, streams, tools, thinking, count_tokens."""

from __future__ import annotations

from functools import cache
from typing import Any

import anthropic
from common import CITY, QUESTION, result_of, run

TOOL = {"name": "weather", "description": "Tells it.", "input_schema": CITY}


@cache
def client(base: str, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)


def ask(messages: list[Any], model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": 256, "messages": messages}


def usage(told: Any) -> list[int]:
    cached = (told.cache_read_input_tokens or 0) + (told.cache_creation_input_tokens or 0)
    return [told.input_tokens + cached, told.output_tokens]


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Any) -> list[Any]:
    return [[block.name, block.input] for block in message.content if block.type == "tool_use"]


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).messages.create(**ask([{"role": "user", "content": QUESTION}], model))
    return {"text": text_of(got), "finish": got.stop_reason, "usage": usage(got.usage)}


def stream(base: str, key: str, model: str) -> Any:
    with client(base, key).messages.stream(**ask([{"role": "user", "content": QUESTION}], model)) as events:
        pieces = sum(1 for _ in events.text_stream)
        got = events.get_final_message()
    return {"text": text_of(got), "pieces": pieces, "finish": got.stop_reason, "usage": usage(got.usage)}


def tools(base: str, key: str, model: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client(base, key).messages.create(**ask(messages, model), tools=[TOOL])
    messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": result_of(block.input)}
        for block in first.content
        if block.type == "tool_use"
    ]
    messages.append({"role": "user", "content": results})
    then = client(base, key).messages.create(**ask(messages, model), tools=[TOOL])
    return {"finish": first.stop_reason, "calls": calls_of(first), "text": text_of(then)}


def tools_stream(base: str, key: str, model: str) -> Any:
    asked = ask([{"role": "user", "content": QUESTION}], model)
    with client(base, key).messages.stream(**asked, tools=[TOOL]) as events:
        got = events.get_final_message()
    return {"finish": got.stop_reason, "calls": calls_of(got)}


def thinking(base: str, key: str, model: str) -> Any:
    asked = {**ask([{"role": "user", "content": QUESTION}], model), "max_tokens": 2048}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    with client(base, key).messages.stream(**asked) as events:
        got = events.get_final_message()
    thoughts = [[block.thinking, block.signature] for block in got.content if block.type == "thinking"]
    return {"thoughts": thoughts, "text": text_of(got)}


def count_tokens(base: str, key: str, model: str) -> Any:
    got = client(base, key).messages.count_tokens(model=model, messages=[{"role": "user", "content": QUESTION}])
    return {"tokens": got.input_tokens}


if __name__ == "__main__":
    run(
        {
            "plain": plain,
            "stream": stream,
            "tools": tools,
            "tools_stream": tools_stream,
            "thinking": thinking,
            "count_tokens": count_tokens,
        }
    )
