"""How calls are let in at a provider: its keys, told as its dialect has it or as the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from tidegate import plan_ai as form
from tidegate.lower.headers import is_token
from tidegate.model.ai.provider import AiCredential, CredentialPlace

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.ai.provider import AiProvider
    from tidegate.model.secret import Secret

__all__ = ["lower_credentials"]

_FIELDS = {"azure": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
"""Dialects whose key has a field of its own; all others write `Authorization: Bearer KEY`."""


def lower_credentials(written: AiProvider, dialect: str, path: Path, work: Work) -> list[form.Credential]:
    """At least one; what is wrong is noted."""
    if dialect == "echo" or written.auth == "none":
        return [form.Credential(name="none", weight=1, scheme=form.SchemeNone())]
    if written.auth == "client":
        if written.api_key is not None or written.credentials:
            right = "leave the key out, or write `auth: bearer`"
            work.error((*path, "auth"), "the client's own credential is passed on, and there is a key too", right)
        return [form.Credential(name="client", weight=1, scheme=form.SchemeClient())]
    entries = [(entry, (*path, "credentials", index)) for index, entry in enumerate(written.credentials)]
    own = AiCredential(
        api_key=written.api_key,
        access_key=written.access_key,
        secret_key=written.secret_key,
        session_token=written.session_token,
        name="key",
    )
    if entries and (written.api_key or written.access_key or written.secret_key):
        work.error((*path, "credentials"), "there is a key beside them", "write it into `credentials`")
    out: list[form.Credential] = []
    for number, (entry, at) in enumerate(entries or [(own, path)], 1):
        name = entry.name or f"key-{number}"
        if any(name == known.name for known in out):
            work.error((*at, "name"), f"`{name}` is the name of two credentials", "give it another")
        out.append(form.Credential(name=name, weight=entry.weight, scheme=_scheme(entry, written, dialect, at, work)))
    return out


def _scheme(entry: AiCredential, written: AiProvider, dialect: str, path: Path, work: Work) -> form.CredentialScheme:
    if entry.access_key is not None or entry.secret_key is not None:
        return _aws(entry, dialect, path, work)
    if isinstance(written.auth, CredentialPlace):
        _check(written.auth, (*path, "auth"), work)
    if entry.api_key is None:
        if written.auth is not None or written.credentials:
            work.error(path, "`api_key` is missing", 'add `api_key: "${NAME}"`')
        return form.SchemeNone()
    key = entry.api_key
    if not _is_visible(key):
        work.error((*path, "api_key"), "the key has blanks, line ends or other signs that no key has", "check it")
    if isinstance(written.auth, CredentialPlace):
        if written.auth.query is not None:
            return form.SchemeQuery(name=written.auth.query, value=quote(key.for_wire(), safe=""))
        return form.SchemeHeader(name=written.auth.header or "", value=key.for_wire(written.auth.prefix))
    if written.auth is None and (field := _FIELDS.get(dialect)) is not None:
        return form.SchemeHeader(name=field, value=key.for_wire())
    return form.SchemeHeader(name="Authorization", value=key.for_wire("Bearer "))


def _aws(entry: AiCredential, dialect: str, path: Path, work: Work) -> form.CredentialScheme:
    if entry.access_key is None or entry.secret_key is None:
        missing = "secret_key" if entry.secret_key is None else "access_key"
        work.error(path, f"`{missing}` is missing", "write `access_key` and `secret_key` together")
        return form.SchemeNone()
    if dialect != "bedrock":
        work.error((*path, "access_key"), "only `bedrock` is asked with AWS keys", "write `api_key`")
    if entry.api_key is not None:
        work.error((*path, "api_key"), "`api_key` and `access_key` are both here", "keep one of them")
    return form.SchemeAws(
        access_key=entry.access_key,
        secret_key=entry.secret_key.for_wire(),
        session_token=entry.session_token.for_wire() if entry.session_token is not None else "",
    )


def _check(place: CredentialPlace, path: Path, work: Work) -> None:
    if (place.header is None) == (place.query is None):
        what = "says nothing" if place.header is None else "says two"
        work.error(path, f"where the key stands, this {what}", "write `header: NAME` or `query: NAME`")
    elif place.header is not None and not is_token(place.header):
        work.error((*path, "header"), f"`{place.header}` is not a header's name", "write `X-Api-Key`")
    elif place.query is not None and (not place.query or quote(place.query, safe="") != place.query):
        work.error((*path, "query"), f"`{place.query}` is not a parameter's name", "write `key`")
    if any(char < " " or char == "\x7f" for char in place.prefix):
        work.error((*path, "prefix"), "a line end or control character would split the head", "write `Bearer `")


def _is_visible(key: Secret) -> bool:
    return all("!" <= char <= "~" for char in key.for_wire())
