"""Providers: their dialects, addresses, credentials, and the upstream that each becomes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan_ai as form
from tidegate.ai.providers import known
from tidegate.load.problems import closest
from tidegate.lower.ai.credential import lower_credentials
from tidegate.lower.headers import is_token
from tidegate.lower.work import each
from tidegate.model.ai.provider import AiLoad, AiProvider
from tidegate.model.upstream import Upstream

if TYPE_CHECKING:
    from tidegate.ai.providers import KnownProvider
    from tidegate.lower.upstream import Upstreams
    from tidegate.lower.work import Path, Work

__all__ = ["ECHO", "Providers"]

ECHO = "echo"

_URL = re.compile(r"(?P<origin>[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)
_TAILS = {
    "anthropic": ("/v1",),
    "cohere": ("/v2", "/v1"),
    "gemini": ("/v1beta", "/v1"),
    "vertex": ("/v1beta1", "/v1"),
    "ollama": ("/api", "/v1"),
    "azure": ("/openai/v1", "/openai"),
}
"""What people write at the end of a base URL though the dialect's own paths begin with it."""

_SURFACES = (
    "chat",
    "completions",
    "generate",
    "responses",
    "embeddings",
    "images",
    "speech",
    "transcription",
    "translation",
    "moderations",
    "rerank",
    "files",
    "batches",
    "count_tokens",
)


class Providers:
    """The plan's providers while models point at them."""

    def __init__(self, work: Work, upstreams: Upstreams) -> None:
        self.work = work
        self.upstreams = upstreams
        self.written = dict(work.config.ai.providers)
        if not self.written and not work.config.ai.models:
            self.written[ECHO] = AiProvider(dialect="echo")
        self.facts: dict[str, KnownProvider | None] = {}
        self.dialects: dict[str, str] = {}
        self.made = [self._provider(name, entry) for name, entry in self.written.items()]
        self.by_name = {name: index for index, name in enumerate(self.written)}

    def index(self, name: str, path: Path, find: str = "") -> int | None:
        """The provider of that name; what is wrong is noted."""
        index = self.by_name.get(name)
        if index is None:
            meant = closest(name, [*self.by_name, *known()])
            right = f"did you mean `{meant}`?" if meant else f"add it: `ai: {{providers: {{{name}: …}}}}`"
            self.work.error(path, f"no provider is called `{name}`", right, find)
        return index

    def _provider(self, name: str, written: AiProvider) -> form.Provider:
        path: Path = ("ai", "providers", name)
        work = self.work
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            right = "write letters, digits, `-`, `_` and `.`"
            work.problems.error_at(work.where.key_place(path), f"`{name}` cannot be a provider's name", right)
        fact = self._fact(name, written, path)
        dialect = written.dialect or (fact.dialect if fact is not None else "openai")
        self.facts[name], self.dialects[name] = fact, dialect
        upstream, base_path = (None, "") if dialect == "echo" else self._address(name, written, fact, dialect, path)
        if dialect == "echo" and written.base_url is not None:
            work.error((*path, "base_url"), "`echo` is the gateway itself and has no address", "leave it out")
        credentials = lower_credentials(written, dialect, path, work)
        self._warn_keyless(name, written, fact, credentials, path)
        signed = any(isinstance(credential.scheme, form.SchemeAws) for credential in credentials)
        needs_region = dialect == "vertex" or (dialect == "bedrock" and (signed or written.base_url is None))
        if needs_region and not written.region:
            right = "add `region: us-east-1`" if dialect == "bedrock" else "add `region: global` or `europe-west1`"
            work.error(path, f"`{dialect}` needs a region", right)
        if dialect == "vertex" and not written.project:
            work.error(path, "`vertex` needs a project", "add `project: NAME`")
        return form.Provider(
            name=name,
            dialect=_dialect(dialect),
            upstream=upstream,
            base_path=base_path,
            connect_ms=work.milliseconds(written.timeouts.connect, (*path, "timeouts", "connect"), least=1),
            credentials=credentials,
            headers=self._headers(written, dialect, path),
            paths=self._paths(written, path),
            unsupported=[field for field, _ in each(written.unsupported, (*path, "unsupported"))]
            if written.unsupported is not None
            else [*fact.unsupported]
            if fact is not None and fact.dialect == dialect
            else [],
            region=written.region or "",
            project=written.project or "",
            api_version=written.api_version or "",
            load=self._load(written.load, (*path, "load")),
        )

    def _fact(self, name: str, written: AiProvider, path: Path) -> KnownProvider | None:
        """What is known of it: by `like`, by its name, by its dialect."""
        if written.like is not None:
            fact = known().get(written.like)
            if fact is None:
                meant = closest(written.like, list(known()))
                right = f"did you mean `{meant}`?" if meant else f"known are {', '.join(known())}"
                self.work.error((*path, "like"), f"no provider is known as `{written.like}`", right)
            return fact
        fact = known().get(name)
        if fact is not None and written.dialect in (None, fact.dialect, "responses"):
            return fact
        if written.dialect is None:
            meant = closest(name, list(known()))
            also = "add `dialect: openai` (or another) and `base_url`, or `like: NAME`"
            right = f"did you mean `{meant}`? Else {also}" if meant else also
            place = self.work.where.key_place(path)
            self.work.problems.error_at(place, f"`{name}` is not a provider that is known by its name", right)
            return None
        return known().get(written.dialect) if written.dialect != "openai" else None

    def _address(
        self, name: str, written: AiProvider, fact: KnownProvider | None, dialect: str, path: Path
    ) -> tuple[int | None, str]:
        at: Path = (*path, "base_url")
        urls = written.base_url
        if urls is None:
            base = fact.base_url if fact is not None else ""
            if not base:
                if fact is not None or written.dialect is not None:
                    example = "https://NAME.openai.azure.com" if dialect == "azure" else "http://HOST:PORT/v1"
                    self.work.error(path, "`base_url` is missing", f"add `base_url: {example}`")
                return None, ""
            region = written.region or "region"
            urls = base.replace("{region}-", "") if region == "global" else base.replace("{region}", region)
        origins: list[str] = []
        base_path: str | None = None
        for url, where in each(urls, at):
            found = _URL.fullmatch(url)
            if not found:
                origins.append(url)
                continue
            origins.append(found["origin"])
            if found["rest"]:
                kind = "a query" if found["rest"].startswith("?") else "a fragment"
                right = "leave it out; a key goes into `api_key`, with `auth: {query: NAME}`"
                self.work.error(where, f"a base URL ends with its path, this one has {kind}", right)
            tail = _trim(found["path"], dialect)
            if base_path is not None and tail != base_path:
                right = f"write `{base_path or '/'}` in all of them, or make two providers"
                self.work.error(where, f"`{url}` has another path than the one before", right)
            base_path = tail if base_path is None else base_path
        entry = Upstream(
            endpoints=[*origins] if isinstance(urls, list) else origins[0],
            balance=written.balance,
            tls=written.tls,
            pool=written.pool,
            health=written.health,
        )
        return self.upstreams.add(f"ai:{name}", entry, path, at), base_path or ""

    def _warn_keyless(
        self,
        name: str,
        written: AiProvider,
        fact: KnownProvider | None,
        credentials: list[form.Credential],
        path: Path,
    ) -> None:
        if fact is None or fact.local or written.base_url is not None or written.auth is not None:
            return
        if any(isinstance(credential.scheme, form.SchemeNone) for credential in credentials):
            names = " or ".join(fact.env) if fact.env else "its key"
            if fact.dialect == "bedrock":
                names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            right = f"set {names}, or add `api_key`"
            self.work.warn(path, f"`{name}` is asked without a key and will refuse", right)

    def _headers(self, written: AiProvider, dialect: str, path: Path) -> list[tuple[str, str]]:
        names = {name.lower() for name in written.headers}
        out: list[tuple[str, str]] = []
        if dialect == "anthropic" and "anthropic-version" not in names:
            out.append(("anthropic-version", "2023-06-01"))
        for name, value in written.headers.items():
            at = (*path, "headers", name)
            if not is_token(name):
                place = self.work.where.key_place(at)
                self.work.problems.error_at(place, f"`{name}` is not a header's name", "write letters, digits and `-`")
            if any((char < " " and char != "\t") or char == "\x7f" for char in value):
                self.work.error(at, "a line end or control character would split the head", "write it in one line")
            out.append((name, value))
        return out

    def _paths(self, written: AiProvider, path: Path) -> list[tuple[str, str]]:
        out: list[tuple[str, str]] = []
        for surface, text in written.paths.items():
            at = (*path, "paths", surface)
            if surface not in _SURFACES:
                meant = closest(surface, [*_SURFACES])
                right = f"did you mean `{meant}`?" if meant else f"write one of {', '.join(_SURFACES)}"
                self.work.problems.error_at(self.work.where.key_place(at), f"`{surface}` is not a surface", right)
            if not text.startswith("/") or any(char <= " " for char in text):
                self.work.error(at, f"`{text}` is not a path", f"write `/{text.strip().lstrip('/')}`")
            out.append((surface, text))
        return out

    def _load(self, written: AiLoad | bool, path: Path) -> form.LoadProbe | None:
        if written is False:
            return None
        entry = AiLoad() if written is True else written
        if not entry.metrics.startswith("/") or any(char <= " " for char in entry.metrics):
            self.work.error((*path, "metrics"), f"`{entry.metrics}` is not a path", "write `/metrics`")
        return form.LoadProbe(
            path=entry.metrics, interval_ms=self.work.milliseconds(entry.every, (*path, "every"), least=100)
        )


def _trim(path: str, dialect: str) -> str:
    path = path.rstrip("/")
    for tail in _TAILS.get(dialect, ()):
        if path.endswith(tail):
            return path.removesuffix(tail).rstrip("/")
    return path


def _dialect(name: str) -> form.ProviderDialect:
    import msgspec

    made: form.ProviderDialect = msgspec.convert(name, form.ProviderDialect)
    return made
