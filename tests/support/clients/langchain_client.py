"""langchain-openai: chat with tools, and vectors."""

from __future__ import annotations

from typing import Any

from common import FUNCTION, QUESTION, TEXTS, result_of, run
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def client(base: str, key: str, model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=base + "/v1", api_key=key, max_retries=0, stream_usage=True)


def told(usage: Any) -> list[int] | None:
    return [usage["input_tokens"], usage["output_tokens"]] if usage else None


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key, model).invoke(QUESTION)
    return {
        "text": got.content,
        "finish": got.response_metadata["finish_reason"],
        "usage": told(got.usage_metadata),
    }


def stream(base: str, key: str, model: str) -> Any:
    whole, pieces = None, 0
    for chunk in client(base, key, model).stream(QUESTION):
        pieces += bool(chunk.content)
        whole = chunk if whole is None else whole + chunk
    finish = whole.response_metadata.get("finish_reason")
    return {"text": whole.content, "pieces": pieces, "finish": finish, "usage": told(whole.usage_metadata)}


def tools(base: str, key: str, model: str) -> Any:
    bound = client(base, key, model).bind_tools([FUNCTION])
    messages: list[Any] = [HumanMessage(QUESTION)]
    first = bound.invoke(messages)
    messages.append(first)
    messages += [ToolMessage(result_of(call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
    then = bound.invoke(messages)
    calls = [[call["name"], call["args"]] for call in first.tool_calls]
    return {"finish": first.response_metadata["finish_reason"], "calls": calls, "text": then.content}


def tools_stream(base: str, key: str, model: str) -> Any:
    whole = None
    for chunk in client(base, key, model).bind_tools([FUNCTION]).stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    calls = [[call["name"], call["args"]] for call in whole.tool_calls]
    return {"finish": whole.response_metadata.get("finish_reason"), "calls": calls}


def embeddings(base: str, key: str, model: str) -> Any:
    made = OpenAIEmbeddings(model=model, base_url=base + "/v1", api_key=key, check_embedding_ctx_length=False)
    return {"vectors": made.embed_documents(TEXTS)}


if __name__ == "__main__":
    run({"plain": plain, "stream": stream, "tools": tools, "tools_stream": tools_stream, "embeddings": embeddings})
