"""One line a request."""

from __future__ import annotations

from typing import Annotated

from tidegate.model import defaults
from tidegate.model.noun import Noun, TemplateText, about
from tidegate.model.units import Duration, Size


class AccessLog(Noun, frozen=True, kw_only=True):
    """What is written, and where."""

    format: Annotated[
        TemplateText,
        about(
            "`combined` (nginx's), `json`, or a template with variables.",
            "combined",
            "json",
            "${client_ip} ${method} ${path} ${status}",
        ),
    ] = "combined"
    path: Annotated[
        str,
        about(
            "A file, `stdout`, `syslog:HOST:PORT` or `syslog:unix:/dev/log`.", "stdout", "/var/log/tidegate/access.log"
        ),
    ] = "stdout"
    facility: Annotated[str, about("The syslog facility.")] = "local7"
    tag: Annotated[str, about("The application's name in syslog.")] = "tidegate"
    buffer: Annotated[
        Size, about("Bytes that may wait to be written; lines beyond it are dropped and counted, requests never wait.")
    ] = defaults.LOG_BUFFER
    flush: Annotated[Duration, about("The longest that a line waits.")] = defaults.LOG_FLUSH
