"""Prompts as APIs: their versions, each with a model, messages and the schemas of what goes in and out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate import plan_ai as form
from tidegate.load.problems import closest
from tidegate.model.ai.prompt import AiPrompt, PromptVersion

if TYPE_CHECKING:
    from tidegate.lower.ai.names import ModelNames
    from tidegate.lower.work import Path, Work

__all__ = ["lower_prompts"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_OURS = ("messages", "model", "stream", "n", "response_format")
_SHARED = ("model", "template", "system", "messages", "input", "output", "parameters")


def lower_prompts(names: ModelNames, work: Work) -> list[form.Prompt]:
    """All prompts; what is wrong is noted."""
    return [_prompt(name, prompt, names, work) for name, prompt in work.config.ai.prompts.items()]


def _prompt(name: str, written: AiPrompt, names: ModelNames, work: Work) -> form.Prompt:
    path: Path = ("ai", "prompts", name)
    _check_name(name, path, work)
    if not written.versions:
        if written.weight is not None:
            work.error((*path, "weight"), "there is one version, which gets all calls", "leave it out")
        if written.default not in (None, "1"):
            work.error((*path, "default"), "there are no `versions`", "leave it out")
        own = msgspec.structs.replace(written, weight=None)
        return form.Prompt(
            name=name, description=written.description, versions=[_version("1", own, 1, path, path, names, work)]
        )
    weights = _weights(written, path, work)
    versions = []
    for version, entry in written.versions.items():
        at = (*path, "versions", version)
        _check_name(version, at, work)
        versions.append(_version(version, _with(entry, written), weights[version], at, path, names, work))
    return form.Prompt(name=name, description=written.description, versions=versions)


def _weights(written: AiPrompt, path: Path, work: Work) -> dict[str, int]:
    """The default gets all; where weights are written, they do."""
    given = {name: entry.weight for name, entry in written.versions.items()}
    if written.default is not None:
        if written.default not in given:
            meant = closest(written.default, list(given))
            right = f"did you mean `{meant}`?" if meant else "write one of " + ", ".join(f"`{name}`" for name in given)
            work.error((*path, "default"), f"no version is called `{written.default}`", right)
        for name, weight in given.items():
            if weight is not None:
                at = (*path, "versions", name, "weight")
                work.error(at, "`default` gets all calls that pin no version", "leave `weight` or `default` out")
        return {name: int(name == written.default) for name in given}
    if all(weight is None for weight in given.values()):
        last = next(reversed(given))
        return {name: int(name == last) for name in given}
    weights = {name: weight or 0 for name, weight in given.items()}
    if not any(weights.values()):
        work.error(
            (*path, "versions"), "all weights are 0, so nobody is asked", "give one of them a weight of 1 or more"
        )
    return weights


def _with(entry: PromptVersion, shared: AiPrompt) -> PromptVersion:
    """A version, and what its prompt says where it says nothing; messages are all of one place."""
    own = {key: getattr(entry, key) for key in _SHARED}
    texts = ("template", "system", "messages")
    if all(own[key] is None for key in texts):
        own |= {key: getattr(shared, key) for key in texts}
    for key in ("model", "input", "output", "parameters"):
        own[key] = own[key] if own[key] is not None else getattr(shared, key)
    return PromptVersion(**own)


def _version(
    name: str, entry: PromptVersion, weight: int, at: Path, prompt: Path, names: ModelNames, work: Work
) -> form.PromptVersion:
    def where(key: str) -> Path:
        return (*at, key) if work.where.has((*at, key)) else (*prompt, key)

    model = 0
    if entry.model is None:
        if len(names.all) != 1 or "*" in names.all[0].name:
            work.error(at, "`model` is missing", "add `model: NAME`")
    else:
        model = names.index(entry.model, where("model")) or 0
        if "*" in entry.model:
            work.error(where("model"), f"`{entry.model}` is not one model", "write a name without `*`")
    return form.PromptVersion(
        version=name,
        weight=weight,
        model=model,
        messages=_messages(entry, at, where("messages"), work),
        input=_schema(entry.input, where("input"), work, outer=True) or "{}",
        output=_schema(entry.output, where("output"), work, outer=False),
        parameters=_parameters(entry.parameters, where("parameters"), work),
    )


def _messages(entry: PromptVersion, at: Path, messages: Path, work: Work) -> list[tuple[str, str]]:
    if entry.messages is not None:
        if entry.template is not None or entry.system is not None:
            other = "template" if entry.template is not None else "system"
            work.error(messages, f"`messages` and `{other}` are both here", "keep one of them")
        if not entry.messages:
            work.error(messages, "there is no message", "add `{role: user, content: …}`")
        return [(message.role, message.content) for message in entry.messages]
    if entry.template is None:
        work.error(at, "`template` is missing", 'add `template: "… {{ text }} …"`')
    system = [("system", entry.system)] if entry.system is not None else []
    return [*system, ("user", entry.template or "")]


def _schema(written: dict[str, Any] | None, path: Path, work: Work, *, outer: bool) -> str | None:
    if written is None:
        return None
    kind = written.get("type")
    kinds = kind if isinstance(kind, list) else [kind] if kind is not None else []
    for one in kinds:
        if one not in _TYPES:
            meant = closest(str(one), [*_TYPES])
            right = f"did you mean `{meant}`?" if meant else f"write one of {', '.join(_TYPES)}"
            work.error((*path, "type"), f"`{one}` is no type of JSON Schema", right)
    if outer and kinds and kinds != ["object"]:
        work.error((*path, "type"), "the inputs are an object, one key for each", "write `type: object`")
    required = written.get("required")
    if required is not None and not (isinstance(required, list) and all(isinstance(key, str) for key in required)):
        work.error((*path, "required"), "`required` is a list of names", "write `required: [text]`")
    properties = written.get("properties")
    if properties is not None and not isinstance(properties, dict):
        work.error((*path, "properties"), "`properties` is a mapping of names", "write `properties: {text: {…}}`")
    return msgspec.json.encode(written).decode()


def _parameters(written: dict[str, Any] | None, path: Path, work: Work) -> str:
    for key in written or ():
        if key in _OURS:
            work.error((*path, key), f"`{key}` is made by the prompt itself", "leave it out")
    return msgspec.json.encode(written or {}).decode()


def _check_name(name: str, path: Path, work: Work) -> None:
    if not _NAME.fullmatch(name):
        place = work.where.key_place(path)
        work.problems.error_at(place, f"`{name}` cannot be a part of a path", "write letters, digits, `-`, `_` and `.`")
