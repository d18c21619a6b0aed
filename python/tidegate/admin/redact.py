"""Takes out of a plan what nobody should read from it."""

import re
from typing import Any, Final

HIDDEN: Final = "(hidden)"

_SECRET_NAME: Final = re.compile(r"authorization|cookie|token|secret|password|api-?key|credential", re.IGNORECASE)

_TOLD: Final = ("kind", "name", "access_key")


def redacted(plan: Any) -> Any:
    """The same plan without hashes of keys, and without values of fields whose name says that they are secret.

    What lets a call in at a provider is hidden whatever it is called, and so are the fields that all calls carry. A
    hash of a short password can be guessed, so it is hidden as the password would be.
    """
    if isinstance(plan, list):
        return [redacted(item) for item in plan]
    if not isinstance(plan, dict):
        return plan
    named = plan.get("name")
    secret = isinstance(named, str) and bool(_SECRET_NAME.search(named))
    if "chain" in plan and "key" in plan:
        plan = {**plan, "key": HIDDEN}
    return {key: _value(key, value, secret) for key, value in plan.items()}


def _value(key: str, value: Any, secret: bool) -> Any:
    if key in ("sha256", "hash", "jwks", "secret", "client_secret") and isinstance(value, str):
        return HIDDEN
    if key == "scheme" and isinstance(value, dict):
        return {name: told if name in _TOLD else HIDDEN for name, told in value.items()}
    if key == "headers" and value and all(isinstance(pair, list) for pair in value):
        return [[name, HIDDEN] for name, _ in value]
    if secret and key == "value":
        return HIDDEN if isinstance(value, str) else [_part(part) for part in value]
    if secret and key == "test":
        return {"kind": value["kind"], **({"value": HIDDEN} if "value" in value else {})}
    return redacted(value)


def _part(part: Any) -> Any:
    """A template's text is hidden, its variables are not."""
    return {**part, "value": HIDDEN} if isinstance(part, dict) and "value" in part else part
