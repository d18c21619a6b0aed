"""Guards: those with a name, and those that routes and keys write out."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, get_args

from tidegate import plan_ai as form
from tidegate.load.problems import closest
from tidegate.lower.work import each
from tidegate.model.ai.guard import Guard, PiiKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidegate.lower.work import Path, Work
    from tidegate.model.ai.guard import Guards as Written

__all__ = ["Guards"]

_PII: tuple[str, ...] = get_args(PiiKind)
_FORMS = ("pii", "keywords", "regex")
_LOOKAROUND = re.compile(r"(?<!\\)\(\?(?:<?[=!]|>)")
_BACKREFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]|\(\?P=")


class Guards:
    """The plan's guards while routes and keys point at them."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.made: list[form.Guard] = []
        self.by_name: dict[str, int] = {}
        self.paths: list[Path] = []
        self._inline: dict[Guard, int] = {}
        self._used: set[int] = set()
        for name, guard in work.config.ai.guards.items():
            path: Path = ("ai", "guards", name)
            if guard.name is not None and guard.name != name:
                work.error((*path, "name"), f"this guard is called `{name}` already", "leave `name` out")
            self.by_name[name] = self._add(guard, name, path)

    def indices(self, written: Written, path: Path) -> list[int]:
        """The guards that a route or key means; what is wrong is noted."""
        out: list[int] = []
        entries: Iterable[tuple[str | Guard, Path]] = each(written, path)
        for entry, at in entries:
            index = self._named(entry, at) if isinstance(entry, str) else self._written(entry, at)
            if index is not None and index in out:
                self.work.error(at, f"`{self.made[index].name}` is there twice", "keep one of them")
            elif index is not None:
                out.append(index)
                self._used.add(index)
        return out

    def warn_unused(self) -> None:
        """Warns of named guards that hold for nobody."""
        for name, index in self.by_name.items():
            if index not in self._used and name in self.work.config.ai.guards:
                place = self.work.where.key_place(("ai", "guards", name))
                right = f"add `guards: [{name}]` to a route's `ai` or a key"
                self.work.problems.warn_at(place, f"nothing uses the guard `{name}`", right)

    def _named(self, name: str, path: Path) -> int | None:
        if name in self.work.config.ai.guards:
            return self.by_name[name]
        meant = closest(name, list(self.work.config.ai.guards))
        right = f"did you mean `{meant}`?" if meant else f"add it: `ai: {{guards: {{{name}: {{pii: on}}}}}}`"
        self.work.error(path, f"no guard is called `{name}`", right)
        return None

    def _written(self, guard: Guard, path: Path) -> int:
        key = _hashable(guard)
        if key in self._inline:
            return self._inline[key]
        base = guard.name or next((kind for kind in _FORMS if getattr(guard, kind) is not None), "guard")
        name, count = base, 1
        while name in self.by_name:
            if guard.name is not None:
                self.work.error((*path, "name"), f"`{name}` is already the name of another guard", "give it another")
                break
            count += 1
            name = f"{base}#{count}"
        self._inline[key] = self.by_name[name] = self._add(guard, name, path)
        return self.by_name[name]

    def _add(self, guard: Guard, name: str, path: Path) -> int:
        scope = guard.scope or ("request" if guard.action == "restore" else "both")
        if guard.action == "restore" and scope != "request":
            what = "only what the client sent can be put back"
            self.work.error((*path, "scope"), what, "write `scope: request`, or `action: mask`")
        made = form.Guard(name=name, scope=scope, look_for=self._look_for(guard, path), action=guard.action)
        self.made.append(made)
        self.paths.append(path)
        return len(self.made) - 1

    def _look_for(self, guard: Guard, path: Path) -> form.LookFor:
        given = [kind for kind in _FORMS if getattr(guard, kind) is not None]
        if len(given) > 1:
            self.work.error((*path, given[1]), f"`{given[0]}` and `{given[1]}` are both here", "make two guards")
        if not given:
            self.work.error(path, "this guard looks for nothing", "add `pii`, `keywords` or `regex`")
        if guard.regex is not None:
            self._check_regex(guard.regex, (*path, "regex"))
            return form.LookForRegex(pattern=guard.regex)
        if guard.keywords is not None:
            words = [word for word, at in each(guard.keywords, (*path, "keywords")) if self._is_word(word, at)]
            if not words:
                self.work.error((*path, "keywords"), "there is no word to look for", "add one")
            return form.LookForKeywords(words=list(dict.fromkeys(words)))
        if guard.pii is False or guard.pii == []:
            self.work.error((*path, "pii"), "there is nothing to look for", f"write `on`, or {', '.join(_PII)}")
        kinds = list(dict.fromkeys(guard.pii)) if isinstance(guard.pii, list) else [*_PII]
        return form.LookForPii(kinds=[*kinds])

    def _is_word(self, word: str, path: Path) -> bool:
        if not word.strip():
            self.work.error(path, "an empty word is found everywhere", "leave it out")
        return bool(word.strip())

    def _check_regex(self, pattern: str, path: Path) -> None:
        if not pattern:
            self.work.error(path, "an empty pattern is found everywhere", "write one, as `[A-Z]{3}-[0-9]{6}`")
        elif _LOOKAROUND.search(pattern) or _BACKREFERENCE.search(pattern):
            what = "look-around and back-references are not part of these patterns, which always end in linear time"
            self.work.error(path, what, "write it without")
        elif (wrong := _wrong_with(pattern)) is not None:
            self.work.error(path, f"`{pattern}` is not a regular expression: {wrong}", "mend it")


def _wrong_with(pattern: str) -> str | None:
    """What Python finds wrong with a pattern of the regex crate, after writing its own forms as Python has them."""
    text = re.sub(r"\\[pP](?:\{[^}]*\}|[A-Za-z])", "x", pattern)
    text = re.sub(r"\\x\{[0-9A-Fa-f]+\}|\\u\{[0-9A-Fa-f]+\}", "x", text)
    text = re.sub(r"\(\?<([A-Za-z_])", r"(?P<\1", text)
    text = re.sub(r"\(\?[a-zA-Z]*(?:-[a-zA-Z]+)?(?=[:)])", "(?:", text).replace("(?::", "(?:").replace("\\z", "\\Z")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None


def _hashable(guard: Guard) -> Guard:
    import msgspec

    pii = tuple(guard.pii) if isinstance(guard.pii, list) else guard.pii
    words = tuple(guard.keywords) if isinstance(guard.keywords, list) else guard.keywords
    made: Guard = msgspec.structs.replace(guard, pii=pii, keywords=words)
    return made
