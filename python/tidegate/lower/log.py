"""The access log: what a line looks like, where lines go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.load.problems import closest
from tidegate.lower.address import endpoint
from tidegate.lower.template import template
from tidegate.model.log import AccessLog

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["lower_access_log"]

_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
"""RFC 5424 §6.2.1, by number."""


def lower_access_log(work: Work) -> plan.AccessLog | None:
    """The access log; None where nothing is written."""
    written = work.config.access_log
    at: Path = ("access_log",)
    if isinstance(written, bool):
        if not written:
            return None
        entry, path_at = AccessLog(), at
    elif isinstance(written, str):
        entry, path_at = AccessLog(path=written), at
    else:
        entry, path_at = written, (*at, "path")
    return plan.AccessLog(
        format=_format(entry.format, (*at, "format"), work),
        sink=_sink(entry, path_at, work),
        buffer_bytes=work.bytes(entry.buffer, (*at, "buffer"), least=4096),
        flush_ms=work.milliseconds(entry.flush, (*at, "flush")),
    )


def _format(text: str, path: Path, work: Work) -> plan.LogFormat:
    if text == "combined":
        return plan.CombinedFormat()
    if text == "json":
        return plan.JsonFormat()
    if "${" not in text:
        meant = closest(text, ["combined", "json"])
        right = (
            f"did you mean `{meant}`?"
            if meant
            else "write `combined`, `json`, or a template as `${client_ip} ${status}`"
        )
        work.error(path, f"`{text}` is not a format", right)
    return plan.TemplateFormat(template=template(text, path, work))


def _sink(entry: AccessLog, path: Path, work: Work) -> plan.LogSink:
    if entry.path in ("stdout", "-", "/dev/stdout"):
        return plan.StdoutSink()
    if entry.path.startswith("syslog:"):
        return _syslog(entry, path, work)
    if not entry.path:
        work.error(path, "the log has no name", "write a file's name, `stdout` or `syslog:HOST:PORT`")
    whole = os.path.normpath(os.path.join(work.where.directory(path), entry.path))
    return plan.FileSink(path=whole)


def _syslog(entry: AccessLog, path: Path, work: Work) -> plan.LogSink:
    target = entry.path.removeprefix("syslog:").removeprefix("server=")
    if not target.startswith("unix:"):
        target = f"http://{target if target.rpartition(':')[2].isdecimal() and ':' in target else target + ':514'}"
    address = endpoint(target, path, work)
    if isinstance(address, plan.AddressName):
        work.error(
            path, f"`{address.host}` is not an IP address", "write `syslog:192.0.2.1:514` or `syslog:unix:/dev/log`"
        )
    facility = _FACILITIES.index(entry.facility) if entry.facility in _FACILITIES else -1
    if facility < 0:
        meant = closest(entry.facility, list(_FACILITIES))
        right = f"did you mean `{meant}`?" if meant else "write `local0` to `local7`, `daemon` or `user`"
        work.error(("access_log", "facility"), f"`{entry.facility}` is not a syslog facility", right)
    if not entry.tag.isascii() or not entry.tag.isprintable() or " " in entry.tag or not 1 <= len(entry.tag) <= 48:
        work.error(
            ("access_log", "tag"),
            f"`{entry.tag}` is not a syslog tag",
            "write 1 to 48 visible ASCII characters (RFC 5424 §6.2.5)",
        )
    return plan.SyslogSink(address=address, facility=facility, tag=entry.tag)
