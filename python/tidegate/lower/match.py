"""The conditions of a route."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower.headers import is_token
from tidegate.lower.work import each
from tidegate.model.route import ValueTest

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.route import Match

__all__ = ["lower_host", "lower_match"]

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_V6 = re.compile(r"\[[0-9a-f:.]+\]")
_KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ROOT = plan.PathPrefix(value="/")


def lower_match(match: Match, path: Path, work: Work) -> plan.Matches:
    """All that must hold; what is wrong is noted."""
    hosts = [lower_host(text, at, work) for text, at in each(match.host, (*path, "host"))]
    methods = [_method(text, at, work) for text, at in each(match.methods, (*path, "methods"))]
    return plan.Matches(
        hosts=list(dict.fromkeys(hosts)),
        path=_path(match, path, work),
        methods=list(dict.fromkeys(methods)),
        headers=[_header(name, value, (*path, "headers", name), work) for name, value in match.headers.items()],
        query=[_value(name, value, (*path, "query", name), work) for name, value in match.query.items()],
    )


def _path(match: Match, path: Path, work: Work) -> plan.PathMatch:
    given = [key for key in ("path", "exact", "regex") if getattr(match, key) is not None]
    if len(given) > 1:
        work.error((*path, given[1]), f"`{given[0]}` and `{given[1]}` are both here", "keep one of them")
    if match.path is not None:
        return plan.PathPrefix(value=_literal(match.path, (*path, "path"), work))
    if match.exact is not None:
        return plan.PathExact(value=_literal(match.exact, (*path, "exact"), work))
    if match.regex is not None:
        if not match.regex:
            work.error((*path, "regex"), "the pattern is empty", "leave it out to match every path")
        return plan.PathRegex(value=match.regex)
    return _ROOT


def _literal(text: str, path: Path, work: Work) -> str:
    if not text.startswith("/"):
        if "*" in text or text.startswith("^"):
            right = f"write `regex: {text if text.startswith('^') else _pattern(text)}` for a pattern"
            work.error(path, f"`{text}` does not begin with `/`", right)
        else:
            work.error(path, f"`{text}` does not begin with `/`", f"write `/{text}`")
    elif text.endswith("*"):
        work.error(
            path,
            f"`{text}`: a `*` stands for itself here",
            f"write `path: {text.rstrip('*')}`, it takes all that is below",
        )
    elif "?" in text or "#" in text:
        work.error(path, f"`{text}` has more than a path in it", "match the query by `query: {NAME: VALUE}`")
    elif any(char <= " " or char == "\x7f" for char in text):
        work.error(path, f"`{text}` has a blank or a control character in it", "write it as `%20`")
    elif "//" in text and work.config.server.merge_slashes:
        work.error(path, f"`{text}` never comes: `//` counts as `/`", f"write `{re.sub('/+', '/', text)}`")
    elif re.search(r"/\.\.?(/|$)", text):
        work.error(path, f"`{text}` never comes: `.` and `..` are resolved first", "write the resolved path")
    return text


def _pattern(glob: str) -> str:
    """What a shell's pattern is as a regular expression."""
    words = [re.escape(word).replace("\\.", "[.]").replace("\\-", "-") for word in glob.split("*")]
    return "'" + ("^" if words[0] else "") + ".*".join(words).removeprefix(".*") + ("$" if words[-1] else "") + "'"


def lower_host(text: str, path: Path, work: Work) -> str:
    """A host's name, or `*.` and one, in lower case; what is wrong is noted."""
    host = text.lower().removesuffix(".")
    if host == "*":
        work.error(path, "`*` is no host", "leave `host` out to take any")
        return host
    bare = host.removeprefix("*.")
    if "://" in host:
        work.error(path, f"`{text}` is a URL", f"write `{host.split('://', 1)[1].split('/', 1)[0]}`")
    elif re.search(r"[^\]:]:\d+$|\]:\d+$", host):
        work.error(
            path,
            f"`{text}` has a port, which never takes part",
            f"write `{host.rsplit(':', 1)[0]}`, and `listeners` for the port",
        )
    elif "*" in bare:
        right = "write `*.example.com`, or every host"
        work.error(path, f"`{text}`: a `*` takes whole labels at the beginning", right)
    elif not _V6.fullmatch(bare) and (len(bare) > 253 or not all(_LABEL.fullmatch(label) for label in bare.split("."))):
        right = (
            f"write `{_ascii(bare)}`"
            if not bare.isascii() and _ascii(bare)
            else "write `api.example.com` or `*.example.com`"
        )
        work.error(path, f"`{text}` is not a host's name", right)
    return host


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return ""


def _method(text: str, path: Path, work: Work) -> str:
    if not is_token(text):
        right = f"write `[{text}]`" if re.fullmatch(r"\w+(, *\w+)+", text) else "write `GET`"
        work.error(path, f"`{text}` is not a method", right)
    elif text.upper() in _KNOWN_METHODS and text not in _KNOWN_METHODS:
        work.error(path, f"`{text}`: methods are told apart by case (RFC 9110 §9.1)", f"write `{text.upper()}`")
    elif text in ("CONNECT", "TRACE"):
        work.error(path, f"{text} is never passed on", "leave it out")
    return text


def _header(name: str, value: str | ValueTest, path: Path, work: Work) -> plan.ValueMatch:
    if not is_token(name):
        work.problems.error_at(
            work.where.key_place(path), f"`{name}` is not a header's name", "write letters, digits and `-`"
        )
    elif name.lower() == "host":
        work.problems.error_at(
            work.where.key_place(path), "`Host` is not matched as a header", "write `match: {host: NAME}`"
        )
    return _value(name, value, path, work)


def _value(name: str, value: str | ValueTest, path: Path, work: Work) -> plan.ValueMatch:
    if not name:
        work.problems.error_at(work.where.key_place(path), "the name is empty", "write a name")
    if isinstance(value, str):
        return plan.ValueMatch(name=name, test=plan.ValueExact(value=value))
    given = [key for key in ("present", "exact", "regex") if getattr(value, key) is not None]
    if len(given) != 1:
        what = f"`{given[0]}` and `{given[1]}` are both here" if given else "this tests nothing"
        work.error(path, what, "write one of `{present: true}`, `{exact: …}`, `{regex: …}`")
    test: plan.ValueTest = plan.ValuePresent()
    if value.exact is not None:
        test = plan.ValueExact(value=value.exact)
    elif value.regex is not None:
        test = plan.ValueRegex(value=value.regex)
    elif value.present is False:
        test = plan.ValueAbsent()
    return plan.ValueMatch(name=name, test=test)
