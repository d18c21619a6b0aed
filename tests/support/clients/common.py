"""What the SDKs' scripts share: the task comes as JSON on standard input, what each call gave goes out as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

QUESTION = "What is the weather like?"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city"],
}
"""The schema of the only tool that there is, `weather`."""

FUNCTION = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": CITY}}
TEXTS = ["tide", "gate"]


def result_of(arguments: dict[str, Any]) -> str:
    """What the tool gives."""
    return f"Sunny in {arguments['city']}."


def run(scenarios: dict[str, Any]) -> None:
    """Runs what is asked for: `scenarios` maps a name to a function of base URL, key and model."""
    task = json.load(sys.stdin)
    out: dict[str, Any] = {}
    for name, model in task["calls"]:
        try:
            got = scenarios[name](task["base"], task["key"], model)
        except Exception as error:  # what the SDK makes of an error is a result too
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            got = {"error": type(error).__name__, "status": status, "said": str(error)[:600]}
        out[f"{name} {model}"] = got
    json.dump(out, sys.stdout)
