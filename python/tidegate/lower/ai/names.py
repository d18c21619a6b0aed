"""The names of models: what is written, what is exposed, what stands for some text; each an index of the plan.

Names without a `*` come first, then those with one, the longest text first, so that the first that matches is the
closest. A name that only a `*` matches and that something else mentions (a key, a fallback) becomes a model of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tidegate.load.problems import closest
from tidegate.model.ai.model import AiFallback, AiModel, AiShadow, AiTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidegate.lower.ai.provider import Providers
    from tidegate.lower.work import Path, Work
    from tidegate.model.ai import Ai

__all__ = ["ModelNames", "Named", "fallbacks", "matches", "substituted"]


class Named(NamedTuple):
    """A model before it is lowered: its name, what was written, where, and what a `*` stood for."""

    name: str
    written: AiModel
    path: Path
    star: str | None


class ModelNames:
    """All models of one configuration, in the plan's order."""

    def __init__(self, work: Work, providers: Providers, stored: Iterable[str]) -> None:
        self.work = work
        self.providers = providers.written
        found = dict(_written(work.config.ai))
        for named in _exposed(work, providers):
            found.setdefault(named.name, named)
        stars = sorted((name for name in found if "*" in name), key=lambda name: (-len(name), name))
        for name in dict.fromkeys((*_mentioned(work.config.ai), *stored)):
            if name not in found and name.count("*") <= 1:
                pattern = next((known for known in stars if matches(known, name) is not None), None)
                if pattern is not None and name != "*":
                    found[name] = found[pattern]._replace(name=name, star=matches(pattern, name))
        exact = [name for name in found if "*" not in name]
        rest = sorted((name for name in found if "*" in name), key=lambda name: (-len(name), name))
        self.all = [found[name] for name in (*exact, *rest)]
        self.by_name = {named.name: index for index, named in enumerate(self.all)}

    def index(self, name: str, path: Path) -> int | None:
        """The model of that name; what is wrong is noted."""
        index = self.by_name.get(name)
        if index is None:
            self._unknown(name, path, key=False)
        return index

    def matching(self, name: str) -> list[int]:
        """The models of that name or pattern; none where it is wrong."""
        if "*" not in name:
            return [self.by_name[name]] if name in self.by_name else []
        return [index for known, index in self.by_name.items() if matches(name, known) is not None]

    def matching_or_told(self, name: str, path: Path, *, key: bool = False) -> list[int]:
        """As `matching`; what is wrong is noted, at the key of a mapping or at the value."""
        found = self.matching(name)
        if not found:
            self._unknown(name, path, key=key)
        return found

    def _unknown(self, name: str, path: Path, *, key: bool) -> None:
        place = self.work.where.key_place(path) if key else self.work.where.place(path)
        meant, provider = closest(name, list(self.by_name)), name.partition("/")[0]
        right = f"did you mean `{meant}`?" if meant else f"add it: `ai: {{models: {{{name}: PROVIDER/MODEL}}}}`"
        if not meant and "/" in name and provider in self.providers:
            right = f"add `expose: on` to the provider `{provider}`, or a model of that name"
        self.work.problems.error_at(place, f"no model is called `{name}`", right)


def matches(pattern: str, name: str) -> str | None:
    """What the `*` of a pattern stands for in a name; None where it does not match, empty for equality."""
    before, star, behind = pattern.partition("*")
    if not star:
        return "" if pattern == name else None
    if len(name) < len(before) + len(behind) or not name.startswith(before) or not name.endswith(behind):
        return None
    return name[len(before) : len(name) - len(behind)]


def fallbacks(model: AiModel) -> list[tuple[AiFallback, tuple[str | int, ...]]]:
    """A model's fallbacks, each with the way to its name from the model."""
    if isinstance(model.fallback, str):
        return [(AiFallback(model=model.fallback), ("fallback",))]
    return [
        (AiFallback(model=entry), ("fallback", index))
        if isinstance(entry, str)
        else (entry, ("fallback", index, "model"))
        for index, entry in enumerate(model.fallback)
    ]


def _written(ai: Ai) -> Iterator[tuple[str, Named]]:
    for name, written in ai.models.items():
        entry = written if isinstance(written, AiModel) else AiModel(targets=written)
        yield name, Named(name, entry, ("ai", "models", name), None)


def _exposed(work: Work, providers: Providers) -> Iterator[Named]:
    """`PROVIDER/MODEL` for providers that say so, or for all where no model is configured."""
    none = not work.config.ai.models
    for name, provider in providers.written.items():
        path: Path = ("ai", "providers", name, "expose")
        if providers.dialects[name] == "echo":
            if none:
                yield Named("echo", AiModel(targets=[AiTarget(provider=name, model="echo")]), path, None)
            continue
        if provider.expose is True or (provider.expose is None and none):
            yield Named(f"{name}/*", AiModel(targets=[AiTarget(provider=name, model="*")]), path, None)
        for model in provider.expose if isinstance(provider.expose, list) else ():
            yield Named(f"{name}/{model}", AiModel(targets=[AiTarget(provider=name, model=model)]), path, None)
    if none and len(providers.written) == 1:
        only, provider = next(iter(providers.written.items()))
        if providers.dialects[only] != "echo" and provider.expose is None:
            target = AiTarget(provider=only, model="*")
            yield Named("*", AiModel(targets=[target]), ("ai", "providers", only), None)


def _mentioned(ai: Ai) -> Iterator[str]:
    """Names of models that something but the list of models mentions."""
    for written in ai.models.values():
        if isinstance(written, AiModel):
            yield from (entry.model for entry, _ in fallbacks(written))
            yield from (rule.model for rule in written.rules)
            if written.shadow is not None:
                yield written.shadow.model if isinstance(written.shadow, AiShadow) else written.shadow
    for key in ai.keys:
        yield from [key.models] if isinstance(key.models, str) else key.models or ()
    levels: list[object] = [*ai.tenants.values(), *ai.tags.values()]
    while levels:
        level = levels.pop()
        yield from getattr(level, "models", ())
        for below in ("teams", "users"):
            levels += getattr(level, below, {}).values()
    for prompt in ai.prompts.values():
        yield from (version.model for version in (prompt, *prompt.versions.values()) if version.model is not None)


def substituted(target: AiTarget, star: str | None) -> AiTarget:
    """The target with what the `*` stood for in its model's name."""
    if star is None or target.model is None:
        return target
    return msgspec.structs.replace(target, model=target.model.replace("*", star))
