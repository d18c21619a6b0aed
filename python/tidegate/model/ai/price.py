"""What models cost."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tidegate.model.noun import Noun, about
from tidegate.model.units import Money


class AiRates(Noun, frozen=True, kw_only=True):
    """US dollars for a million tokens, as price lists have them."""

    input: Annotated[Money | None, about("Input that no cache held.", 2.5)] = None
    cache_read: Annotated[Money | None, about("Input read from the provider's cache.")] = None
    cache_write: Annotated[Money | None, about("Input written to the provider's cache, for five minutes.")] = None
    cache_write_1h: Annotated[Money | None, about("Input written to the provider's cache, for an hour.")] = None
    output: Annotated[Money | None, about("Output.", 10)] = None
    reasoning: Annotated[Money | None, about("Thought; as output unless given.")] = None
    audio_in: Annotated[Money | None, about("Audio in.")] = None
    audio_out: Annotated[Money | None, about("Audio out.")] = None
    image: Annotated[Money | None, about("For one picture made, in US dollars.")] = None
    request: Annotated[Money | None, about("For the call itself, in US dollars.")] = None


class AiTier(AiRates, frozen=True, kw_only=True):
    """Prices of long prompts; they hold for the whole call."""

    above: Annotated[int, Meta(ge=1, le=2**53, description="Above so many tokens of input in all.")]


class AiPrice(AiRates, frozen=True, kw_only=True):
    """A price list's entry; what it leaves out the catalogue says."""

    tiers: Annotated[list[AiTier] | None, about("Other prices for long prompts; none: the catalogue's.")] = None
