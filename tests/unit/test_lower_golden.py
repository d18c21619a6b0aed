"""Configurations and their plans, side by side; the same plans are read by `rust/plan/tests/golden.rs`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.fake_catalogue import FakeCatalogue
from tests.unit.fake_store import STORE

from tidegate import plan
from tidegate.load import load
from tidegate.lower import lower

FOLDER = Path(__file__).parents[1] / "golden" / "plan"
ENVIRON = {
    "ANN_PASSWORD": "correct horse",
    "CI_KEY": "ci-key",
    "FIELDS": "50",
    "OPENAI_API_KEY": "openai-key",
    "PORT": "8080",
    "TRICKY": "a${client_ip}b$${c}",
    "UPSTREAM_PORT": "3000",
    "WEB_KEY": "s3cret",
}
CONTROL = "/run/tidegate/control.sock"
PLACE = "/etc/tidegate"
"""Where the configurations stand, as far as their plans tell: a checkout may stand anywhere."""
CASES = sorted(FOLDER.glob("*.yaml"))


def lowered(case: Path) -> bytes:
    loaded = load(case, environ=ENVIRON)
    made = lower(
        loaded.config,
        loaded.where,
        control_socket=CONTROL if case.stem.startswith("admin") else None,
        ai_store=STORE if case.stem == "ai-store" else None,
        catalogue=FakeCatalogue,
    )
    placed = made.bytes.replace(str(FOLDER).encode(), PLACE.encode())
    return msgspec.json.format(placed, indent=1) + b"\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_configuration_lowers_to_its_golden_plan(case: Path, request: pytest.FixtureRequest) -> None:
    golden = case.with_suffix(".json")
    if request.config.getoption("--update-golden"):
        golden.write_bytes(lowered(case))
    assert lowered(case).decode() == golden.read_text(), "if this is meant: pytest --update-golden"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_golden_plan_decodes_and_encodes_to_itself(case: Path) -> None:
    data = case.with_suffix(".json").read_bytes()
    again = msgspec.json.format(plan.encode(plan.decode(data)), indent=1) + b"\n"
    assert again == data


def test_every_configuration_has_a_plan_and_every_plan_a_configuration() -> None:
    assert {case.stem for case in CASES} == {case.stem for case in FOLDER.glob("*.json")}
    assert len(CASES) >= 25


def test_the_golden_plans_use_every_key_kind_and_choice_there_is() -> None:
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for case in CASES:
        collect(plan.decode(case.with_suffix(".json").read_bytes()), seen)
    missing = []
    for kind in records(msgspec.inspect.type_info(plan.Plan)):
        name = kind.cls.__name__
        if name not in seen:
            missing.append(name)
        for field in kind.fields:
            missing += [
                f"{name}.{field.name}={wanted}" for wanted in wanted_of(field.type) - seen[f"{name}.{field.name}"]
            ]
    assert not missing


def collect(value: Any, seen: defaultdict[str, set[str]]) -> None:
    """Notes which records occur and, for choices and switches and what may be null, which values."""
    if isinstance(value, (list, tuple)):
        for inner in value:
            collect(inner, seen)
    if not isinstance(value, msgspec.Struct):
        return
    name = type(value).__name__
    seen[name].add("")
    for field in value.__struct_fields__:
        inner = getattr(value, field)
        if inner is None or isinstance(inner, (bool, str)):
            seen[f"{name}.{field}"].add(str(inner))
        for one in inner if isinstance(inner, list) else ():
            seen[f"{name}.{field}"].add(str(one))
        collect(inner, seen)


def wanted_of(kind: msgspec.inspect.Type) -> set[str]:
    """The values of a field that must occur."""
    if isinstance(kind, msgspec.inspect.LiteralType):
        return {str(value) for value in kind.values}
    if isinstance(kind, msgspec.inspect.BoolType):
        return {"True", "False"}
    if isinstance(kind, msgspec.inspect.ListType):
        return wanted_of(kind.item_type)
    if isinstance(kind, msgspec.inspect.UnionType) and any(
        isinstance(member, msgspec.inspect.NoneType) for member in kind.types
    ):
        return {"None"}
    return set()


def records(
    kind: msgspec.inspect.Type, found: dict[type, msgspec.inspect.StructType] | None = None
) -> list[msgspec.inspect.StructType]:
    found = {} if found is None else found
    if isinstance(kind, msgspec.inspect.StructType) and kind.cls not in found:
        found[kind.cls] = kind
        for field in kind.fields:
            records(field.type, found)
    elif isinstance(kind, msgspec.inspect.ListType):
        records(kind.item_type, found)
    elif isinstance(kind, msgspec.inspect.TupleType):
        for member in kind.item_types:
            records(member, found)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for member in kind.types:
            records(member, found)
    return list(found.values())
