"""Where what must survive a restart is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidegate.model.config import Config


def state_directory(config: Config, environ: Mapping[str, str] | None = None) -> Path:
    """`state:`, else $STATE_DIRECTORY (systemd's; the first where there are several), else $XDG_STATE_HOME/tidegate, else ~/.local/state/tidegate.

    It is not created here. A relative `state:` has been made absolute by the loader.
    """
    known = os.environ if environ is None else environ
    if config.state:
        return Path(config.state)
    if given := known.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if home := known.get("XDG_STATE_HOME"):
        return Path(home) / "tidegate"
    return Path(known.get("HOME") or "~").expanduser() / ".local" / "state" / "tidegate"
