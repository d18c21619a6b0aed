"""Texts with variables: `${client_ip}`, `${header:NAME}`, `${1}` taken apart, `$${` a `${` as it stands."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, get_args

from tidegate import plan
from tidegate.load.problems import closest

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["NO_CAPTURES", "Captures", "Wrong", "captures_of", "parse", "replacement", "show", "template"]

VARIABLES: frozenset[str] = frozenset(get_args(plan.VariableName))
_PARTS: dict[str, type[plan.HeaderValue | plan.QueryValue | plan.CookieValue | plan.ClaimValue]] = {
    "header": plan.HeaderValue,
    "query": plan.QueryValue,
    "cookie": plan.CookieValue,
    "claim": plan.ClaimValue,
}
_OPEN = re.compile(r"\$\$\{|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]*|[0-9]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NGINX = {
    "remote_addr": "client_ip",
    "binary_remote_addr": "client_ip",
    "realip_remote_addr": "peer_ip",
    "remote_port": "peer_port",
    "remote_user": "user",
    "http_host": "authority",
    "server_protocol": "protocol",
    "request_method": "method",
    "uri": "path",
    "document_uri": "path",
    "args": "query",
    "query_string": "query",
    "request_time": "duration",
    "msec": "time",
    "proxy_add_x_forwarded_for": "client_ip",
}
_NGINX_BARE = re.compile(r"\$(" + "|".join([*_NGINX, "host", "scheme", "request_uri", "request_id", "status"]) + r")\b")


class Captures(NamedTuple):
    """What a route's path and host capture: how many numbered groups, which names."""

    groups: int
    names: frozenset[str]


NO_CAPTURES = Captures(0, frozenset())


class Wrong(ValueError):
    """What is wrong in a template, what would be right, and the text to point at."""

    def __init__(self, what: str, right: str, find: str) -> None:
        super().__init__(what)
        self.what = what
        self.right = right
        self.find = find


def template(
    text: str, path: Path, work: Work, captures: Captures = NO_CAPTURES, *, lines: bool = False
) -> plan.Template:
    """The parts of a text; what is wrong is noted. Only with `lines` may it have line ends."""
    try:
        parts = parse(text, captures, lines=lines)
    except Wrong as wrong:
        work.error(path, wrong.what, wrong.right, wrong.find)
        return []
    if "$" in text:
        for found in _NGINX_BARE.finditer(text):
            name = _NGINX.get(found[1], found[1])
            work.warn(path, f"`{found[0]}` is sent as it stands", f"for a variable write `${{{name}}}`", found[0])
    return list(parts)


@lru_cache(maxsize=4096)
def parse(text: str, captures: Captures = NO_CAPTURES, *, lines: bool = False) -> tuple[plan.TemplatePart, ...]:
    """The parts of a text; raises `Wrong`."""
    forbidden = "\0" if lines else "\r\n\0"
    if any(char in text for char in forbidden):
        raise Wrong("a line end or NUL would split the head", "write it in one line", "")
    out: list[plan.TemplatePart] = []
    literal: list[str] = []
    at = 0
    while found := _OPEN.search(text, at):
        literal.append(text[at : found.start()])
        at = found.end()
        if found[0] == "$${":
            literal.append("${")
            continue
        end = text.find("}", at)
        if end < 0:
            raise Wrong(f"`{text[found.start() :]}` is not closed", "write the closing `}`", text[found.start() :])
        if joined := "".join(literal):
            out.append(plan.Text(value=joined))
        literal.clear()
        out.append(_variable(text[at:end], captures))
        at = end + 1
    literal.append(text[at:])
    if joined := "".join(literal):
        out.append(plan.Text(value=joined))
    return tuple(out)


def show(parts: plan.Template) -> str:
    """A template as it is written; `parse` reads back what renders the same."""
    out: list[str] = []
    for part in parts:
        if out and out[-1].endswith("$") and not isinstance(part, plan.Text):
            bare = out[-1].rstrip("$")
            out[-1] = bare + "${dollar}" * (len(out[-1]) - len(bare))
        match part:
            case plan.Text(value=value):
                out.append(value.replace("${", "$${"))
            case plan.Variable(name=name):
                out.append(f"${{{name}}}")
            case plan.HeaderValue(name=name):
                out.append(f"${{header:{name}}}")
            case plan.QueryValue(name=name):
                out.append(f"${{query:{name}}}")
            case plan.CookieValue(name=name):
                out.append(f"${{cookie:{name}}}")
            case plan.ClaimValue(name=name):
                out.append(f"${{claim:{name}}}")
            case plan.Capture(name=name):
                out.append(f"${{capture:{name}}}")
    return "".join(out)


def _variable(inner: str, captures: Captures) -> plan.TemplatePart:
    whole = f"${{{inner}}}"
    if inner in VARIABLES:
        return plan.Variable(name=inner)  # type: ignore[arg-type]  # just looked up
    kind, colon, name = inner.partition(":")
    if colon and kind in _PARTS:
        if not (_TOKEN.fullmatch(name) if kind not in ("query", "claim") else name):
            raise Wrong(f"`{whole}` names no {kind}", f"write `${{{kind}:NAME}}`", whole)
        return _PARTS[kind](name=name)
    if colon and kind != "capture":
        raise Wrong(f"`{whole}` is not a variable", "write `${header:NAME}`, `${query:NAME}`, `${cookie:NAME}`", whole)
    group = name if colon else inner
    if group.isdecimal() and group.isascii():
        if int(group) > captures.groups:
            had = f"the route captures {captures.groups}" if captures.groups else "nothing is captured here"
            raise Wrong(f"`{whole}`: {had}", "capture by `match: {regex: …}` with ( )", whole)
        return plan.Capture(name=str(int(group)))
    if group in captures.names:
        return plan.Capture(name=group)
    raise Wrong(f"`{whole}` is not a variable", _meant(inner, captures), whole)


def _meant(inner: str, captures: Captures) -> str:
    if inner in _NGINX:
        return f"write `${{{_NGINX[inner]}}}`"
    for before, kind in (("http_", "header"), ("arg_", "query"), ("cookie_", "cookie")):
        if inner.startswith(before) and len(inner) > len(before):
            name = inner[len(before) :]
            return f"write `${{{kind}:{name.replace('_', '-') if kind == 'header' else name}}}`"
    if meant := closest(inner, sorted(VARIABLES | captures.names)):
        return f"did you mean `${{{meant}}}`?"
    return "write `${client_ip}`, `${host}`, `${path}` …, or `$${` for a `${` as it stands"


def captures_of(pattern: str | None, wildcard_host: bool) -> Captures:
    """What a route captures: the groups of its path's pattern, and `host` of a wildcard host."""
    if pattern is None and not wildcard_host:
        return NO_CAPTURES
    count, names = _groups(pattern or "")
    return Captures(count, names | {"host"} if wildcard_host else names)


@lru_cache(maxsize=4096)
def _groups(pattern: str) -> tuple[int, frozenset[str]]:
    """How many groups a pattern of the regex crate has, and their names; the engine judges the pattern itself."""
    count, names, at, depth = 0, set(), 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 2
            continue
        if char == "[":
            depth += 1
            if pattern.startswith(("]", "^]"), at + 1):
                at = pattern.index("]", at + 1)
        elif char == "]" and depth:
            depth -= 1
        elif char == "(" and not depth:
            if not pattern.startswith("?", at + 1):
                count += 1
            elif named := re.compile(r"\?P?<([A-Za-z_][A-Za-z0-9_.\[\]]*)>").match(pattern, at + 1):
                count += 1
                names.add(named[1])
        at += 1
    return count, frozenset(names)


_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)\}|\$([A-Za-z0-9_]+)")


def replacement(text: str, pattern: str, path: Path, work: Work) -> str:
    """The replacement of a pattern, in the regex crate's syntax; groups that the pattern has not are noted."""
    count, names = _groups(pattern)
    for found in _REFERENCE.finditer(text):
        group = found[1] if found[1] is not None else found[2]
        if group is None or group in names or (group.isdecimal() and int(group) <= count):
            continue
        right = "write `$1` or `${name}` for a group, `$$` for a dollar sign"
        if found[2] and (number := re.match(r"\d+", group)) and number[0] != group and int(number[0]) <= count:
            right = f"write `${{{number[0]}}}{group[number.end() :]}`"
        work.error(path, f"`{found[0]}` is no group of the pattern", right, found[0])
    return text
