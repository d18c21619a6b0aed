"""What the AI configuration takes from the environment without saying so: keys of known providers.

A provider that is known by name and answers where it is known to gets its key from the variable that its own
SDK reads. One whose `base_url` was written gets none, for a key is not sent where it was not meant to go; but AWS
keys only sign and are never sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tidegate.ai.providers import known
from tidegate.model.ai.model import AiModel, AiTarget
from tidegate.model.ai.provider import AiProvider
from tidegate.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidegate.model.ai import Ai

__all__ = ["with_environment"]


def with_environment(ai: Ai, environ: Mapping[str, str]) -> Ai:
    """The same with known providers that only targets name, and with keys from the environment."""
    named = dict.fromkeys(name for name in _targets(ai) if name in known() and name not in ai.providers)
    providers = {**ai.providers, **{name: AiProvider() for name in named}}
    filled = {name: _filled(name, provider, environ) for name, provider in providers.items()}
    return msgspec.structs.replace(ai, providers=filled)


def _targets(ai: Ai) -> Iterator[str]:
    for written in ai.models.values():
        targets = written.targets if isinstance(written, AiModel) else written
        for target in [targets] if isinstance(targets, str) else targets:
            yield target.provider if isinstance(target, AiTarget) else target.partition("/")[0]


def _filled(name: str, provider: AiProvider, environ: Mapping[str, str]) -> AiProvider:
    fact = known().get(provider.like or name) or known().get(provider.dialect or "")
    if fact is None or provider.auth in ("none", "client") or provider.dialect not in (None, "responses", fact.dialect):
        return provider
    if fact.dialect == "bedrock" and provider.region is None:
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        provider = msgspec.structs.replace(provider, region=region or None)
    if provider.api_key is not None or provider.access_key is not None or provider.credentials:
        return provider
    elsewhere = provider.base_url is not None
    if not elsewhere and (key := next((environ[variable] for variable in fact.env if environ.get(variable)), None)):
        return msgspec.structs.replace(provider, api_key=Secret(key))
    if fact.dialect == "bedrock" and environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        token = environ.get("AWS_SESSION_TOKEN")
        return msgspec.structs.replace(
            provider,
            access_key=environ["AWS_ACCESS_KEY_ID"],
            secret_key=Secret(environ["AWS_SECRET_ACCESS_KEY"]),
            session_token=Secret(token) if token else None,
        )
    return provider
