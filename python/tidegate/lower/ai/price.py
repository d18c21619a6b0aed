"""What a target costs: the catalogue's price less the provider's discount, or what the configuration says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tidegate import plan_ai as form
from tidegate.model import units
from tidegate.model.ai.price import AiPrice, AiRates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tidegate.lower.ai.provider import Providers
    from tidegate.lower.work import Path, Work

__all__ = ["Catalogue", "Entry", "Prices", "load_catalogue"]

_MILLION = 10**6
_ALIASES = {"cache_write": "cache_write_5m"}
_EACH = ("image", "request")
_VERSION = "configuration"
_NOTHING = form.Rates(**dict.fromkeys(form.Rates.__struct_fields__))
_FREE = form.Price(
    version=_VERSION,
    rates=form.Rates(**{**dict.fromkeys(form.Rates.__struct_fields__), "input": 0, "output": 0}),
    tiers=[],
)


class Entry(Protocol):
    """What the catalogue knows of a model. `rates` has the plan's names, in picodollars."""

    @property
    def rates(self) -> Any: ...  # noqa: D102
    @property
    def tiers(self) -> Any: ...  # noqa: D102
    @property
    def context_tokens(self) -> int | None: ...  # noqa: D102


class Catalogue(Protocol):
    """A price list of many providers."""

    @property
    def version(self) -> str: ...  # noqa: D102
    def price(self, provider: str, model: str) -> Entry | None: ...  # noqa: D102
    def all(self, provider: str) -> Mapping[str, Entry]: ...  # noqa: D102


def load_catalogue() -> Catalogue | None:
    """The catalogue that Tidegate brings; None where it was left out."""
    from importlib import import_module

    try:
        catalogue = import_module("tidegate.ai.catalogue")
    except ModuleNotFoundError:
        return None
    loaded: Catalogue = catalogue.load()
    return loaded


class Prices:
    """Prices while models are lowered; the catalogue is read when the first is asked for."""

    def __init__(self, work: Work, providers: Providers, read: Callable[[], Catalogue | None]) -> None:
        self.work = work
        self.providers = providers
        self._read = read
        self._catalogue: Catalogue | None = None
        self._asked = False
        self.overlays = {key: self._own(entry, ("ai", "prices", key)) for key, entry in work.config.ai.prices.items()}
        self._check_overlays()

    def of(self, provider: str, model: str, own: str | AiPrice | None, path: Path) -> tuple[form.Price | None, int]:
        """The price of a provider's model, and how long a conversation it takes (0: not known)."""
        entry = None if "*" in model else self._entry(provider, model)
        context = (entry.context_tokens or 0) if entry is not None else 0
        if own == "free":
            return _FREE, context
        if isinstance(own, AiPrice):
            return self._merged(self._own(own, path), self._known(provider, model, entry)), context
        return self._known(provider, model, entry), context

    def all(self, provider: str, pattern: str) -> list[tuple[str, form.Price]]:
        """The prices of all models of a provider whose names a pattern matches."""
        found: dict[str, form.Price] = {}
        for name, entry in self._entries(provider):
            if fnmatchcase(name, _glob(pattern)) and (price := self._known(provider, name, entry)) is not None:
                found[name] = price
        for key, overlay in self.overlays.items():
            known, _, name = key.partition("/")
            if known in self._called(provider) and "*" not in name and fnmatchcase(name, _glob(pattern)):
                found[name] = self._merged(overlay, self._listed(provider, self._entry(provider, name)))
        return sorted(found.items())

    def _known(self, provider: str, model: str, entry: Entry | None) -> form.Price | None:
        listed = self._listed(provider, entry)
        if (overlay := self._overlay(provider, model)) is not None:
            return self._merged(overlay, listed)
        if listed is not None:
            return listed
        own = self.providers.written[provider].price
        if own == "free" or self.providers.dialects[provider] == "echo":
            return _FREE
        if isinstance(own, AiPrice):
            return self._merged(self._own(own, ("ai", "providers", provider, "price")), None)
        return None

    def _overlay(self, provider: str, model: str) -> form.Price | None:
        """The configuration's own price: by its very name, else by the longest pattern."""
        best: str | None = None
        for key in self.overlays:
            called, _, pattern = key.partition("/")
            if called not in self._called(provider):
                continue
            if pattern == model:
                return self.overlays[key]
            if "*" in pattern and fnmatchcase(model, _glob(pattern)) and (best is None or len(key) > len(best)):
                best = key
        return self.overlays[best] if best is not None else None

    def _listed(self, provider: str, entry: Entry | None) -> form.Price | None:
        if entry is None or self._catalogue is None:
            return None
        written = self.providers.written[provider]
        off = units.percent(written.discount)
        rates = _discounted(_rates(entry.rates), off)
        if rates == _NOTHING:
            return None
        tiers = [(int(above), _discounted(_rates(inner), off)) for above, inner in entry.tiers or ()]
        return form.Price(
            version=str(self._catalogue.version), rates=rates, tiers=sorted(tiers, key=lambda tier: tier[0])
        )

    def _merged(self, own: form.Price, listed: form.Price | None) -> form.Price:
        """What the configuration says, and the catalogue where it says nothing."""
        if listed is None:
            return own
        tiers = own.tiers or [(above, _over(own.rates, rates)) for above, rates in listed.tiers]
        return form.Price(version=_VERSION, rates=_over(own.rates, listed.rates), tiers=tiers)

    def _own(self, written: AiPrice, path: Path) -> form.Price:
        rates = self._read_rates(written, path)
        if rates == _NOTHING and not written.tiers:
            self.work.error(path, "this says no price", "add `input: 2.50` and `output: 10`: USD for a million tokens")
        tiers: list[tuple[int, form.Rates]] = []
        for index, tier in enumerate(written.tiers or ()):
            at = (*path, "tiers", index)
            if tiers and tier.above <= tiers[-1][0]:
                self.work.error((*at, "above"), "the steps do not rise", "write the lowest first, each once")
            tiers.append((tier.above, _over(self._read_rates(tier, at), rates)))
        return form.Price(version=_VERSION, rates=rates, tiers=tiers)

    def _read_rates(self, written: AiRates, path: Path) -> form.Rates:
        values: dict[str, int | None] = dict.fromkeys(form.Rates.__struct_fields__)
        for name in AiRates.__struct_fields__:
            text = getattr(written, name)
            if text is None:
                continue
            value = units.money(text)
            if name not in _EACH:
                value, rest = divmod(value, _MILLION)
                if rest:
                    self.work.error((*path, name), f"`{text}` is finer than is counted", "write at most six decimals")
            values[_ALIASES.get(name, name)] = value
        return form.Rates(**values)

    def _check_overlays(self) -> None:
        known = {called for provider in self.providers.written for called in self._called(provider)}
        for key in self.overlays:
            called, slash, model = key.partition("/")
            if not slash or not model or called not in known:
                place = self.work.where.key_place(("ai", "prices", key))
                what = f"`{key}` is no model of a provider that is there"
                self.work.problems.error_at(place, what, "write `PROVIDER/MODEL`, as `openai/gpt-4o`")

    def _called(self, provider: str) -> list[str]:
        """What a provider is called: in the configuration, and in the catalogue."""
        fact = self.providers.facts.get(provider)
        return [provider, *(fact.catalogue if fact is not None else ())]

    def _entry(self, provider: str, model: str) -> Entry | None:
        catalogue = self._read_once(provider)
        if catalogue is None:
            return None
        found = (catalogue.price(name, model) for name in self._called(provider)[1:])
        return next((entry for entry in found if entry is not None), None)

    def _entries(self, provider: str) -> Iterator[tuple[str, Entry]]:
        catalogue = self._read_once(provider)
        seen: set[str] = set()
        for name in self._called(provider)[1:] if catalogue is not None else ():
            assert catalogue is not None
            for model, entry in catalogue.all(name).items():
                if model not in seen:
                    seen.add(model)
                    yield model, entry

    def _read_once(self, provider: str) -> Catalogue | None:
        """The catalogue, where it may know the provider."""
        if not self._called(provider)[1:]:
            return None
        if not self._asked:
            self._asked, self._catalogue = True, self._read()
        return self._catalogue


def _glob(pattern: str) -> str:
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _rates(entry: Any) -> form.Rates:
    return form.Rates(**{name: getattr(entry, name, None) for name in form.Rates.__struct_fields__})


def _discounted(rates: form.Rates, off: int) -> form.Rates:
    """So many percent less, rounded to the nearest picodollar."""
    if not off:
        return rates
    less = {name: None if value is None else (value * (100 - off) + 50) // 100 for name, value in _items(rates)}
    return form.Rates(**less)


def _over(first: form.Rates, second: form.Rates) -> form.Rates:
    own = {name: value for name, value in _items(first) if value is not None}
    return msgspec.structs.replace(second, **own)


def _items(rates: form.Rates) -> list[tuple[str, int | None]]:
    return [(name, getattr(rates, name)) for name in form.Rates.__struct_fields__]
