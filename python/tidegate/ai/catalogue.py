"""The price catalogue: what models of known providers cost, as `prices.json.gz` has it; `tools/catalogue` makes that.

Knows: the file's form, which names of providers mean the same.
Never: discounts, overlays, what a configuration calls a provider.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Catalogue", "Entry", "Rates", "Source", "load", "read"]

FORMAT: Final = 1

_SAME: Final = {
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "text-completion-codestral": "codestral",
    "text-completion-openai": "openai",
}
"""Names that the catalogue's source divides a provider into, and the one that it has here."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Picodollars (10⁻¹² USD) a token, a picture or a call; None where the list says nothing."""

    input: int | None = None
    """Input that no cache held."""
    cache_read: int | None = None
    """Read from the provider's cache."""
    cache_write_5m: int | None = None
    """Written to it for five minutes, or as long as it keeps by default."""
    cache_write_1h: int | None = None
    """Written to it for an hour."""
    output: int | None = None
    """Output."""
    reasoning: int | None = None
    """Thought."""
    audio_in: int | None = None
    """Audio in."""
    audio_out: int | None = None
    """Audio out."""
    image: int | None = None
    """A picture made."""
    request: int | None = None
    """The call itself."""


NO_RATES: Final = Rates()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model."""

    mode: str
    """`chat`, `embedding`, `image_generation` …"""
    context_tokens: int | None
    """The longest input."""
    max_output: int | None
    """The most output tokens of one call."""
    retired: str | None
    """`YYYY-MM-DD`, the day on which the provider stops (or stopped) to serve it."""
    rates: Rates
    """From the first token; all None where the price is unknown."""
    tiers: tuple[tuple[int, Rates], ...]
    """Above so many input tokens these hold for the whole call; rising, each with all of its rates."""

    @property
    def priced(self) -> bool:
        """Whether anything of its price is known."""
        return self.rates != NO_RATES


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the list comes from."""

    package: str
    version: str
    file: str
    sha256: str
    date: str
    licence: str
    notice: str


_Packed = list[int | None]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    mode: str
    context: int
    max_output: int
    retired: str | int
    rates: _Packed
    tiers: list[tuple[int, _Packed]]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    version: str
    source: Source
    rates: list[str]
    flags: dict[str, list[str]]
    providers: dict[str, dict[str, _Row]]


class Catalogue:
    """A price list of many providers. Entries are made when they are asked for."""

    def __init__(self, content: _File) -> None:
        self.version = content.version
        """As usage records bear it: the day, and the beginning of the source's hash."""
        self.source = content.source
        self.flags: Mapping[str, list[str]] = MappingProxyType(content.flags)
        """What is odd about a model, by `PROVIDER/MODEL`."""
        self._rows = content.providers
        self._names = content.rates

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def providers(self) -> list[str]:
        """All of them, by name."""
        return list(self._rows)

    def price(self, provider: str, model: str) -> Entry | None:
        """What is known of a provider's model; None where nothing is."""
        row = self._rows.get(_called(provider), {}).get(model)
        return self._entry(row) if row is not None else None

    def all(self, provider: str) -> dict[str, Entry]:
        """All models of a provider, by name; none where it is unknown."""
        return {model: self._entry(row) for model, row in self._rows.get(_called(provider), {}).items()}

    def __iter__(self) -> Iterator[tuple[str, str, Entry]]:
        for provider, models in self._rows.items():
            for model, row in models.items():
                yield provider, model, self._entry(row)

    def _entry(self, row: _Row) -> Entry:
        return Entry(
            mode=row.mode,
            context_tokens=row.context or None,
            max_output=row.max_output or None,
            retired=str(row.retired) if row.retired else None,
            rates=self._rates(row.rates),
            tiers=tuple((above, self._rates(rates)) for above, rates in row.tiers),
        )

    def _rates(self, packed: _Packed) -> Rates:
        values: dict[str, Any] = dict(zip(self._names, packed, strict=False))
        return Rates(**values)


@cache
def load() -> Catalogue:
    """The catalogue that Tidegate brings; read once."""
    return read(files("tidegate.ai").joinpath("prices.json.gz").read_bytes())


def read(data: bytes) -> Catalogue:
    """The catalogue of a compressed file; raises ValueError where it is none, or of another format."""
    import gzip

    try:
        content = msgspec.json.decode(gzip.decompress(data), type=_File)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise ValueError(f"this is no price catalogue: {error}") from error
    if content.format != FORMAT or not set(content.rates) <= set(Rates.__struct_fields__):
        raise ValueError(f"this price catalogue is of format {content.format}, not {FORMAT}")
    return Catalogue(content)


def _called(provider: str) -> str:
    return "vertex_ai" if provider.startswith("vertex_ai-") else _SAME.get(provider, provider)
