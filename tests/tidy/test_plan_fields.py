"""The plan is written down twice, in Python and in Rust: the same records, the same keys, the same tags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidegate import plan, plan_ai, plan_auth, plan_cache, plan_part, plan_tcp, plan_text

RUST = Path(__file__).parents[2] / "rust" / "plan" / "src"

_STRUCT = re.compile(r"pub struct (\w+) \{(.*?)\n\}", re.DOTALL)
_ENUM = re.compile(r"((?:#\[[^\n]*\]\n)*)pub enum (\w+) \{(.*?)\n\}", re.DOTALL)
_FIELD = re.compile(r'(?:#\[serde\(rename = "(\w+)"\)\]\s*)?pub (?:r#)?(\w+):', re.DOTALL)


def rust_structs() -> dict[str, list[str]]:
    found = {}
    for path in RUST.glob("*.rs"):
        for name, body in _STRUCT.findall(path.read_text()):
            found[name] = [renamed or field for renamed, field in _FIELD.findall(_bare(body))]
    return found


def _bare(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if not line.strip().startswith("//"))


def python_structs() -> dict[str, type[msgspec.Struct]]:
    return {
        name: kind
        for page in (plan, plan_ai, plan_auth, plan_cache, plan_part, plan_tcp, plan_text)
        for name, kind in vars(page).items()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == page.__name__
    }


def keys(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


SHARED = sorted(set(rust_structs()) & set(python_structs()))


def test_most_records_of_the_plan_have_one_name_in_both_languages() -> None:
    assert len(SHARED) >= 15, SHARED
    assert "Plan" in SHARED


@pytest.mark.parametrize("name", SHARED)
def test_a_record_has_the_same_keys_in_rust_and_in_python(name: str) -> None:
    assert sorted(rust_structs()[name]) == sorted(keys(python_structs()[name]))


def test_no_record_of_the_plan_is_known_to_rust_alone() -> None:
    alone = set(rust_structs()) - set(python_structs()) - {"PlanError"}
    assert not alone, "the records that Python writes are in tidegate.plan by the same name"


def test_python_leaves_no_default_to_be_guessed() -> None:
    """Every key is written out: what Rust decodes has no defaults of its own."""
    text = "\n".join(path.read_text() for path in RUST.glob("*.rs"))
    assert "serde(default" not in text
    for name, kind in python_structs().items():
        options: Any = kind.__struct_config__
        assert not options.omit_defaults, name


def test_every_tag_that_python_writes_is_read_in_rust() -> None:
    text = "\n".join(path.read_text() for path in RUST.glob("*.rs"))
    variants = {_snake(word) for word in re.findall(r"^    (\w+)(?: \{|\(|,)", text, re.MULTILINE)}
    variants |= set(re.findall(r'rename = "([a-z0-9_]+)"', text))
    for name, kind in python_structs().items():
        options: Any = kind.__struct_config__
        if isinstance(options.tag, str):
            assert options.tag in variants, f"{name} is written as `{options.tag}`"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
