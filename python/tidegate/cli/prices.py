"""The verb that lists the price catalogue."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tidegate.cli.common import out

if TYPE_CHECKING:
    from tidegate.ai.catalogue import Catalogue, Entry, Rates

HEAD = ("MODEL", "MODE", "CONTEXT", "OUTPUT", "INPUT $/M", "CACHED $/M", "OUTPUT $/M")


def prices(options: argparse.Namespace) -> int:
    """Providers, or a provider's models, or everything that is known of one model."""
    from tidegate.ai.catalogue import load

    catalogue = load()
    if not options.what:
        return _providers(catalogue, options)
    provider, _, model = options.what.partition("/")
    if model:
        entry = catalogue.price(provider, model)
        if entry is None:
            return _unknown(f"{provider}/{model}", [f"{provider}/{name}" for name in catalogue.all(provider)])
        return _model(provider, model, entry, catalogue, options)
    models = catalogue.all(provider)
    if not models:
        return _unknown(provider, catalogue.providers())
    if options.json:
        return _json({name: _plain(entry) for name, entry in models.items()})
    from tidegate.status import columns

    rows = [
        (name, entry.mode, entry.context_tokens, entry.max_output, *_dollars(entry.rates))
        for name, entry in models.items()
    ]
    out(columns(rows, HEAD))
    return 0


def _providers(catalogue: Catalogue, options: argparse.Namespace) -> int:
    counts = {name: len(catalogue.all(name)) for name in catalogue.providers()}
    if options.json:
        return _json({"version": catalogue.version, "providers": counts})
    from tidegate.status import columns

    out(columns(counts.items(), ("PROVIDER", "MODELS")))
    origin = f"{catalogue.source.package} {catalogue.source.version} (MIT licence)"
    out(f"\n{len(catalogue):,} models, version {catalogue.version}, from {origin}")
    return 0


def _model(provider: str, model: str, entry: Entry, catalogue: Catalogue, options: argparse.Namespace) -> int:
    if options.json:
        return _json({"version": catalogue.version, **_plain(entry)})
    from tidegate.status import columns

    out(f"{provider}/{model}, {entry.mode}, catalogue {catalogue.version}")
    if entry.context_tokens:
        out(f"at most {entry.context_tokens:,} tokens in" + (f", {entry.max_output:,} out" if entry.max_output else ""))
    if entry.retired:
        out(f"retired on {entry.retired}")
    flags = catalogue.flags.get(f"{provider}/{model}", [])
    if flags:
        out(f"note: {', '.join(flags).replace('_', ' ')}")
    steps = [(0, entry.rates), *entry.tiers]
    names = [
        name for name in entry.rates.__struct_fields__ if any(getattr(rates, name) is not None for _, rates in steps)
    ]
    each = {"image", "request"}
    rows = [
        (f"{name} (each)" if name in each else name, *(_cell(getattr(rates, name), name in each) for _, rates in steps))
        for name in names
    ]
    if not rows:
        out("its price is not known")
        return 0
    head = ("USD A MILLION TOKENS", *("" if not above else f"ABOVE {above:,}" for above, _ in steps))
    out(columns(rows, head))
    return 0


def _dollars(rates: Rates) -> tuple[str, ...]:
    return tuple(_cell(getattr(rates, name), False) for name in ("input", "cache_read", "output"))


def _cell(rate: int | None, each: bool) -> str:
    from tidegate.ai.money import dollars

    return "-" if rate is None else dollars(rate if each else rate * 10**6)


def _plain(entry: Entry) -> dict[str, object]:
    import msgspec

    told: dict[str, object] = msgspec.to_builtins(entry)
    return told


def _json(content: object) -> int:
    import msgspec

    out(msgspec.json.format(msgspec.json.encode(content)).decode())
    return 0


def _unknown(what: str, known: list[str]) -> int:
    import difflib

    near = difflib.get_close_matches(what, known, n=3)
    sys.stderr.write(f"the catalogue has no {what}" + (f"; it has {', '.join(near)}" if near else "") + "\n")
    return 1
