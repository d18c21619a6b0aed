"""What people write: one module a noun, with its keys, its defaults and what each means.

Knows: names, shapes, defaults.
Never: files, the plan, the engine.
"""

from __future__ import annotations

from tidegate.model.auth import Access, ApiKey, ApiKeys, Auth, Basic, User
from tidegate.model.config import Config
from tidegate.model.hook import Hook
from tidegate.model.limit import Concurrency, Limit
from tidegate.model.listener import Listener
from tidegate.model.log import AccessLog
from tidegate.model.route import Edits, Headers, Match, Redirect, Respond, Rewrite, Route, ValueTest
from tidegate.model.secret import Secret
from tidegate.model.server import RequestId, Server
from tidegate.model.upstream import (
    ActiveHealth,
    Endpoint,
    HashBalance,
    Health,
    PassiveHealth,
    Pool,
    Retry,
    Timeouts,
    Upstream,
)

__all__ = [
    "Access",
    "AccessLog",
    "ActiveHealth",
    "ApiKey",
    "ApiKeys",
    "Auth",
    "Basic",
    "Concurrency",
    "Config",
    "Edits",
    "Endpoint",
    "HashBalance",
    "Headers",
    "Health",
    "Hook",
    "Limit",
    "Listener",
    "Match",
    "PassiveHealth",
    "Pool",
    "Redirect",
    "RequestId",
    "Respond",
    "Retry",
    "Rewrite",
    "Route",
    "Secret",
    "Server",
    "Timeouts",
    "Upstream",
    "User",
    "ValueTest",
]
