"""A first configuration, written for whoever will go on with it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Wishes", "ask", "starter"]

LISTEN: Final = "127.0.0.1:8080"
TO: Final = "http://127.0.0.1:3000"
NO: Final = "no"


class Wishes(NamedTuple):
    """What a configuration is to do; None where nobody has said."""

    listen: str | None = None
    to: list[str] | None = None
    ai: str | None = None
    """A provider's name, or `no`."""


def ask(wishes: Wishes, question: Callable[[str], str]) -> Wishes:
    """Asks for what is not said yet; an empty answer takes what stands in brackets."""
    listen, to, ai = wishes
    if listen is None:
        listen = question(f"Where should it listen? [{LISTEN}] ").strip() or None
    if to is None:
        to = question(f"Where do requests go? Several URLs with spaces between them. [{TO}] ").split() or None
    if ai is None:
        ai = question(f"Serve AI models too? The name of a provider, as openai. [{NO}] ").strip() or None
    return Wishes(listen, to, ai)


def starter(wishes: Wishes) -> str:
    """The text of a tidegate.yaml."""
    listen = wishes.listen or LISTEN
    to = wishes.to or [TO]
    ai = wishes.ai if wishes.ai not in (None, "", NO) else None
    first = [
        "# yaml-language-server: $schema=tidegate.schema.json",
        "# Tidegate's configuration. `tidegate check` says what is wrong and where, `explain GET URL` what would",
        "# happen to a request, `reload` puts a change in force. Values may hold ${VARIABLES} and ${THEIR:-defaults}.",
        f"listeners: [{_quoted(listen)}]              # host:port, :port, unix:/path",
        "",
        "# /healthz, /readyz, /metrics and the admin API, for this machine alone.",
        "admin: 127.0.0.1:9640",
        "",
        "# A line for each request on standard output; {format: combined, path: access.log} is another way.",
        "access_log: {format: json, path: stdout}",
        "",
        "routes:",
    ]
    with_ai = [
        "  # POST /ai/v1/chat/completions and its like, in each provider's dialect: docs/ai.md.",
        "  - match: {path: /ai/}",
        "    ai: {}",
        "",
    ]
    then = [
        "  # Everything else. The most specific match wins, so routes for hosts and paths may stand before or behind.",
        "  - name: app",
        "    # limit: {key: client_ip, rate: 100/s, burst: 200}",
        "    # timeouts: {connect: 1s, head: 30s}",
        "    upstream: app",
        "",
        "upstreams:",
        "  app:",
        f"    endpoints: [{', '.join(_quoted(url) for url in to)}]",
        "    # health: {active: {path: /healthz, interval: 2s}}",
    ]
    models = [
        "",
        "ai:",
        "  # Its key is taken from the variable that the provider's own tools read.",
        f"  providers: {{{_quoted(ai or '')}: {{}}}}",
        "  # models:",
        f"  #   small: {{targets: [{ai}/NAME-OF-A-MODEL]}}",
    ]
    return "\n".join([*first, *(with_ai if ai else []), *then, *(models if ai else [])]) + "\n"


def _quoted(text: str) -> str:
    """As YAML reads it back, whatever is in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
