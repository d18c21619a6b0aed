"""Caddyfiles: sites, matchers, and the directives that a proxy uses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.convert.written import Converted, ConvertError, Piece

__all__ = ["convert"]

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`|(#.*)|(\{)(?=\s|$)|(\})(?=\s|$)|(\S+)')
_ELSEWHERE: Final = {
    "encode": "compression of answers is left to the upstream",
    "file_server": "files are not served by this version; put a file server behind it",
    "root": "files are not served by this version; put a file server behind it",
    "php_fastcgi": "FastCGI is not spoken",
    "templates": "templates are not run",
    "tls": "certificates are given by file: listeners: [{address: :443, tls: {certificates: [{cert: …, key: …}]}}]",
}
_BALANCE: Final = {
    "least_conn": "least_requests",
    "round_robin": "round_robin",
    "ip_hash": {"hash": "client_ip"},
    "uri_hash": {"hash": "path"},
}
_PLACEHOLDERS: Final = {
    "{host}": "${host}", "{http.request.host}": "${host}", "{uri}": "${request_uri}", "{path}": "${path}",
    "{scheme}": "${scheme}", "{remote_host}": "${client_ip}", "{http.request.remote.host}": "${client_ip}",
}  # fmt: skip


@dataclass
class Line:
    """A directive with its arguments and what stands in its braces."""

    number: int
    words: list[str]
    block: list[Line] = field(default_factory=list)


def convert(text: str, name: str) -> Converted:
    """A whole Caddyfile."""
    out = Converted(name)
    blocks = _Reader(text, name).blocks()
    if blocks and not blocks[0].words:
        options = blocks.pop(0)
        out.notes += [
            out.note(line.number, f"the global option `{line.words[0]}` is left out") for line in options.block
        ]
    ports: dict[str, None] = {}
    for site in blocks:
        if site.words[0].startswith("("):
            out.notes.append(
                out.note(site.number, f"the snippet {site.words[0]} is left out: write it where it is imported")
            )
            continue
        _Site(out, site, ports).convert()
    out.head["listeners"] = list(ports) or [":80"]
    return out


class _Site:
    def __init__(self, out: Converted, site: Line, ports: dict[str, None]) -> None:
        self.out, self.site = out, site
        self.hosts: list[str] = []
        self.notes: list[str] = []
        self.named: dict[str, dict[str, Any]] = {}
        for word in (word.rstrip(",") for word in site.words):
            self._address(word, ports)

    def _address(self, word: str, ports: dict[str, None]) -> None:
        scheme, _, rest = word.rpartition("://")
        host, _, path = rest.partition("/")
        if path:
            self.notes.append(self.out.note(self.site.number, f"the path of {word} is left out: give it to the routes"))
        name, colon, port = host.rpartition(":")
        if not colon:
            name, port = host, ""
        if not port:
            port = "80" if scheme == "http" else "443"
        if port == "443":
            self.notes.append(
                self.out.note(
                    self.site.number,
                    f"{word} is served with TLS by Caddy, which gets the certificate itself; here it is served plainly "
                    "on port 80: give a listener on :443 its certificates",
                )
            )
            port = "80"
        ports[f":{port}"] = None
        if name:
            self.hosts.append(name)

    def convert(self) -> None:
        """All routes of the site, the first with what is to be said of it."""
        for line in self.site.block:
            if line.words[0].startswith("@"):
                self._name(line)
        common: dict[str, Any] = {}
        made: list[Piece] = []
        self._lines(self.site.block, {}, common, made)
        if made:
            made[0].notes[:0] = self.notes
        else:
            self.out.notes += self.notes
        for piece in made:
            for key, value in common.items():
                if key == "headers":
                    _merge(piece.content.setdefault("headers", {}), value)
                else:
                    piece.content.setdefault(key, value)
            piece.content = {key: piece.content[key] for key in sorted(piece.content, key=_order)}
        self.out.routes += made

    def _lines(self, lines: list[Line], match: dict[str, Any], common: dict[str, Any], made: list[Piece]) -> None:
        for line in lines:
            word, arguments = line.words[0], line.words[1:]
            if word.startswith("@"):
                continue
            if word in _ELSEWHERE:
                self._tell(line, f"`{word}` is left out: {_ELSEWHERE[word]}")
            elif word in ("handle", "handle_path", "route"):
                inner, arguments = self._matched(line, arguments, match)
                within: list[Piece] = []
                shared: dict[str, Any] = {}
                self._lines(line.block, inner, shared, within)
                for piece in within:
                    piece.content.update({key: value for key, value in shared.items() if key not in piece.content})
                    if word == "handle_path" and "path" in inner:
                        piece.content.setdefault("rewrite", {"prefix": "/"})
                made += within
            elif word == "reverse_proxy":
                made.append(self._proxy(line, match))
            elif word == "respond":
                inner, rest = self._matched(line, arguments, match)
                status = next((int(word) for word in rest if re.fullmatch(r"[1-5]\d\d", word)), 200)
                body = next((word for word in rest if not re.fullmatch(r"[1-5]\d\d", word)), "")
                made.append(self._route(inner, respond={"status": status, "body": _value(body)} if body else status))
            elif word == "redir":
                inner, rest = self._matched(line, arguments, match)
                code = {"permanent": 301, "temporary": 302, "html": 302}.get(rest[1] if len(rest) > 1 else "")
                code = code or (int(rest[1]) if len(rest) > 1 and rest[1].isdigit() else 302)
                if not rest:
                    raise ConvertError(self.out.source, line.number, "redir says not where to")
                made.append(self._route(inner, redirect={"to": _value(rest[0]), "status": code}))
            elif (
                word in ("header", "request_header")
                and arguments
                and arguments[0] != "*"
                and arguments[0][0] in "/@"
                and arguments[0] != "/*"
            ):
                self._tell(
                    line,
                    f"`{' '.join(line.words)}` is left out: edits belong to routes; write them there ({arguments[0]})",
                )
            elif word == "header":
                arguments = arguments[1:] if arguments[:1] in (["*"], ["/*"]) else arguments
                _merge(
                    common.setdefault("headers", {}),
                    {"response": _edits([arguments, *(inner.words for inner in line.block)])},
                )
            elif word == "request_header":
                _merge(common.setdefault("headers", {}), {"request": _edits([arguments])})
            elif word == "request_body" and line.block and line.block[0].words[0] == "max_size":
                common["max_body"] = (
                    line.block[0].words[1].replace("MB", "MiB").replace("KB", "KiB").replace("GB", "GiB")
                )
            elif word == "rewrite" and arguments:
                inner, rest = self._matched(line, arguments, {})
                if inner or not rest:
                    self._tell(line, "a `rewrite` with a matcher is left out: give the route it belongs to a `rewrite`")
                else:
                    common["rewrite"] = {"path": _value(rest[-1])}
            elif word == "log":
                self.out.head.setdefault("access_log", {"format": "json", "path": "stdout"})
            elif word in ("basic_auth", "basicauth"):
                self._tell(
                    line,
                    "`basic_auth` is left out: its hashes are bcrypt's; set passwords in auth: {basic: {users: []}}",
                )
            else:
                self._tell(line, f"`{word}` is left out: there is nothing like it")

    def _proxy(self, line: Line, match: dict[str, Any]) -> Piece:
        inner, rest = self._matched(line, line.words[1:], match)
        upstream: dict[str, Any] = {}
        headers: dict[str, Any] = {}
        active: dict[str, Any] = {}
        notes: list[str] = []
        for option in line.block:
            word, values = option.words[0], option.words[1:]
            if word == "to":
                rest += values
            elif word == "lb_policy" and values and values[0] in _BALANCE:
                upstream["balance"] = _BALANCE[values[0]]
            elif word == "health_uri":
                active["path"] = values[0]
            elif word in ("health_interval", "health_timeout"):
                active[word.removeprefix("health_")] = values[0]
            elif word == "health_status":
                active["status"] = values[0]
            elif word in ("header_up", "header_down"):
                side = "request" if word == "header_up" else "response"
                _merge(headers, {side: _edits([values])})
            elif (
                word == "transport"
                and [one.words[0] for one in option.block] == ["versions"]
                and "h2c" in option.block[0].words
            ):
                upstream["protocol"] = "http2"
            else:
                notes.append(self.out.note(option.number, f"`{' '.join(option.words)}` of reverse_proxy is left out"))
        urls = [_url(address) for address in rest]
        if not urls:
            raise ConvertError(self.out.source, line.number, "reverse_proxy says not where to")
        if active:
            upstream["health"] = {"active": active}
        if "balance" not in upstream and len(urls) > 1:
            notes.append(
                self.out.note(line.number, "Caddy chooses at random; here it is the endpoint with the least latency")
            )
        if upstream or len(urls) > 1:
            name = f"upstream{len(self.out.upstreams) + 1}"
            self.out.upstreams[name] = Piece({"endpoints": urls, **upstream})
            piece = self._route(inner, upstream=name)
        else:
            piece = self._route(inner, upstream=urls[0])
        if headers:
            piece.content["headers"] = headers
        piece.notes += notes
        return piece

    def _route(self, match: dict[str, Any], **what: Any) -> Piece:
        whole = {**({"host": self.hosts if len(self.hosts) > 1 else self.hosts[0]} if self.hosts else {}), **match}
        return Piece({**({"match": whole} if whole else {}), **what})

    def _matched(self, line: Line, words: list[str], match: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """A matcher in front of the arguments, with what holds around it."""
        if words and words[0].startswith("@"):
            if words[0] not in self.named:
                raise ConvertError(self.out.source, line.number, f"the matcher {words[0]} is defined nowhere")
            return {**match, **self.named[words[0]]}, words[1:]
        if words and words[0] == "*":
            return match, words[1:]
        if words and words[0].startswith("/") and (line.words[0] != "redir" or len(words) > 1):
            return {**match, **self._path(line, words[0])}, words[1:]
        return match, list(words)

    def _path(self, line: Line, pattern: str) -> dict[str, Any]:
        if pattern.endswith("*") and "*" not in pattern[:-1]:
            if not pattern.endswith("/*"):
                self._tell(line, f"{pattern} takes every path that begins so; here a prefix ends at a `/`")
            return {"path": pattern[:-1]}
        if "*" in pattern:
            return {"regex": "^" + ".*".join(re.escape(part) for part in pattern.split("*")) + "$"}
        return {"exact": pattern}

    def _name(self, line: Line) -> None:
        tests = [Line(line.number, line.words[1:])] if len(line.words) > 1 else line.block
        match: dict[str, Any] = {}
        for test in tests:
            kind, values = test.words[0], test.words[1:]
            if kind == "path" and len(values) == 1:
                match.update(self._path(test, values[0]))
            elif kind == "path":
                match["regex"] = (
                    "^(" + "|".join(".*".join(re.escape(part) for part in value.split("*")) for value in values) + ")$"
                )
            elif kind == "path_regexp":
                match["regex"] = values[-1]
            elif kind == "method":
                match["methods"] = values
            elif kind == "host":
                match["host"] = values
            elif kind == "header" and len(values) == 2:
                match.setdefault("headers", {})[values[0]] = values[1] if values[1] != "*" else {"present": True}
            elif kind == "query":
                match.setdefault("query", {}).update(dict(value.split("=", 1) for value in values if "=" in value))
            else:
                self._tell(
                    test, f"the test `{' '.join(test.words)}` of {line.words[0]} is left out: it takes more than it did"
                )
        self.named[line.words[0]] = match

    def _tell(self, line: Line, what: str) -> None:
        self.notes.append(self.out.note(line.number, what))


class _Reader:
    """Lines of words, with blocks in braces."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._lines = [(number, _words(line)) for number, line in enumerate(text.splitlines(), 1)]
        self._lines = [(number, words) for number, words in self._lines if words]
        self._at = 0

    def blocks(self) -> list[Line]:
        """The outermost blocks; a file without braces is one site."""
        found = self._block(outermost=True)
        bare = [line for line in found if not line.block and line.words]
        if len(found) > 1 and len(bare) == len(found):
            return [Line(found[0].number, found[0].words, found[1:])]
        for line in bare:
            raise ConvertError(
                self._name, line.number, f"`{line.words[0]}` stands outside any site, or its braces are missing"
            )
        return found

    def _block(self, *, outermost: bool = False) -> list[Line]:
        found: list[Line] = []
        while self._at < len(self._lines):
            number, words = self._lines[self._at]
            self._at += 1
            if words == [("}", True)]:
                if outermost:
                    raise ConvertError(self._name, number, "`}` closes nothing")
                return found
            opens = words[-1] == ("{", True)
            line = Line(number, [word for word, brace in words if not brace])
            if opens:
                line.block = self._block()
            found.append(line)
        if not outermost:
            raise ConvertError(self._name, self._lines[-1][0], "a `{` is not closed")
        return found


def _words(line: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for token in _TOKEN.finditer(line):
        quoted, raw, comment, opening, closing, word = token.groups()
        if comment is not None:
            break
        if opening or closing:
            found.append((opening or closing, True))
        elif quoted is not None:
            found.append((re.sub(r"\\(.)", r"\1", quoted), False))
        else:
            found.append((raw if raw is not None else word, False))
    return found


def _url(address: str) -> str:
    if address.startswith("unix/"):
        return "unix:" + address.removeprefix("unix/")
    if "://" in address:
        return address.replace("h2c://", "http://")
    if address.startswith(":"):
        address = f"127.0.0.1{address}"
    host, colon, port = address.rpartition(":")
    return f"http://{host}:{port}" if colon else f"http://{address}:80"


def _edits(lines: list[list[str]]) -> dict[str, Any]:
    edits: dict[str, Any] = {}
    for words in lines:
        if not words:
            continue
        name, value = words[0], _value(" ".join(words[1:]))
        if name.startswith("-"):
            edits.setdefault("remove", []).append(name[1:])
        elif name.startswith("+"):
            edits.setdefault("add", {})[name[1:]] = value
        else:
            edits.setdefault("set", {})[name.lstrip("?>")] = value
    return edits


def _value(text: str) -> str:
    for there, here in _PLACEHOLDERS.items():
        text = text.replace(there, here)
    return re.sub(
        r"\{\$([A-Z_][A-Z0-9_]*)(?::([^}]*))?\}",
        lambda found: f"${{{found[1]}" + (f":-{found[2]}" if found[2] else "") + "}",
        text,
    )


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list):
            into[key] += [item for item in value if item not in into[key]]
        else:
            into.setdefault(key, value)


def _order(key: str) -> int:
    known = ["match", "max_body", "rewrite", "headers", "upstream", "redirect", "respond"]
    return known.index(key) if key in known else len(known)
