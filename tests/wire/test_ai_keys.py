"""Who may call a model: keys wherever SDKs put them, what they may ask, and how each dialect says no."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, KEY, ask, bearing, config, post, refusal, said, usage
from tests.support.client import once
from tests.support.gateway import command
from tests.support.waiting import until

LIMITED = "limited-secret-0123456789"


@pytest.mark.parametrize("dialect", ASK)
def test_a_key_is_taken_from_wherever_an_sdk_puts_it(run: Start, provide: Provide, dialect: str) -> None:
    gateway = run(config({"a": provide("openai")}))
    path, body = ASK[dialect]("a-plain")
    signed = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0"
    )
    for told in (
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": signed},
        {"x-api-key": KEY},
        {"x-goog-api-key": KEY},
        {"api-key": KEY},
    ):
        assert said(post(gateway, path, body, key=None, headers=told), dialect) == "Hello from the tide.", told
    path += ("&" if "?" in path else "?") + f"key={KEY}"
    assert said(post(gateway, path, body, key=None), dialect) == "Hello from the tide."


def test_a_client_s_key_never_reaches_the_provider(run: Start, provide: Provide) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}))
    path, body = ASK["openai"]("a-plain")
    assert post(gateway, f"{path}?key={KEY}&x=1", body, headers={"x-api-key": KEY}).status == 200
    seen = provider.last().request
    assert KEY.encode() not in seen.head + seen.body


@pytest.mark.parametrize("dialect", ASK)
def test_a_call_without_a_good_key_is_told_401_in_its_dialect(run: Start, provide: Provide, dialect: str) -> None:
    provider = provide("openai")
    gateway = run(config({"a": provider}))
    expected = {"anthropic": "authentication_error", "gemini": "UNAUTHENTICATED"}
    for key in (None, "not-a-key", ""):
        told = refusal(ask(gateway, "a-plain", dialect=dialect, key=key), dialect)
        assert told["status"] == 401
        assert told["type"] == expected.get(dialect, told["type"])
        assert "not-a-key" not in json.dumps(told)
    assert not provider.asked


@pytest.mark.parametrize("dialect", ASK)
def test_a_model_that_nobody_has_is_told_404_in_the_client_s_dialect(
    run: Start, provide: Provide, dialect: str
) -> None:
    gateway = run(config({"a": provide("openai")}))
    told = refusal(ask(gateway, "nobody", dialect=dialect), dialect)
    assert told["status"] == 404
    assert "nobody" in told["message"]


@pytest.mark.parametrize("dialect", ASK)
def test_a_key_may_ask_its_own_models_only(run: Start, provide: Provide, dialect: str) -> None:
    key = {"name": "narrow", "key": LIMITED, "models": ["a-plain"]}
    models = {"a-plain": "a/plain", "a-cached": "a/cached"}
    gateway = run(config({"a": provide("openai")}, models, keys=[key]))
    assert ask(gateway, "a-plain", dialect=dialect, key=LIMITED).status == 200
    assert refusal(ask(gateway, "a-cached", dialect=dialect, key=LIMITED), dialect)["status"] == 404
    listed = once(gateway.address, "GET", "/v1/models", bearing(LIMITED)).json()
    assert [model["id"] for model in listed["data"]] == ["a-plain"]


@pytest.mark.parametrize("dialect", ASK)
def test_a_key_may_use_its_own_surfaces_only(run: Start, provide: Provide, dialect: str) -> None:
    key = {"name": "narrow", "key": LIMITED, "surfaces": ["embeddings"]}
    gateway = run(config({"a": provide("openai")}, keys=[key]))
    told = refusal(ask(gateway, "a-plain", dialect=dialect, key=LIMITED), dialect)
    assert told["status"] == 403
    body = {"model": "a-plain", "input": "tide"}
    assert post(gateway, "/v1/embeddings", body, key=LIMITED).status == 200


def test_a_key_may_be_bound_to_addresses_and_may_end(run: Start, provide: Provide) -> None:
    keys = [
        {"name": "far", "key": "far-secret-0123456789", "access": {"allow": ["192.0.2.0/24"]}},
        {"name": "old", "key": "old-secret-0123456789", "expires": "2020-01-01"},
    ]
    gateway = run(config({"a": provide("openai")}, keys=keys))
    assert refusal(ask(gateway, "a-plain", key="far-secret-0123456789"))["status"] == 403
    assert refusal(ask(gateway, "a-plain", key="old-secret-0123456789"))["status"] == 401


@pytest.mark.parametrize("dialect", ASK)
def test_a_limit_on_requests_is_told_in_the_client_s_dialect_and_fields(
    run: Start, provide: Provide, dialect: str
) -> None:
    key = {"name": f"slow-{dialect}", "key": LIMITED, "limits": {"requests": "2/hour", "tokens": "100k/hour"}}
    provider = provide("openai")
    gateway = run(config({"a": provider}, keys=[key]))
    name = "anthropic-ratelimit-requests-" if dialect == "anthropic" else "x-ratelimit-"
    suffix = "" if dialect == "anthropic" else "-requests"
    for left in ("1", "0"):
        good = ask(gateway, "a-plain", dialect=dialect, key=LIMITED)
        assert good.status == 200
        assert good.fields.get(f"{name}limit{suffix}") == "2"
        assert good.fields.get(f"{name}remaining{suffix}") == left
        assert good.fields.get(f"{name}reset{suffix}")
    response = ask(gateway, "a-plain", dialect=dialect, key=LIMITED)
    told = refusal(response, dialect)
    assert told["status"] == 429
    assert 0 < int(response.fields.get("Retry-After") or 0) <= 3600
    expected = {"anthropic": "rate_limit_error", "gemini": "RESOURCE_EXHAUSTED", "bedrock": "ThrottlingException"}
    assert told["type"] == expected.get(dialect, told["type"])
    assert len(provider.asked) == 2


def test_a_stream_tells_what_is_left_of_the_limits_in_its_head(run: Start, provide: Provide) -> None:
    key = {"name": "slow-stream", "key": LIMITED, "limits": {"tokens": "100000/hour"}}
    gateway = run(config({"a": provide("openai")}, keys=[key]))
    ask(gateway, "a-plain", stream=True, key=LIMITED)
    second = ask(gateway, "a-plain", stream=True, key=LIMITED, max_tokens=10)
    left = int(second.fields.get("x-ratelimit-remaining-tokens") or 0)
    assert 100_000 - 18 - 100 <= left < 100_000 - 18  # the first one's usage, and what the second may take


@pytest.mark.parametrize("dialect", ASK)
def test_a_budget_that_is_spent_is_told_in_the_client_s_dialect(run: Start, provide: Provide, dialect: str) -> None:
    key = {"name": f"poor-{dialect}", "key": LIMITED, "budget": {"usd": 0.001, "per": "day"}}
    price = {"a/plain": {"input": 10, "output": 100}}  # of a million tokens: a call costs 0.00081
    provider = provide("openai")
    models = {"m": {"targets": "a/plain", "expected_output": 1}}
    gateway = run(config({"a": provider}, models, keys=[key], prices=price))
    assert ask(gateway, "m", dialect=dialect, key=LIMITED, **_bounded(dialect)).status == 200
    second = ask(gateway, "m", dialect=dialect, key=LIMITED, **_bounded(dialect))
    third = ask(gateway, "m", dialect=dialect, key=LIMITED, **_bounded(dialect))
    told = refusal(third, dialect)
    assert told["status"] == 429, (second.status, told)
    assert len(provider.asked) <= 2


def _bounded(dialect: str) -> dict[str, Any]:
    return {"max_tokens": 1} if dialect == "anthropic" else {}


def test_a_key_that_the_command_line_makes_works_within_a_second_and_ends_within_one(
    run: Start, provide: Provide
) -> None:
    gateway = run(config({"a": provide("openai")}))
    made = command(gateway.folder, "keys", "create", "guest", "--model", "a-*", "-c", str(gateway.file))
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    until(lambda: ask(gateway, "a-plain", key=secret).status == 200, "the new key works", within=1)
    listed = command(gateway.folder, "keys", "list", "-c", str(gateway.file))
    assert "guest" in listed.stdout
    assert secret not in listed.stdout
    rotated = command(gateway.folder, "keys", "rotate", "guest", "-c", str(gateway.file))
    assert rotated.returncode == 0, rotated.stderr
    fresh = rotated.stdout.strip()
    until(lambda: ask(gateway, "a-plain", key=fresh).status == 200, "the rotated key works", within=1)
    revoked = command(gateway.folder, "keys", "revoke", "guest", "-c", str(gateway.file))
    assert revoked.returncode == 0, revoked.stderr
    until(lambda: ask(gateway, "a-plain", key=fresh).status == 401, "the key is refused", within=1)
    assert {row["key"] for row in usage(gateway, 2)} == {"guest"}
    assert ask(gateway, "a-plain").status == 200


def test_an_unknown_path_and_a_wrong_method_are_told_in_the_likely_dialect(run: Start, provide: Provide) -> None:
    gateway = run(config({"a": provide("openai")}))
    for path, dialect in (
        ("/v1/nothing", "openai"),
        ("/v1/messages/nothing", "anthropic"),
        ("/v1beta/nothing", "gemini"),
        ("/v2/nothing", "cohere"),
        ("/api/nothing", "ollama"),
        ("/model/x/nothing", "bedrock"),
    ):
        assert refusal(post(gateway, path, {}), dialect)["status"] == 404, path
    wrong = once(gateway.address, "GET", "/v1/chat/completions", bearing(KEY))
    assert refusal(wrong)["status"] == 405
    assert wrong.fields.get("Allow") == "POST"


def test_calls_without_a_key_are_let_in_only_where_there_are_no_keys(start: Start, provide: Provide) -> None:
    gateway = start(config({"a": provide("openai")}, keys=[]))
    assert ask(gateway, "a-plain", key=None).status == 200
    assert ask(gateway, "a-plain", key="anything").status == 200
