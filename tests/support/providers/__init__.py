"""Fake providers: each speaks one dialect natively, says what a test scripts, and keeps what it was asked."""

from tests.support.providers.provider import DIALECTS, Provider
from tests.support.providers.script import Asked, Call, Gate, Raw, Script, Usage

__all__ = ["DIALECTS", "Asked", "Call", "Gate", "Provider", "Raw", "Script", "Usage"]
