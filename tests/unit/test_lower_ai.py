"""What short forms, the environment, a store of keys and a price list become in the plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from tests.unit.fake_catalogue import FakeCatalogue
from tests.unit.fake_store import FakeKey, FakeSpend, FakeStore

from tidegate import plan, plan_ai
from tidegate.admin.redact import redacted
from tidegate.ai.providers import known
from tidegate.explain import explain
from tidegate.load import load
from tidegate.lower import Lowered, lower
from tidegate.lower.ai.names import matches
from tidegate.lower.ai.store import AiStore

AI = 'listeners: ["127.0.0.1:8080"]\nroutes: [{match: {path: /ai/}, ai: {}}]\nai:\n'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(
    text: str, environ: Mapping[str, str] | None = None, store: AiStore | None = None, state: str | None = None
) -> Lowered:
    Path("t.yaml").write_text(text)
    loaded = load("t.yaml", environ=environ or {})
    return lower(loaded.config, loaded.where, ai_store=store, state=state, catalogue=FakeCatalogue)


def ai(text: str, environ: Mapping[str, str] | None = None, store: AiStore | None = None) -> plan_ai.Ai:
    whole = made(AI + text, environ, store).plan.ai
    assert whole is not None
    return whole


def model(whole: plan_ai.Ai, name: str) -> plan_ai.Model:
    return next(model for model in whole.models if model.name == name)


def accounts(whole: plan_ai.Ai, key: str) -> list[str]:
    found = next(entry for entry in whole.keys if entry.name == key)
    return [whole.accounts[index].name for index in found.accounts]


def told_by(provider: plan_ai.Provider) -> plan_ai.CredentialScheme:
    (credential,) = provider.credentials
    return credential.scheme


# -- providers


def test_no_route_with_ai_means_no_ai_part_and_no_upstream_of_it() -> None:
    lowered = made('listeners: ["127.0.0.1:8080"]\nroutes: [{respond: 204}]\nai: {providers: {openai: {api_key: k}}}\n')
    assert lowered.plan.ai is None
    assert lowered.plan.upstreams == []
    assert "no route leads to the AI gateway" in str(lowered.warnings[0])


def test_a_known_provider_gets_its_key_from_its_own_variable() -> None:
    whole = ai("  providers: {groq: {}}\n", {"GROQ_API_KEY": "from-the-environment"})
    assert told_by(whole.providers[0]) == plan_ai.SchemeHeader(
        name="Authorization", value="Bearer from-the-environment"
    )


def test_a_key_of_the_environment_never_goes_to_an_address_that_was_written() -> None:
    whole = ai("  providers: {openai: {base_url: http://10.0.0.1/v1}}\n", {"OPENAI_API_KEY": "k"})
    assert told_by(whole.providers[0]) == plan_ai.SchemeNone()


def test_a_written_key_goes_before_the_environments() -> None:
    whole = ai("  providers: {openai: {api_key: mine}}\n", {"OPENAI_API_KEY": "theirs"})
    assert told_by(whole.providers[0]) == plan_ai.SchemeHeader(name="Authorization", value="Bearer mine")


def test_aws_keys_and_region_come_from_the_environment() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "t",
        "AWS_REGION": "eu-west-1",
    }
    (provider,) = ai("  providers: {aws: {dialect: bedrock}}\n", environ).providers
    assert told_by(provider) == plan_ai.SchemeAws(access_key="AKIA", secret_key="s", session_token="t")
    assert provider.region == "eu-west-1"


def test_a_bedrock_key_is_told_as_bearer() -> None:
    (provider,) = ai("  providers: {bedrock: {region: us-east-1}}\n", {"AWS_BEARER_TOKEN_BEDROCK": "b"}).providers
    assert told_by(provider) == plan_ai.SchemeHeader(name="Authorization", value="Bearer b")


def test_a_provider_that_only_a_target_names_is_there() -> None:
    whole = ai("  models: {small: openai/gpt-4o-mini}\n", {"OPENAI_API_KEY": "k"})
    assert [provider.name for provider in whole.providers] == ["openai"]
    assert told_by(whole.providers[0]) == plan_ai.SchemeHeader(name="Authorization", value="Bearer k")


def test_a_known_provider_without_a_key_is_warned_of() -> None:
    lowered = made(AI + "  models: {small: openai/gpt-4o-mini}\n")
    assert ["OPENAI_API_KEY" in str(warning) for warning in lowered.warnings] == [True]


@pytest.mark.parametrize("name", sorted(known()))
def test_every_known_provider_can_be_used_by_its_name(name: str) -> None:
    more = {
        "azure": "base_url: https://a.openai.azure.com, ",
        "vertex": "region: global, project: p, ",
        "bedrock": "region: us-east-1, ",
    }.get(name, "")
    key = "" if name == "echo" else "api_key: k"
    lowered = made(AI + f"  providers: {{{name}: {{{more}{key}}}}}\n")
    assert lowered.plan.ai is not None
    assert lowered.warnings == []
    (provider,) = lowered.plan.ai.providers
    assert provider.dialect == known()[name].dialect
    for upstream in lowered.plan.upstreams:
        assert upstream.name == f"ai:{name}"
        assert (upstream.tls is None) == known()[name].local


@pytest.mark.parametrize(
    ("dialect", "written", "base"),
    [
        ("openai", "https://a.example/v1/", "/v1"),
        ("openai", "https://a.example", ""),
        ("anthropic", "https://a.example/v1", ""),
        ("anthropic", "https://a.example/proxy/v1/", "/proxy"),
        ("gemini", "https://a.example/v1beta", ""),
        ("cohere", "https://a.example/v2", ""),
        ("ollama", "https://a.example/api", ""),
        ("azure", "https://a.example/openai/v1", ""),
        ("mistral", "https://a.example/v1", "/v1"),
    ],
)
def test_what_a_dialects_paths_begin_with_may_be_written_or_not(dialect: str, written: str, base: str) -> None:
    (provider,) = ai(f"  providers: {{p: {{dialect: {dialect}, base_url: '{written}', api_key: k}}}}\n").providers
    assert provider.base_path == base


def test_endpoints_of_a_provider_are_one_upstream_with_names_and_ports_of_their_own() -> None:
    lowered = made(AI + "  providers: {p: {dialect: openai, base_url: [https://a/v1, https://b:8443/v1]}}\n")
    (upstream,) = lowered.plan.upstreams
    assert [endpoint.authority for endpoint in upstream.endpoints] == ["a", "b:8443"]
    assert upstream.tls == plan.UpstreamTls(server_name="", ca="", verify=True, client=None)


# -- models


def test_models_without_a_list_are_all_of_the_providers() -> None:
    whole = ai("  providers: {groq: {api_key: k}}\n")
    assert [named.name for named in whole.models] == ["groq/*", "*"]
    assert model(whole, "*").targets[0].model == "*"
    two = ai("  providers: {groq: {api_key: k}, openai: {api_key: k, expose: [gpt-4o]}}\n")
    assert [named.name for named in two.models] == ["openai/gpt-4o", "groq/*"]


def test_a_name_that_only_a_star_matches_becomes_a_model_of_its_own_where_it_is_mentioned() -> None:
    whole = ai(
        "  models: {'openai/*': openai/*, a: {targets: openai/x, fallback: openai/gpt-4o}}\n"
        "  keys: [{name: k, key: k, models: ['openai/gpt-*']}]\n"
    )
    names = [named.name for named in whole.models]
    assert names == ["a", "openai/gpt-4o", "openai/gpt-*", "openai/*"]
    assert model(whole, "openai/gpt-4o").targets[0].model == "gpt-4o"
    assert model(whole, "openai/gpt-*").targets[0].model == "gpt-*"
    assert whole.keys[0].models == [1, 2]


@pytest.mark.parametrize(
    ("pattern", "name", "star"),
    [
        ("a", "a", ""),
        ("a", "b", None),
        ("*", "anything", "anything"),
        ("a/*", "a/b/c", "b/c"),
        ("a/*", "a/", ""),
        ("ab*ba", "aba", None),
        ("x*y", "x12y", "12"),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, name: str, star: str | None) -> None:
    assert matches(pattern, name) == star


# -- prices


def test_a_price_is_the_catalogues_less_the_discount_rounded_to_the_nearest() -> None:
    whole = ai("  providers: {openai: {api_key: k, discount: 10%}}\n  models: {v: openai/text-embedding-3-small}\n")
    price = model(whole, "v").targets[0].price
    assert price is not None
    assert (price.version, price.rates.input) == ("fake-1", 18_001)  # 18,000.9


def test_what_the_configuration_says_of_a_price_goes_before_the_catalogue_in_every_step() -> None:
    whole = ai("  prices: {openai/gpt-4o: {input: 2.000001}}\n  models: {a: openai/gpt-4o}\n")
    price = model(whole, "a").targets[0].price
    assert price is not None
    assert price.version == "configuration"
    assert (price.rates.input, price.rates.output) == (2_000_001, 10_000_000)
    assert [(above, rates.input, rates.output) for above, rates in price.tiers] == [(200_000, 2_000_001, 15_000_000)]


def test_an_unknown_price_is_no_price_and_never_nothing() -> None:
    whole = ai("  models: {a: openai/unheard-of}\n")
    assert model(whole, "a").targets[0].price is None


def test_a_star_brings_the_prices_of_all_that_it_may_stand_for() -> None:
    whole = ai("  models: {'x-*': openai/gpt-*}\n  prices: {openai/gpt-9: {input: 1}}\n")
    target = model(whole, "x-*").targets[0]
    assert [name for name, _ in target.prices] == ["gpt-4o", "gpt-4o-mini", "gpt-9"]


def test_an_own_server_may_be_free() -> None:
    whole = ai("  providers: {gpu: {like: vllm, price: free}}\n  models: {a: gpu/llama}\n")
    price = model(whole, "a").targets[0].price
    assert price is not None
    assert (price.rates.input, price.rates.output) == (0, 0)


# -- keys and accounts


def test_everybody_is_let_in_until_there_is_a_key() -> None:
    assert ai("  models: {a: echo/a}\n").open
    assert not ai("  models: {a: echo/a}\n  keys: [{name: k, key: k}]\n").open
    assert not ai("  models: {a: echo/a}\n", store=FakeStore()).open, "a store that ever held one counts"
    assert ai("  models: {a: echo/a}\n", store=FakeStore(exists=False)).open
    assert not ai("  models: {a: echo/a}\n  open: off\n").open
    limited = ai("  models: {a: echo/a}\n  keys: [{name: k, key: k}]\n  open: {limits: {requests: 5/min}}\n")
    assert limited.open
    assert [limited.accounts[index].name for index in limited.open_accounts] == ["open: requests per minute"]


def test_a_key_pays_from_its_own_its_users_its_teams_its_tenants_and_the_tags_accounts() -> None:
    whole = ai(
        "  models: {a: echo/a}\n"
        "  keys: [{name: k, key: k, tenant: t, team: g, user: u, budget: 1/day}, {name: other, key: o, tenant: t}]\n"
        "  tenants: {t: {budget: 2/day, teams: {g: {budget: 3/day, users: {u: {budget: 4/day}}}}}}\n"
        "  tags: {p: {budget: 6/day}}\n"
    )
    assert accounts(whole, "k") == [
        "key k: usd per day",
        "user t/g/u: usd per day",
        "team t/g: usd per day",
        "tenant t: usd per day",
        "tag p: usd per day",
    ]
    assert accounts(whole, "other") == ["tenant t: usd per day", "tag p: usd per day"]


def test_an_accounts_name_does_not_change_with_its_limit() -> None:
    first, second = (ai(f"  models: {{a: echo/a}}\n  tenants: {{t: {{budget: {sum_}/day}}}}\n") for sum_ in (5, 6))
    assert [account.name for account in first.accounts] == [account.name for account in second.accounts]


def test_only_the_hash_of_a_key_is_in_the_plan() -> None:
    lowered = made(AI + "  models: {a: echo/a}\n  keys: [{name: k, key: hunter2}]\n")
    assert b"hunter2" not in lowered.bytes


def test_a_stored_key_comes_beside_the_configurations() -> None:
    store = FakeStore(
        held=[
            FakeKey("ci", "a" * 64, models=["a"], spend=[FakeSpend("usd", 5, "day"), FakeSpend("usd", 6, "day", "b")]),
            FakeKey("same", "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"),
            FakeKey("lost", "c" * 64, models=["gone"]),
            FakeKey("turned", "d" * 64, spend=[FakeSpend("requests", 5, "minute")]),
            FakeKey("turned", "e" * 64, spend=[FakeSpend("requests", 5, "minute")]),
        ],
        spent={"key ci (stored): usd per day": (9, 4)},
    )
    text = "  models: {a: echo/a, b: echo/b}\n  keys: [{name: ci, key: key}]\n"
    lowered = made(AI + text, store=store)
    whole = lowered.plan.ai
    assert whole is not None
    assert [(key.name, key.models) for key in whole.keys[:3]] == [("ci", None), ("ci (stored)", [0]), ("lost", [])]
    assert [key.name for key in whole.keys[3:]] == ["turned", "turned"]
    assert whole.keys[3].accounts == whole.keys[4].accounts != []
    assert accounts(whole, "ci (stored)") == [
        "key ci (stored): usd per day",
        "key ci (stored), model b: usd per day",
    ]
    assert whole.accounts[0].opening == plan_ai.Opening(at_ms=9, spent=4)
    assert ["`gone`" in str(warning) for warning in lowered.warnings] == [True]


def test_a_day_expires_at_its_end_and_a_moment_at_once() -> None:
    keys = "{name: a, key: a, expires: 2030-01-01}, {name: b, key: b, expires: '2030-01-01T12:00:00+02:00'}"
    whole = ai(f"  models: {{a: echo/a}}\n  keys: [{keys}]\n")
    assert [key.expires_ms for key in whole.keys] == [1_893_542_400_000, 1_893_492_000_000]


# -- the rest


def test_the_journal_is_in_the_state_directory_unless_it_is_said() -> None:
    text = AI + "  models: {a: echo/a}\n"
    for given, state, wanted in (
        ("", "/run/s", "/run/s/usage"),
        ("", None, None),
        ("  journal: {path: here}\n", "/run/s", str(Path.cwd() / "here")),
        ("  journal: off\n", "/run/s", None),
    ):
        whole = made(text + given, state=state).plan.ai
        assert whole is not None
        assert (whole.journal.path if whole.journal is not None else None) == wanted


def test_equal_guards_are_one() -> None:
    text = (
        'listeners: ["127.0.0.1:8080"]\nroutes:\n'
        "  - {match: {path: /a/}, ai: {guards: {pii: [email]}}}\n"
        "  - {match: {path: /b/}, ai: {guards: [{pii: [email]}, {pii: [card]}]}}\n"
    )
    lowered = made(text)
    assert lowered.plan.ai is not None
    assert [guard.name for guard in lowered.plan.ai.guards] == ["pii", "pii#2"]
    actions = [route.action for route in lowered.plan.routes]
    assert actions == [plan.AiRoute(guards=[0]), plan.AiRoute(guards=[0, 1])]


def test_a_schema_of_a_toml_file_is_the_same_json() -> None:
    Path("t.toml").write_text(
        'listeners = ["127.0.0.1:8080"]\nroutes = [{ match = { path = "/ai/" }, ai = {} }]\n'
        '[ai.prompts.p]\nmodel = "a"\ntemplate = "x"\n'
        'input = { type = "object", properties = { n = { minimum = 0.5, default = 3, const = "3", x = true } } }\n'
        '[ai.models]\na = "echo/a"\n'
    )
    loaded = load("t.toml", environ={})
    whole = lower(loaded.config, loaded.where).plan.ai
    assert whole is not None
    schema = whole.prompts[0].versions[0].input
    properties = {"n": {"minimum": 0.5, "default": 3, "const": "3", "x": True}}
    assert msgspec.json.decode(schema) == {"type": "object", "properties": properties}


def test_the_engines_refusal_of_an_ai_part_leads_to_its_place() -> None:
    text = (
        AI + "  providers: {own: {dialect: openai, base_url: http://a}}\n"
        "  models: {a: own/a, b: {targets: [own/b]}}\n"
        "  guards: {g: {regex: x}}\n"
        "  prompts: {p: {model: a, versions: {one: {template: x}, two: {template: y}}}}\n"
        "  keys: [{name: k, key: k, guards: g}]\n"
    )
    lowered = made(text)
    for path, wanted in {
        "ai.guards[0].look_for.pattern": ("ai", "guards", "g", "regex"),
        "ai.models[1].targets[0].model": ("ai", "models", "b", "targets", 0),
        "ai.prompts[0].versions[1].messages[0]": ("ai", "prompts", "p", "versions", "two"),
        "ai.providers[0].upstream": ("ai", "providers", "own", "base_url"),
        "ai.keys[0].sha256": ("ai", "keys", 0, "key"),
        "ai.keys[7]": ("ai",),
        "upstreams[0].endpoints": ("ai", "providers", "own"),
        "routes[0].action": ("routes", 0, "ai"),
    }.items():
        assert lowered.paths.source(path) == wanted, path


def test_no_credential_is_shown_or_printed() -> None:
    text = AI + (
        "  providers:\n"
        "    a: {dialect: openai, base_url: http://a, api_key: hunter2, auth: {header: X-Own}, headers: {B: hunter2}}\n"
        "    b: {dialect: openai, base_url: http://b, api_key: hunter2, auth: {query: k}}\n"
        "    c: {dialect: bedrock, region: r, access_key: AKIA, secret_key: hunter2, session_token: hunter2}\n"
    )
    lowered = made(text)
    assert b"hunter2" in lowered.bytes, "the engine needs it"
    assert "hunter2" not in repr(lowered.plan)
    assert "hunter2" not in str(redacted(msgspec.json.decode(lowered.bytes)))


def test_an_ai_route_is_explained_with_its_surfaces_and_models() -> None:
    lowered = made(
        AI.replace("ai: {}", "ai: {guards: {pii: [card]}}")
        + "  models: {big: echo/b, small: {targets: [echo/a, {provider: echo, model: c, weight: 9}], fallback: big}}\n"
        + "  prompts: {sum: {model: big, template: x}}\n  keys: [{name: k, key: k}]\n"
    )
    decision = {"listener": 0, "host": "a", "path": "/ai/v1/models", "route": 0, "refused": None}
    text = explain(lowered.plan, decision, method="GET", url="http://a/ai/v1/models")
    for line in (
        "Anthropic messages",
        "asked by: 1 key",
        "model big → echo/b",
        "model small → weight of echo/a, echo/c (weight 9); then big",
        "guard pii: block pii in prompts and answers",
        "prompts: sum",
    ):
        assert line in text, text


def test_what_probably_is_not_meant_is_warned_of() -> None:
    lowered = made(
        AI + "  models: {a: echo/a}\n  guards: {g: {pii: on}}\n"
        "  tenants: {acme: {teams: {platform: {}}}}\n"
        "  keys: [{name: k, key: k, tenant: acme, team: plattform}, {name: x, key: x, tenant: acmee}]\n"
    )
    assert [str(warning).partition("warning: ")[2] for warning in lowered.warnings] == [
        "no team is called `plattform`, so only the key's own bounds hold; did you mean `platform`?",
        "no tenant is called `acmee`, so only the key's own bounds hold; did you mean `acme`?",
        "nothing uses the guard `g`; add `guards: [g]` to a route's `ai` or a key",
    ]
