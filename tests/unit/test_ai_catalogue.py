"""The price catalogue that Tidegate brings, and how it is made anew."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tidegate import cli
from tidegate.ai import catalogue
from tidegate.ai.providers import known

TOOL = Path(__file__).parents[2] / "tools" / "catalogue"


def test_it_knows_enough_and_says_where_it_is_from() -> None:
    brought = catalogue.load()
    assert len(brought) >= 2_000
    assert len(brought.providers()) >= 60
    assert brought.source.licence == "MIT"
    assert "Permission is hereby granted" in brought.source.notice
    assert brought.version.startswith(brought.source.date)


def test_prices_are_exact_integers_and_steps_rise() -> None:
    entry = catalogue.load().price("openai", "gpt-4o-mini")
    assert entry is not None
    assert entry.rates == catalogue.Rates(input=150_000, cache_read=75_000, output=600_000)
    assert (entry.mode, entry.context_tokens, entry.max_output) == ("chat", 128_000, 16_384)
    gemini = catalogue.load().price("gemini", "gemini-2.5-pro")
    assert gemini is not None
    assert [(above, rates.input) for above, rates in gemini.tiers] == [(200_000, 2_500_000)]


def test_every_entry_holds_what_a_plan_can() -> None:
    for provider, model, entry in catalogue.load():
        for rates in (entry.rates, *(rates for _, rates in entry.tiers)):
            for name in rates.__struct_fields__:
                value = getattr(rates, name)
                assert value is None or 0 <= value < 2**63, f"{provider}/{model} {name}"
        steps = [above for above, _ in entry.tiers]
        assert steps == sorted(set(steps)), f"{provider}/{model}"
        assert entry.priced or not entry.tiers
        if not entry.priced:
            assert "price_unknown" in catalogue.load().flags[f"{provider}/{model}"]


def test_names_that_mean_the_same_provider_find_it() -> None:
    brought = catalogue.load()
    assert brought.price("bedrock_converse", "amazon.nova-lite-v1:0") == brought.price(
        "bedrock", "amazon.nova-lite-v1:0"
    )
    assert brought.price("nobody", "gpt-4o") is None
    assert brought.price("openai", "nothing") is None
    assert brought.all("nobody") == {}


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "bedrock", "cohere", "mistral", "azure"])
def test_providers_that_are_known_by_name_have_prices(name: str) -> None:
    assert any(catalogue.load().all(called) for called in known()[name].catalogue)


@pytest.mark.parametrize("data", [b"", b"nothing", gzip.compress(b"{}"), gzip.compress(b'{"format": 1}')])
def test_what_is_no_catalogue_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no price catalogue"):
        catalogue.read(data)


@pytest.mark.parametrize(
    ("what", "shown"),
    [("", "openai"), ("openai", "gpt-4o-mini"), ("openai/gpt-4o-mini", "0.15"), ("gemini/gemini-2.5-pro", "200,000")],
)
def test_prices_lists_it(what: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prices", *([what] if what else [])]) == 0
    assert shown in capsys.readouterr().out
    assert cli.main(["prices", *([what] if what else []), "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_what_it_does_not_have_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prices", "openai/gpt-4o-minni"]) == 1
    assert "gpt-4o-mini" in capsys.readouterr().err


def make(folder: Path, models: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    wheel = folder / "litellm-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        text = json.dumps(models).replace('"NEGATIVE"', "-1e-6").replace('"EXACT"', "1.5e-07")
        file.writestr("litellm/model_prices_and_context_window_backup.json", text)
        file.writestr("litellm-9.9.9.dist-info/licenses/LICENSE", "MIT License\n\nnotice")
    small = ["--target", str(folder / "prices.json.gz"), "--least-models", "1", "--least-providers", "1"]
    command = [sys.executable, str(TOOL), str(wheel), *small, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def entry(**fields: Any) -> dict[str, Any]:
    return {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": "EXACT", **fields}


def test_it_is_made_with_exact_prices_and_steps(tmp_path: Path) -> None:
    tiers = {"input_cost_per_token_above_200k_tokens": 3e-7, "output_cost_per_token": 6e-7}
    free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
    assert make(tmp_path, {"openai/a": entry(**tiers), "b": entry(**free)}).returncode == 0
    made = catalogue.read((tmp_path / "prices.json.gz").read_bytes())
    a, b = made.price("openai", "a"), made.price("openai", "b")
    assert a is not None
    assert a.rates.input == 150_000
    assert [(above, rates.input, rates.output) for above, rates in a.tiers] == [(200_000, 300_000, 600_000)]
    assert b is not None
    assert not b.priced, "0 for everything is unknown, not free"


@pytest.mark.parametrize(
    ("models", "why"),
    [
        ({"a": entry(output_cost_per_token="NEGATIVE")}, "-0.000001"),
        ({"a": entry(input_cost_per_token=2e-5)}, "--confirm"),
        ({"other": entry()}, "--confirm"),
        ({}, "fewer"),
    ],
)
def test_a_list_that_is_wrong_changes_nothing(tmp_path: Path, models: dict[str, Any], why: str) -> None:
    assert make(tmp_path, {"a": entry()}).returncode == 0
    before = (tmp_path / "prices.json.gz").read_bytes()
    refused = make(tmp_path, models)
    assert refused.returncode == 1
    assert why in refused.stderr
    assert (tmp_path / "prices.json.gz").read_bytes() == before


def test_a_person_may_confirm_a_large_change(tmp_path: Path) -> None:
    assert make(tmp_path, {"a": entry()}).returncode == 0
    assert make(tmp_path, {"a": entry(input_cost_per_token=2e-5)}, "--confirm").returncode == 0
