"""Every example in deploy/examples is a configuration that a start would take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.fake_engine import FakeCall

from tidegate.policy import Request
from tidegate.resolve import Resolver
from tidegate.source import Source

EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "examples").glob("*/tidegate.yaml"))
KEYS = {
    name: f"{name.lower()}-of-the-example"
    for name in ("SHOP_KEY", "MOBILE_KEY", "SEARCH_KEY", "SUPPORT_KEY", "OPENAI_API_KEY")
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples' modules are not another test's."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    yield
    sys.modules.pop("policies", None)


async def stands_in(_: Request) -> None:
    return None


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_an_example_compiles_without_a_warning(file: Path) -> None:
    source = Source(str(file))
    compiled = source.compile(Resolver(source.folder, {"tidegate.admin:handle": stands_in}), "/run/control.sock")
    assert compiled.warnings == []
    assert compiled.routes > 0


def test_the_examples_policy_keeps_callers_in_their_own_folder() -> None:
    resolver = Resolver(str(EXAMPLES[0].parents[1] / "gateway"))
    (tenant,) = resolver.resolve(["policies:tenant"])
    own = tenant.call(Request(FakeCall(1, path="/orders/shop/7", user="shop")))
    assert own.set_headers == (("X-Tenant", "shop"),)
    beta = tenant.call(Request(FakeCall(1, path="/orders/shop/7", user="shop", headers=[("x-channel", "beta")])))
    assert beta.upstream == "beta"
    other = tenant.call(Request(FakeCall(1, path="/orders/mobile/7", user="shop")))
    assert other.status == 403
