"""What docs/ai.md says of fields that targets can't take is what they do: every cell of its table is asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.conftest import ROOT, Provide, Start
from tests.support.ai import ask, config
from tests.support.gateway import Tidegate

FIELDS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "max_tokens": 64,
    "stop": ["x"],
    "seed": 7,
    "n": 2,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "object", "properties": {}, "additionalProperties": False}},
    },
    "reasoning_effort": "low",
    "modalities": ["text", "audio"],
    "prediction": {"type": "content", "content": "x"},
    "web_search_options": {"search_context_size": "low"},
    "verbosity": "low",
    "user": "ann",
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "store": True,
    "prompt_cache_key": "k",
}
"""A value of each field that says something."""

NEEDS = {
    "parallel_tool_calls": {"tools": FIELDS["tools"]},
    "logprobs": {},
}
"""What a field only makes sense with."""

DIALECTS = ("openai", "responses", "anthropic", "gemini", "bedrock", "cohere", "mistral", "ollama")


def table() -> dict[str, dict[str, str]]:
    """The document's: field, dialect, cell."""
    page = (ROOT / "docs" / "ai.md").read_text()
    rows = re.search(r"<!-- fields:begin -->\n(.*?)<!-- fields:end -->", page, re.DOTALL)
    assert rows is not None
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in rows[1].split("\n") if line]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[2:]}


@pytest.fixture
def gateway(start: Start, provide: Provide) -> Tidegate:
    return start(config({dialect: provide(dialect) for dialect in DIALECTS}))


def taken(gateway: Tidegate, dialect: str, field: str) -> bool:
    more = {**NEEDS.get(field, {}), field: FIELDS[field]}
    told = ask(gateway, f"{dialect}-plain", **more)
    if told.status == 400:
        error = told.json()["error"]
        assert error["param"], error
        assert "no counterpart" in error["message"], error
        return False
    assert told.status == 200, told.body
    return True


def test_fields_are_refused_by_whom_the_document_says(gateway: Tidegate) -> None:
    found = {
        field: {dialect: "✓" if taken(gateway, dialect, field) else "–" for dialect in DIALECTS} for field in FIELDS
    }
    lines = [f"| `{field}` | {' | '.join(row.values())} |" for field, row in found.items()]
    assert table() == found, "the table is:\n" + "\n".join(lines)
