"""A value that is never printed."""

from __future__ import annotations

import hashlib

__all__ = ["Secret"]


class Secret:
    """A key or a password: it can be hashed, compared and sent, never shown."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def sha256(self, before: str = "") -> str:
        """SHA-256 of `before` and the secret, 64 lower-case hexadecimal digits."""
        return hashlib.sha256((before + self._value).encode()).hexdigest()

    def for_wire(self, before: str = "") -> str:
        """`before` and the secret itself: only for the plan, which carries it to the engine."""
        return before + self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")
