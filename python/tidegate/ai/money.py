"""Money as exact integers: picodollars (10⁻¹² USD) in, decimal text out."""

from __future__ import annotations

from typing import Final

PICO: Final = 10**12
"""Picodollars of one dollar."""


def dollars(pico: int) -> str:
    """The exact amount in dollars: `0.000012`, `3`, without zeros at its end."""
    sign, amount = ("-", -pico) if pico < 0 else ("", pico)
    whole, rest = divmod(amount, PICO)
    return f"{sign}{whole}" + (f".{rest:012d}".rstrip("0") if rest else "")
