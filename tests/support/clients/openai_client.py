"""The openai SDK: chat, responses, embeddings, models."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import openai
from common import CITY, FUNCTION, QUESTION, TEXTS, result_of, run


@cache
def client(base: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base + "/v1", api_key=key, max_retries=0)


def ask(messages: list[Any], model: str) -> dict[str, Any]:
    return {"model": model, "messages": messages}


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).chat.completions.create(**ask([{"role": "user", "content": QUESTION}], model))
    return {
        "text": got.choices[0].message.content,
        "finish": got.choices[0].finish_reason,
        "usage": [got.usage.prompt_tokens, got.usage.completion_tokens] if got.usage else None,
    }


def stream(base: str, key: str, model: str) -> Any:
    text, pieces, finish, usage = "", 0, None, None
    asked = ask([{"role": "user", "content": QUESTION}], model)
    for chunk in client(base, key).chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ):
        if chunk.usage:
            usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        for choice in chunk.choices:
            pieces += bool(choice.delta.content)
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return {"text": text, "pieces": pieces, "finish": finish, "usage": usage}


def tools(base: str, key: str, model: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client(base, key).chat.completions.create(**ask(messages, model), tools=[FUNCTION])
    said = first.choices[0].message
    messages.append(said.model_dump(exclude_none=True))
    calls = []
    for call in said.tool_calls or []:
        arguments = json.loads(call.function.arguments)
        calls.append([call.function.name, arguments])
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result_of(arguments)})
    then = client(base, key).chat.completions.create(**ask(messages, model), tools=[FUNCTION])
    return {"finish": first.choices[0].finish_reason, "calls": calls, "text": then.choices[0].message.content}


def tools_stream(base: str, key: str, model: str) -> Any:
    asked = ask([{"role": "user", "content": QUESTION}], model)
    with client(base, key).chat.completions.stream(**asked, tools=[FUNCTION]) as events:
        got = events.get_final_completion()
    calls = got.choices[0].message.tool_calls or []
    made = [[call.function.name, json.loads(call.function.arguments)] for call in calls]
    return {"finish": got.choices[0].finish_reason, "calls": made}


def responses(base: str, key: str, model: str) -> Any:
    got = client(base, key).responses.create(model=model, input=QUESTION)
    return {
        "text": got.output_text,
        "finish": got.status,
        "usage": [got.usage.input_tokens, got.usage.output_tokens] if got.usage else None,
    }


def responses_stream(base: str, key: str, model: str) -> Any:
    kinds: list[str] = []
    with client(base, key).responses.stream(model=model, input=QUESTION) as events:
        kinds += [event.type for event in events]
        got = events.get_final_response()
    pieces = kinds.count("response.output_text.delta")
    return {"text": got.output_text, "pieces": pieces, "finish": got.status, "last": kinds[-1]}


def responses_tools(base: str, key: str, model: str) -> Any:
    tool = {"type": "function", "name": "weather", "parameters": CITY}
    given: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client(base, key).responses.create(model=model, input=given, tools=[tool])
    calls = []
    for item in first.output:
        given.append(item.model_dump(exclude_none=True))
        if item.type == "function_call":
            calls.append([item.name, json.loads(item.arguments)])
    for item in first.output:
        if item.type == "function_call":
            output = result_of(json.loads(item.arguments))
            given.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
    then = client(base, key).responses.create(model=model, input=given, tools=[tool])
    return {"finish": first.status, "calls": calls, "text": then.output_text}


def embeddings(base: str, key: str, model: str) -> Any:
    got = client(base, key).embeddings.create(model=model, input=TEXTS)
    return {"vectors": [one.embedding for one in got.data]}


def models(base: str, key: str, model: str) -> Any:
    return {"names": [one.id for one in client(base, key).models.list()]}


if __name__ == "__main__":
    run(
        {
            "plain": plain,
            "stream": stream,
            "tools": tools,
            "tools_stream": tools_stream,
            "responses": responses,
            "responses_stream": responses_stream,
            "responses_tools": responses_tools,
            "embeddings": embeddings,
            "models": models,
        }
    )
