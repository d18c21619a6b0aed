"""Which pages of other origins may use a route."""

from __future__ import annotations

from typing import Annotated

from tidegate.model import defaults
from tidegate.model.noun import Many, Noun, about
from tidegate.model.units import Duration


class Cors(Noun, frozen=True, kw_only=True):
    """Cross-origin resource sharing: preflights are answered here, and what the upstream says about it is left out."""

    origins: Annotated[
        Many,
        about(
            "Pages of these may use it: `https://app.example.com`, `https://*.example.com`, or `*` for all.",
            "https://app.example.com",
        ),
    ]
    methods: Annotated[Many, about("Methods that they may use.")] = ", ".join(defaults.CORS_METHODS)
    headers: Annotated[
        Many | None, about("Headers that they may send; those that they ask for unless given.", "Content-Type")
    ] = None
    expose: Annotated[Many, about("Headers of answers that they may read, beside the harmless ones.")] = []
    credentials: Annotated[bool, about("Whether requests may bring cookies, and pages read what comes back.")] = False
    max_age: Annotated[Duration, about("How long a browser may go without asking again.")] = defaults.CORS_MAX_AGE
