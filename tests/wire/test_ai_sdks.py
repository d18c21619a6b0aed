"""Each official SDK, with nothing but a base URL and a key, in front of providers of every dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from tests.support.ai import KEY, config, usage
from tests.support.clients import FAMILIES, call
from tests.support.gateway import Tidegate
from tests.support.providers import DIALECTS, Provider
from tests.support.providers.script import SCRIPTS
from tests.support.providers.wording import vector

VECTORS = [vector("tide"), vector("gate")]
EMBEDDERS = ("openai", "responses", "gemini", "cohere", "mistral", "ollama")
"""Dialects that have embeddings."""

TEXT = "Hello from the tide."
CALLS = [["weather", {"city": "Paris"}], ["weather", {"city": "Rome", "days": [1, 2]}]]
ENDS = {
    "openai": ("stop", "tool_calls"),
    "langchain": ("stop", "tool_calls"),
    "anthropic": ("end_turn", "tool_use"),
    "google": ("STOP", "STOP"),
    "mistral": ("stop", "tool_calls"),
    "cohere": ("COMPLETE", "TOOL_CALL"),
    "ollama": ("stop", "stop"),
    "boto3": ("end_turn", "tool_use"),
}
"""How each SDK is told that an answer is whole, and that it calls tools."""

LIMITED = {
    "openai": ("RateLimitError", 429),
    "langchain": ("OpenAIRateLimitError", 429),
    "anthropic": ("RateLimitError", 429),
    "google": ("ClientError", 429),
    "mistral": ("SDKError", 429),
    "cohere": ("TooManyRequestsError", 429),
    "ollama": ("ResponseError", 429),
    "boto3": ("ThrottlingException", None),
}
"""What each SDK makes of a provider that has had too much."""


@dataclass
class World:
    """A gateway and a provider of each dialect behind it."""

    gateway: Tidegate
    providers: dict[str, Provider]
    told: Callable[[str], dict[str, Any]]
    """What a family's SDK got, by scenario and model."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    providers = {dialect: Provider(dialect) for dialect in DIALECTS}
    once_only: dict[str, Any] = {
        f"by-{dialect[:3]}-*": {"targets": f"{dialect}/*", "attempts": 1, "cooldown": "0"} for dialect in DIALECTS
    }
    # Three letters, because Google's SDK does other things for models that are called like its own.
    # At Bedrock only some models think, and they are known by their names.
    providers["bedrock"].scripts["anthropic.claude-think"] = SCRIPTS["think"]
    once_only["by-bed-think"] = "bedrock/anthropic.claude-think"
    gateway = Tidegate(tmp_path_factory.mktemp("sdks"), config(providers, once_only)).ready()

    @cache
    def told(family: str) -> dict[str, Any]:
        return call(family, f"http://{gateway.address}", KEY, calls(family))

    yield World(gateway, providers, told)
    gateway.stop()
    for provider in providers.values():
        provider.close()
    assert not [fault for provider in providers.values() for fault in (*provider.faults, *provider.refused)]


def calls(family: str) -> list[tuple[str, str]]:
    """All that a family's SDK is asked to do."""
    out = []
    for dialect in DIALECTS:
        for scenario in ("plain", "stream"):
            out.append((scenario, f"by-{dialect[:3]}-plain"))
        out += [
            ("tools", f"by-{dialect[:3]}-tools"),
            ("tools_stream", f"by-{dialect[:3]}-tools"),
            ("plain", f"by-{dialect[:3]}-limited"),
        ]
        if family in ("openai", "langchain", "google", "mistral", "cohere", "ollama") and dialect in EMBEDDERS:
            out.append(("embeddings", f"by-{dialect[:3]}-plain"))
        if family == "openai":
            out += [("responses", f"by-{dialect[:3]}-plain"), ("responses_stream", f"by-{dialect[:3]}-plain")]
            out.append(("responses_tools", f"by-{dialect[:3]}-tools"))
        if family in ("anthropic", "google"):
            out.append(("thinking", f"by-{dialect[:3]}-think"))
            if dialect in ("anthropic", "gemini"):
                out.append(("count_tokens", f"by-{dialect[:3]}-plain"))
        if family == "ollama":
            out.append(("generate", f"by-{dialect[:3]}-plain"))
    if family in ("openai", "ollama"):
        out.append(("models", "-"))
    return out


pairs = pytest.mark.parametrize(
    ("family", "dialect"), [(family, dialect) for family in FAMILIES for dialect in DIALECTS]
)


@pairs
def test_an_sdk_gets_a_whole_answer(world: World, family: str, dialect: str) -> None:
    got = world.told(family)[f"plain by-{dialect[:3]}-plain"]
    assert got == {"text": TEXT, "finish": ENDS[family][0], "usage": [11, 7]}


@pairs
def test_an_sdk_gets_a_stream_piece_by_piece(world: World, family: str, dialect: str) -> None:
    got = world.told(family)[f"stream by-{dialect[:3]}-plain"]
    assert got == {"text": TEXT, "pieces": 4, "finish": ENDS[family][0], "usage": [11, 7]}


@pairs
def test_an_sdk_calls_tools_in_parallel_and_goes_on_with_their_results(world: World, family: str, dialect: str) -> None:
    got = world.told(family)[f"tools by-{dialect[:3]}-tools"]
    assert got == {"text": TEXT, "finish": ENDS[family][1], "calls": CALLS}
    results = [asked.results for asked in world.providers[dialect].asked if asked.results]
    assert all("Sunny in Paris" in told[0] and "Sunny in Rome" in told[1] for told in results), results


@pairs
def test_an_sdk_gets_calls_of_tools_in_a_stream(world: World, family: str, dialect: str) -> None:
    assert world.told(family)[f"tools_stream by-{dialect[:3]}-tools"] == {"finish": ENDS[family][1], "calls": CALLS}


@pairs
def test_an_sdk_raises_its_own_error_for_a_provider_that_has_had_too_much(
    world: World, family: str, dialect: str
) -> None:
    got = world.told(family)[f"plain by-{dialect[:3]}-limited"]
    assert (got.get("error"), got.get("status")) == LIMITED[family], got


@pytest.mark.parametrize("dialect", EMBEDDERS)
@pytest.mark.parametrize("family", ["openai", "langchain", "google", "mistral", "cohere", "ollama"])
def test_an_sdk_gets_the_vectors_of_its_texts_in_their_order(world: World, family: str, dialect: str) -> None:
    assert world.told(family)[f"embeddings by-{dialect[:3]}-plain"] == {"vectors": VECTORS}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_openai_sdk_gets_responses_from_everybody(world: World, dialect: str) -> None:
    told = world.told("openai")
    assert told[f"responses by-{dialect[:3]}-plain"] == {"text": TEXT, "finish": "completed", "usage": [11, 7]}
    streamed = told[f"responses_stream by-{dialect[:3]}-plain"]
    assert streamed == {"text": TEXT, "pieces": 4, "finish": "completed", "last": "response.completed"}
    assert told[f"responses_tools by-{dialect[:3]}-tools"] == {"text": TEXT, "finish": "completed", "calls": CALLS}


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "bedrock"])
def test_signed_thoughts_reach_the_anthropic_sdk_with_their_signature(world: World, dialect: str) -> None:
    got = world.told("anthropic")[f"thinking by-{dialect[:3]}-think"]
    script = SCRIPTS["think"]
    assert "".join(thought for thought, _ in got["thoughts"]) == script.thought
    assert any(script.signature in signature for _, signature in got["thoughts"]), got
    assert got["text"] == TEXT


@pytest.mark.parametrize("dialect", DIALECTS)
def test_thoughts_reach_the_google_sdk_apart_from_the_answer(world: World, dialect: str) -> None:
    got = world.told("google")[f"thinking by-{dialect[:3]}-think"]
    assert ("".join(got["thoughts"]), got["text"]) == (SCRIPTS["think"].thought, TEXT)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_ollama_sdk_generates_with_everybody(world: World, dialect: str) -> None:
    got = world.told("ollama")[f"generate by-{dialect[:3]}-plain"]
    assert got == {"text": TEXT, "streamed": TEXT, "finish": "stop"}


@pytest.mark.parametrize(("family", "dialect"), [("anthropic", "anthropic"), ("google", "gemini")])
def test_an_sdk_counts_tokens_with_the_provider_of_its_dialect(world: World, family: str, dialect: str) -> None:
    assert world.told(family)[f"count_tokens by-{dialect[:3]}-plain"] == {"tokens": 11}


@pytest.mark.parametrize("family", ["openai", "ollama"])
def test_an_sdk_lists_the_models_that_have_a_name(world: World, family: str) -> None:
    assert world.told(family)["models -"] == {"names": ["by-bed-think"]}  # the others are patterns


def test_what_the_sdks_were_served_is_what_the_usage_records_say(world: World) -> None:
    for family in FAMILIES:
        world.told(family)
    asked = sum(len(provider.asked) for provider in world.providers.values())
    rows = usage(world.gateway, asked)
    good = [row for row in rows if row["surface"] in ("chat", "generate", "responses") and row["status"] == 200]
    assert len(good) > 300
    assert {row["source"] for row in good} == {"reported"}
    assert {(row["input"], row["output"]) for row in good if "think" not in row["model"]} == {(11, 7)}
