"""The JSON Schema of the configuration, for editors: `tidegate schema`."""

from __future__ import annotations

from typing import Any

__all__ = ["json_schema", "printed"]

_FROM_ENVIRONMENT = r"^\$\{"


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of what `load` takes; made of the model, so it cannot drift."""
    import msgspec

    from tidegate.model.config import Config

    made = msgspec.json.schema(Config, schema_hook=_hook)
    widened = _widen(made)
    assert isinstance(widened, dict)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidegate's configuration",
        **widened,
    }


def printed() -> str:
    """The schema as text, for a file."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(json_schema())).decode() + "\n"


def _hook(kind: type) -> dict[str, Any]:
    from tidegate.model.secret import Secret

    if kind is Secret:
        return {"type": "string", "minLength": 1, "writeOnly": True}
    raise NotImplementedError(kind)


def _widen(schema: Any) -> Any:
    """What the loader also takes: `on` and `off` for switches, bare numbers for sizes, `"${NAME}"` for anything."""
    if isinstance(schema, list):
        return [_widen(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: inner if key in ("default", "examples") else _widen(inner) for key, inner in schema.items()}
    kind = out.get("type")
    if kind == "boolean":
        out["type"] = ["boolean", "string"]
        out["pattern"] = rf"^(on|off|yes|no|true|false)$|{_FROM_ENVIRONMENT}"
    elif kind == "integer":
        out["type"] = ["integer", "string"]
        out["pattern"] = rf"^[0-9]+$|{_FROM_ENVIRONMENT}"
    elif kind == "string" and out.get("format") in ("duration", "size", "percent"):
        out["type"] = ["string", "integer"]
    elif kind == "string" and out.get("format") in ("money", "decimal"):
        out["type"] = ["string", "number"]
    elif "enum" in out:
        numbers = [int(value) for value in out["enum"] if isinstance(value, str) and value.isdecimal()]
        out["enum"] = [*out["enum"], *numbers]
    return out
