"""Lets unit tests of the control plane run before the engine is built."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that tests find tests.unit.fake_engine

try:
    import tidegate._engine
except ImportError:
    stand_in = ModuleType("tidegate._engine")

    class PlanRejected(Exception):
        path = ""
        why = ""

    class EngineError(Exception):
        pass

    vars(stand_in).update(
        PlanRejected=PlanRejected, EngineError=EngineError, Gateway=None, Verdict=dict, version=lambda: "0.1.0"
    )
    sys.modules["tidegate._engine"] = stand_in
    import tidegate

    vars(tidegate)["_engine"] = stand_in
