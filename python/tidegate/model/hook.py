"""A Python function that has a word on requests."""

from __future__ import annotations

from typing import Annotated, Literal

from tidegate.model import defaults
from tidegate.model.noun import Noun, about
from tidegate.model.units import Duration, Size


class Hook(Noun, frozen=True, kw_only=True):
    """Which function, how long it may take, and what happens when it fails."""

    call: Annotated[str, about("`module:function`; sync or async.", "policies:check")]
    timeout: Annotated[Duration, about("Past it `on_failure` decides.")] = defaults.HOOK_TIMEOUT
    body: Annotated[bool, about("Whether the request's body is read first and handed over.")] = False
    max_body: Annotated[Size, about("A body larger than this is refused with 413 where `body` is on.")] = (
        defaults.HOOK_BODY
    )
    on_failure: Annotated[
        Literal["refuse", "allow"],
        about(
            "What happens when it raises, is late or cannot be called: `refuse` answers 503, `allow` goes on "
            "without it."
        ),
    ] = "refuse"
