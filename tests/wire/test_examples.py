"""The examples in deploy/examples serve: each is started as it stands, with nothing but an environment around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import ROOT, Serve, Start
from tests.support.client import once
from tests.support.gateway import Tidegate

EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*/tidegate.yaml"))
ANSWERS = {
    "ai-gateway": ("GET", "/ai/v1/models", 200),
    "edge": ("GET", "/", 404),
    "first": ("GET", "/", 200),
    "gateway": ("GET", "/orders/", 404),
    "sidecar": ("GET", "/", 200),
}
"""What a request gets that brings nothing along; hosts are the examples' own."""


@pytest.fixture
def around(serve: Serve) -> dict[str, str]:
    """What the examples take from the environment."""
    upstream = serve()
    keys = {name: f"{name.lower()}-of-a-test" for name in ("SHOP_KEY", "MOBILE_KEY", "SEARCH_KEY", "SUPPORT_KEY")}
    urls = dict.fromkeys(("APP_URL", "ORDERS_URL", "BETA_URL"), upstream.url)
    return {
        **keys,
        **urls,
        "OPENAI_API_KEY": "key-of-a-test",
        "TIDEGATE_LISTEN": "127.0.0.1:0",
        "TIDEGATE_ADMIN": "127.0.0.1:0",
    }


def started(example: str, start: Start, around: dict[str, str]) -> Tidegate:
    file = ROOT / "deploy" / "examples" / example / "tidegate.yaml"
    return start(arguments=["-c", str(file)], environment=around)


def ask(gateway: Tidegate, path: str, body: object, **headers: str) -> tuple[int, dict[str, object]]:
    answer = once(gateway.address, "POST", path, headers, json.dumps(body).encode())
    return answer.status, answer.json()


@pytest.mark.parametrize("example", [file.parent.name for file in EXAMPLES])
def test_an_example_serves(example: str, start: Start, around: dict[str, str]) -> None:
    gateway = started(example, start, around)
    assert gateway.control("/readyz").status == 200
    method, target, status = ANSWERS[example]
    key = {"Authorization": f"Bearer {around['SEARCH_KEY']}"} if example == "ai-gateway" else {}
    assert once(gateway.address, method, target, key).status == status


HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}


def test_the_first_example_answers_a_first_ai_call_without_an_account(start: Start, around: dict[str, str]) -> None:
    status, answer = ask(started("first", start, around), "/ai/v1/chat/completions", HELLO)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello")  # type: ignore[index]


def test_the_model_without_an_account_says_what_it_can_t_do(start: Start, around: dict[str, str]) -> None:
    gateway = started("first", start, around)
    for path, body in (
        ("/ai/v1/embeddings", {"model": "echo", "input": "a"}),
        ("/ai/v1/messages/count_tokens", HELLO),
        ("/ai/v1/images/generations", {"model": "echo", "prompt": "a"}),
    ):
        status, answer = ask(gateway, path, body)
        assert status == 400, (path, answer)


def test_the_ai_gateway_asks_for_a_key_and_keeps_its_promises(start: Start, around: dict[str, str]) -> None:
    gateway = started("ai-gateway", start, around)
    status, answer = ask(gateway, "/ai/v1/chat/completions", HELLO)
    assert status == 401, answer
    own = {"Authorization": f"Bearer {around['SUPPORT_KEY']}"}
    status, answer = ask(gateway, "/ai/v1/chat/completions", HELLO, **own)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello")  # type: ignore[index]
    status, answer = ask(gateway, "/ai/v1/chat/completions", {**HELLO, "model": "big"}, **own)
    assert status == 404, answer


def test_every_example_has_an_answer_that_is_checked() -> None:
    assert {file.parent.name for file in EXAMPLES} == set(ANSWERS)
    assert all(Path(file).is_file() for file in EXAMPLES)
