"""boto3's bedrock-runtime: converse and converse-stream. The key is the access key's id."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from common import CITY, QUESTION, result_of, run

TOOLS = {"tools": [{"toolSpec": {"name": "weather", "description": "Tells it.", "inputSchema": {"json": CITY}}}]}


@cache
def client(base: str, key: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=base,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="whatever",
        config=Config(retries={"total_max_attempts": 1}),
    )


def ask(messages: list[Any], model: str) -> dict[str, Any]:
    return {"modelId": model, "messages": messages}


def asking() -> list[Any]:
    return [{"role": "user", "content": [{"text": QUESTION}]}]


def text_of(content: list[Any]) -> str:
    return "".join(block.get("text", "") for block in content)


def calls_of(content: list[Any]) -> list[Any]:
    return [[block["toolUse"]["name"], block["toolUse"]["input"]] for block in content if "toolUse" in block]


def usage(told: dict[str, int]) -> list[int]:
    cached = told.get("cacheReadInputTokens", 0) + told.get("cacheWriteInputTokens", 0)
    return [told["inputTokens"] + cached, told["outputTokens"]]


def plain(base: str, key: str, model: str) -> Any:
    got = client(base, key).converse(**ask(asking(), model))
    text = text_of(got["output"]["message"]["content"])
    return {"text": text, "finish": got["stopReason"], "usage": usage(got["usage"])}


def stream(base: str, key: str, model: str) -> Any:
    text, pieces, finish, told = "", 0, None, None
    for event in client(base, key).converse_stream(**ask(asking(), model))["stream"]:
        if "contentBlockDelta" in event:
            piece = event["contentBlockDelta"]["delta"].get("text", "")
            text, pieces = text + piece, pieces + bool(piece)
        if "messageStop" in event:
            finish = event["messageStop"]["stopReason"]
        if "metadata" in event:
            told = usage(event["metadata"]["usage"])
    return {"text": text, "pieces": pieces, "finish": finish, "usage": told}


def tools(base: str, key: str, model: str) -> Any:
    messages = asking()
    first = client(base, key).converse(**ask(messages, model), toolConfig=TOOLS)
    said = first["output"]["message"]
    messages.append(said)
    results = [
        {
            "toolResult": {
                "toolUseId": block["toolUse"]["toolUseId"],
                "content": [{"text": result_of(block["toolUse"]["input"])}],
            }
        }
        for block in said["content"]
        if "toolUse" in block
    ]
    messages.append({"role": "user", "content": results})
    then = client(base, key).converse(**ask(messages, model), toolConfig=TOOLS)
    text = text_of(then["output"]["message"]["content"])
    return {"finish": first["stopReason"], "calls": calls_of(said["content"]), "text": text}


def tools_stream(base: str, key: str, model: str) -> Any:
    calls: dict[int, list[str]] = {}
    finish = None
    for event in client(base, key).converse_stream(**ask(asking(), model), toolConfig=TOOLS)["stream"]:
        if "contentBlockStart" in event and "toolUse" in event["contentBlockStart"]["start"]:
            begun = event["contentBlockStart"]
            calls[begun["contentBlockIndex"]] = [begun["start"]["toolUse"]["name"], ""]
        if "contentBlockDelta" in event and "toolUse" in event["contentBlockDelta"]["delta"]:
            more = event["contentBlockDelta"]
            calls[more["contentBlockIndex"]][1] += more["delta"]["toolUse"]["input"]
        if "messageStop" in event:
            finish = event["messageStop"]["stopReason"]
    return {"finish": finish, "calls": [[name, json.loads(told)] for name, told in calls.values()]}


if __name__ == "__main__":
    run({"plain": plain, "stream": stream, "tools": tools, "tools_stream": tools_stream})
