"""The JSON Schema for editors."""

from __future__ import annotations

from typing import Any

from tidegate.model import Config
from tidegate.schema import json_schema


def keys(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """All keys of all records, with what the schema says of them."""
    found = []
    for name, record in schema["$defs"].items():
        found += [(f"{name}.{key}", value) for key, value in record["properties"].items()]
    return found


def test_every_key_has_a_description() -> None:
    missing = [name for name, value in keys(json_schema()) if not value.get("description")]
    assert missing == []


def test_unknown_keys_are_marked_wrong() -> None:
    for name, record in json_schema()["$defs"].items():
        assert record["additionalProperties"] is False, name
        assert record["description"], name


def test_all_keys_of_the_configuration_are_there() -> None:
    schema = json_schema()
    assert schema["$ref"] == "#/$defs/Config"
    assert list(schema["$defs"]["Config"]["properties"]) == list(Config.__struct_fields__)
    assert "with" in schema["$defs"]["Rewrite"]["properties"]


def test_editors_take_what_the_loader_takes() -> None:
    properties = json_schema()["$defs"]["Server"]["properties"]
    assert properties["via"]["type"] == ["boolean", "string"]
    assert properties["head_timeout"]["type"] == ["string", "integer"]
    assert properties["head_timeout"]["default"] == "10s"
    assert properties["head_fields"]["type"] == ["integer", "string"]
    on = json_schema()["$defs"]["Retry"]["properties"]["on"]
    assert 503 in on["anyOf"][0]["items"]["enum"]


def test_secrets_are_texts_without_examples() -> None:
    key = json_schema()["$defs"]["ApiKey"]["properties"]["key"]
    assert {"type": "string", "minLength": 1, "writeOnly": True} in key["anyOf"]


def test_the_ai_gateway_is_in_the_schema_with_its_short_forms() -> None:
    schema = json_schema()
    ai = schema["$defs"]["Ai"]["properties"]
    assert {"$ref": "#/$defs/AiModel"} in ai["models"]["additionalProperties"]["anyOf"]
    assert "string" in [form.get("type") for form in ai["models"]["additionalProperties"]["anyOf"]]
    assert schema["$defs"]["Budget"]["properties"]["usd"]["type"] == ["string", "number"]
    assert schema["$defs"]["AiProvider"]["properties"]["dialect"]["anyOf"][0]["enum"][0] == "anthropic"
