"""HAProxy's haproxy.cfg: the HTTP basics, frontends and backends and what chooses between them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.convert.written import Converted, ConvertError, Piece

__all__ = ["convert"]

_SECTIONS: Final = (
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "resolvers",
    "peers",
    "cache",
    "mailers",
    "http-errors",
    "program",
    "ring",
)
_BALANCE: Final = {
    "roundrobin": "round_robin",
    "static-rr": "round_robin",
    "leastconn": "least_requests",
    "source": {"hash": "client_ip"},
    "uri": {"hash": "path"},
}
_TIMEOUTS: Final = {"connect": "connect", "server": "head"}
_SILENT: Final = {"mode", "log", "option", "no", "maxconn", "errorfile", "description", "id"}
"""What says nothing about where requests go, or is the default here."""


@dataclass
class Section:
    """A section with its lines, each with its number."""

    kind: str
    name: str
    number: int
    lines: list[tuple[int, list[str]]] = field(default_factory=list)


def convert(text: str, name: str) -> Converted:
    """A whole haproxy.cfg."""
    out = Converted(name)
    sections = _sections(text, name)
    defaults = [line for section in sections if section.kind == "defaults" for line in section.lines]
    backends = {section.name: section for section in sections if section.kind in ("backend", "listen")}
    out.head["listeners"] = []
    for section in sections:
        if section.kind in ("frontend", "listen"):
            _Frontend(out, section, backends, defaults).convert()
        elif section.kind in (
            "global",
            "userlist",
            "resolvers",
            "peers",
            "cache",
            "mailers",
            "http-errors",
            "program",
            "ring",
        ):
            what = (
                f"the section `{section.kind} {section.name}`".replace(" `", " `").rstrip()
                if section.name
                else f"the section `{section.kind}`"
            )
            out.notes.append(out.note(section.number, f"{what} is left out"))
    used = {piece.content.get("upstream") for piece in out.routes}
    for backend in backends.values():
        if backend.name in used:
            out.upstreams[backend.name] = _upstream(out, backend, defaults)
    if not out.head["listeners"]:
        raise ConvertError(name, 1, "there is no frontend with a `bind`")
    return out


class _Frontend:
    def __init__(
        self, out: Converted, section: Section, backends: dict[str, Section], defaults: list[tuple[int, list[str]]]
    ) -> None:
        self.out, self.section, self.backends = out, section, backends
        self.acls: dict[str, list[dict[str, Any] | None]] = {}
        self.headers: dict[str, Any] = {}
        self.notes: list[str] = []
        self.tcp = any(words[:2] == ["mode", "tcp"] for _, words in section.lines) or (
            any(words[:2] == ["mode", "tcp"] for _, words in defaults)
            and not any(words[0] == "mode" for _, words in section.lines)
        )

    def convert(self) -> None:
        """Its listeners and routes."""
        if self.tcp:
            self.out.notes.append(
                self.out.note(self.section.number, f"{self.section.kind} {self.section.name} is mode tcp, and left out")
            )
            return
        listeners = [self._bind(number, words) for number, words in self.section.lines if words[0] == "bind"]
        self.out.head["listeners"] += [one for one in listeners if one not in self.out.head["listeners"]]
        made: list[Piece] = []
        for number, words in self.section.lines:
            if words[0] == "acl":
                self._acl(number, words)
        for number, words in self.section.lines:
            self._line(number, words, made)
        default = self.section.name if self.section.kind == "listen" else None
        for _, words in self.section.lines:
            if words[0] == "default_backend":
                default = words[1]
        if default is not None:
            made.append(Piece({"upstream": default}))
        several = sum(other.kind in ("frontend", "listen") for other in self.backends.values()) > 0 or len(
            self.out.head["listeners"]
        ) > len(listeners)
        for piece in made:
            if several and listeners:
                piece.content = {
                    "listeners": [one["address"] if isinstance(one, dict) else one for one in listeners],
                    **piece.content,
                }
            if self.headers and "upstream" in piece.content:
                piece.content["headers"] = self.headers
            target = piece.content.get("upstream")
            if target is not None and target not in self.backends:
                raise ConvertError(self.out.source, self.section.number, f"the backend {target} is defined nowhere")
        if made:
            made[0].notes[:0] = self.notes
        else:
            self.out.notes += self.notes
        self.out.routes += made

    def _bind(self, number: int, words: list[str]) -> Any:
        address = words[1].replace("*:", ":")
        address = address.removeprefix("ipv4@").removeprefix("ipv6@")
        if address.startswith(("unix@", "/")):
            address = "unix:" + address.removeprefix("unix@")
        if "ssl" in words:
            at = words.index("crt") + 1 if "crt" in words else 0
            if at and at < len(words):
                return {"address": address, "tls": {"certificates": [{"cert": words[at]}]}}
            self.notes.append(self.out.note(number, "`ssl` without `crt`: give the listener its certificates"))
        if "accept-proxy" in words:
            self.notes.append(self.out.note(number, "`accept-proxy`: name the proxies in server.trusted_proxies"))
            return {"address": address, "proxy_protocol": True}
        return address

    def _acl(self, number: int, words: list[str]) -> None:
        name, test, values = words[1], words[2], [word for word in words[3:] if word != "--"]
        flags = [value for value in values if value in ("-i", "-m", "-f")]
        ignore, values = "-i" in flags, [value for value in values if value not in ("-i", "--")]
        found = _match(test, values)
        if "-f" in flags or "-m" in flags:
            found = None
        if ignore and found is not None and "host" not in found:
            self.notes.append(self.out.note(number, f"`-i` of the acl {name}: paths are compared to the byte here"))
        if found is None:
            self.notes.append(
                self.out.note(
                    number,
                    f"the acl {name} (`{' '.join(words[2:])}`) is not understood, and rules that use it are left out",
                )
            )
        self.acls.setdefault(name, []).append(found)

    def _line(self, number: int, words: list[str], made: list[Piece]) -> None:
        word = words[0]
        if word == "use_backend":
            made += [
                Piece({"match": match, "upstream": words[1]} if match else {"upstream": words[1]})
                for match in self._condition(number, words[2:])
            ]
        elif word == "redirect" or words[:2] == ["http-request", "redirect"]:
            rest = words[2:] if word == "http-request" else words[1:]
            for match in self._condition(number, rest):
                if (answer := self._redirect(number, rest)) is not None:
                    made.append(Piece({"match": match, **answer} if match else answer))
        elif words[:2] in (["http-request", "deny"], ["http-request", "return"]):
            status = (
                int(words[words.index("status") + 1]) if "status" in words else (403 if words[1] == "deny" else 200)
            )
            made += [
                Piece({"match": match, "respond": status} if match else {"respond": status})
                for match in self._condition(number, words[2:])
            ]
        elif word in ("http-request", "http-response") and words[1] in ("set-header", "add-header", "del-header"):
            if "if" in words or "unless" in words:
                self._tell(number, words)
                return
            side = self.headers.setdefault("request" if word == "http-request" else "response", {})
            if words[1] == "del-header":
                side.setdefault("remove", []).append(words[2])
            elif "%[" in words[3]:
                self._tell(number, words)
            else:
                side.setdefault("set" if words[1] == "set-header" else "add", {})[words[2]] = words[3]
        elif word == "option" and words[1:2] == ["forwardfor"]:
            pass  # X-Forwarded-For is written anyway
        elif word not in {*_SILENT, "bind", "acl", "default_backend", "timeout", "server", "balance", "default-server"}:
            self._tell(number, words)

    def _redirect(self, number: int, words: list[str]) -> dict[str, Any] | None:
        code = int(words[words.index("code") + 1]) if "code" in words else 302
        if words[:2] == ["scheme", "https"]:
            return {"redirect": {"to": "https://${host}${request_uri}", "status": code}}
        if words[:1] == ["prefix"]:
            return {"redirect": {"to": words[1].rstrip("/") + "${request_uri}", "status": code}}
        if words[:1] == ["location"]:
            return {"redirect": {"to": words[1], "status": code}}
        self._tell(number, ["redirect", *words])
        return None

    def _condition(self, number: int, words: list[str]) -> list[dict[str, Any]]:
        """The matches that a condition stands for, one for each alternative; none where it is not understood."""
        at = next((at for at, word in enumerate(words) if word in ("if", "unless")), None)
        if at is None:
            return [{}]
        condition = words[at + 1 :]
        if words[at] == "unless" or any(word.startswith("!") or word == "{" for word in condition):
            if condition != ["{", "ssl_fc", "}"] or words[at] != "unless":
                self._tell(number, words)
                return []
            return [{}]
        found: list[dict[str, Any]] = []
        for part in " ".join(condition).replace(" or ", " || ").split(" || "):
            ways: list[dict[str, Any]] = [{}]
            for name in part.split():
                tests = self.acls.get(name)
                if tests is None or None in tests:
                    self._tell(number, words)
                    return []
                ways = [{**way, **test} for way in ways for test in tests if test is not None]
            found += ways
        return found

    def _tell(self, number: int, words: list[str]) -> None:
        self.notes.append(self.out.note(number, f"`{' '.join(words)}` is left out"))


def _match(test: str, values: list[str]) -> dict[str, Any] | None:
    test = test.replace("hdr(Host)", "hdr(host)").replace("req.hdr", "hdr")
    if not values and test != "ssl_fc":
        return None
    if test in ("hdr(host)", "hdr_dom(host)", "req_ssl_sni"):
        return {
            "host": [value.partition(":")[0] for value in values] if len(values) > 1 else values[0].partition(":")[0]
        }
    if test == "hdr_end(host)" and all(value.startswith(".") for value in values):
        return {"host": [f"*{value}" for value in values]}
    if test == "path_beg":
        return (
            {"regex": _any(values, "^", "")} if len(values) > 1 or not values[0].endswith("/") else {"path": values[0]}
        )
    if test == "path":
        return {"regex": _any(values, "^", "$")} if len(values) > 1 else {"exact": values[0]}
    if test == "path_end":
        return {"regex": _any(values, "", "$")}
    if test == "path_sub":
        return {"regex": _any(values, "", "")}
    if test == "path_reg":
        return {"regex": values[0]}
    if test == "method":
        return {"methods": values}
    if header := re.fullmatch(r"hdr\(([\w-]+)\)", test):
        return {"headers": {header[1]: values[0]}} if len(values) == 1 else None
    return None


def _any(values: list[str], before: str, after: str) -> str:
    return (
        f"{before}({'|'.join(map(re.escape, values))}){after}"
        if len(values) > 1
        else f"{before}{re.escape(values[0])}{after}"
    )


def _upstream(out: Converted, section: Section, defaults: list[tuple[int, list[str]]]) -> Piece:
    piece = Piece({"endpoints": []})
    content = piece.content
    active: dict[str, Any] = {}
    checked = False
    for number, words in [*defaults, *section.lines]:
        own = (number, words) in section.lines
        if words[0] == "server" and own:
            checked |= "check" in words
            content["endpoints"].append(_endpoint(out, piece, number, words))
        elif words[0] == "balance":
            known = _BALANCE.get(words[1])
            if known is None:
                piece.notes.append(
                    out.note(number, f"`balance {words[1]}` is not known here: least_latency stands for it")
                )
            else:
                content["balance"] = known
        elif words[0] == "timeout" and words[1] in _TIMEOUTS:
            content.setdefault("timeouts", {})[_TIMEOUTS[words[1]]] = (
                words[2] if re.search(r"[a-z]$", words[2]) else f"{words[2]}ms"
            )
        elif words[:2] == ["option", "httpchk"]:
            active["path"] = words[-1] if words[-1].startswith("/") else "/"
        elif words[:2] == ["http-check", "expect"] and words[2:3] == ["status"]:
            active["status"] = words[3]
        elif own and words[0] not in {
            *_SILENT,
            "timeout",
            "bind",
            "acl",
            "use_backend",
            "default_backend",
            "redirect",
            "http-request",
            "http-response",
            "default-server",
        }:
            piece.notes.append(out.note(number, f"`{' '.join(words)}` is left out"))
        elif own and section.kind == "backend" and words[0] in ("http-request", "http-response", "acl", "redirect"):
            piece.notes.append(out.note(number, f"`{' '.join(words)}` is left out: rules belong to routes here"))
    if checked:
        content["health"] = {"active": active or True}
    if not content["endpoints"]:
        raise ConvertError(out.source, section.number, f"the backend {section.name} has no server")
    return piece


def _endpoint(out: Converted, piece: Piece, number: int, words: list[str]) -> Any:
    scheme = "https" if "ssl" in words else "http"
    address = words[2].removeprefix("ipv4@").removeprefix("ipv6@")
    url = f"unix:{address.removeprefix('unix@')}" if address.startswith(("unix@", "/")) else f"{scheme}://{address}"
    if "backup" in words:
        piece.notes.append(out.note(number, f"`backup` of {words[1]}: it takes its share here as the others do"))
    if words[words.index("verify") + 1 : words.index("verify") + 2] == ["none"] if "verify" in words else False:
        piece.content["tls"] = {"verify": False}
    if "weight" in words and words[words.index("weight") + 1] != "1":
        return {"url": url, "weight": max(1, int(words[words.index("weight") + 1]))}
    return url


def _sections(text: str, name: str) -> list[Section]:
    found: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ConvertError(name, number, f"can't be read: {error}") from error
        if not words:
            continue
        if not line[0].isspace() and words[0] in _SECTIONS:
            found.append(Section(words[0], words[1] if len(words) > 1 else "", number))
        elif not found:
            raise ConvertError(name, number, f"`{words[0]}` stands outside any section")
        elif len(words) < 2 and words[0] in (
            "bind",
            "acl",
            "server",
            "use_backend",
            "default_backend",
            "balance",
            "http-request",
        ):
            raise ConvertError(name, number, f"`{words[0]}` says nothing")
        else:
            found[-1].lines.append((number, words))
    return found
