"""The google-genai SDK: content, streams, tools, vectors."""

from __future__ import annotations

from functools import cache
from typing import Any

from common import CITY, QUESTION, TEXTS, result_of, run
from google import genai
from google.genai import types

TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="weather", description="Tells it.", parameters_json_schema=CITY)
    ]
)
WITH_TOOL = types.GenerateContentConfig(
    tools=[TOOL], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
)


@cache
def client(base: str, key: str) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base))


def usage(told: Any) -> list[int] | None:
    if told is None:
        return None
    return [told.prompt_token_count, (told.candidates_token_count or 0) + (told.thoughts_token_count or 0)]


def parts(answer: Any) -> list[Any]:
    content = answer.candidates[0].content if answer.candidates else None
    return list(content.parts or []) if content else []


def text_of(answer: Any) -> str:
    return "".join(part.text for part in parts(answer) if part.text and not part.thought)


def calls_of(answer: Any) -> list[Any]:
    return [[part.function_call.name, dict(part.function_call.args)] for part in parts(answer) if part.function_call]


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).models.generate_content(model=model, contents=QUESTION)
    finish = got.candidates[0].finish_reason.value
    return {"text": text_of(got), "finish": finish, "usage": usage(got.usage_metadata)}


def stream(base: str, key: str, model: str) -> Any:
    text, pieces, finish, told = "", 0, None, None
    for chunk in client(base, key).models.generate_content_stream(model=model, contents=QUESTION):
        piece = text_of(chunk)
        text, pieces = text + piece, pieces + bool(piece)
        if chunk.candidates and chunk.candidates[0].finish_reason:
            finish = chunk.candidates[0].finish_reason.value
        told = usage(chunk.usage_metadata) or told
    return {"text": text, "pieces": pieces, "finish": finish, "usage": told}


def tools(base: str, key: str, model: str) -> Any:
    models = client(base, key).models
    contents = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]
    first = models.generate_content(model=model, contents=contents, config=WITH_TOOL)
    contents.append(first.candidates[0].content)
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=part.function_call.id,
                name=part.function_call.name,
                response={"result": result_of(dict(part.function_call.args))},
            )
        )
        for part in parts(first)
        if part.function_call
    ]
    contents.append(types.Content(role="user", parts=results))
    then = models.generate_content(model=model, contents=contents, config=WITH_TOOL)
    return {"finish": first.candidates[0].finish_reason.value, "calls": calls_of(first), "text": text_of(then)}


def tools_stream(base: str, key: str, model: str) -> Any:
    calls, finish = [], None
    for chunk in client(base, key).models.generate_content_stream(model=model, contents=QUESTION, config=WITH_TOOL):
        calls += calls_of(chunk)
        if chunk.candidates and chunk.candidates[0].finish_reason:
            finish = chunk.candidates[0].finish_reason.value
    return {"finish": finish, "calls": calls}


def thinking(base: str, key: str, model: str) -> Any:
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    )
    got = client(base, key).models.generate_content(model=model, contents=QUESTION, config=config)
    return {"thoughts": [part.text for part in parts(got) if part.thought], "text": text_of(got)}


def count_tokens(base: str, key: str, model: str) -> Any:
    return {"tokens": client(base, key).models.count_tokens(model=model, contents=QUESTION).total_tokens}


def embeddings(base: str, key: str, model: str) -> Any:
    got = client(base, key).models.embed_content(model=model, contents=TEXTS)
    return {"vectors": [one.values for one in got.embeddings]}


if __name__ == "__main__":
    run(
        {
            "plain": plain,
            "stream": stream,
            "tools": tools,
            "tools_stream": tools_stream,
            "thinking": thinking,
            "count_tokens": count_tokens,
            "embeddings": embeddings,
        }
    )
