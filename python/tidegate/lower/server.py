"""What holds for every listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower.abuse import lower_abuse
from tidegate.lower.address import cidr
from tidegate.lower.headers import is_token
from tidegate.lower.work import each
from tidegate.model.server import LoopGuard, RequestId

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["cidrs", "lower_server", "max_body"]


def lower_server(work: Work) -> plan.Server:
    """The bounds and manners that all listeners share."""
    server = work.config.server
    at: Path = ("server",)
    if any(char in server.server_name for char in "\r\n\0"):
        work.error((*at, "server_name"), "a line end or NUL would split the head", "write it in one line")
    work.tunnel_idle_ms = work.milliseconds(server.tunnel_idle, (*at, "tunnel_idle"), least=1)
    return plan.Server(
        head_bytes=work.bytes(server.head_bytes, (*at, "head_bytes"), least=1024, most=1024 * 1024),
        head_fields=server.head_fields,
        handshake_timeout_ms=work.milliseconds(server.handshake_timeout, (*at, "handshake_timeout"), least=1),
        head_timeout_ms=work.milliseconds(server.head_timeout, (*at, "head_timeout"), least=1),
        body_timeout_ms=work.milliseconds(server.body_timeout, (*at, "body_timeout"), least=1),
        send_timeout_ms=work.milliseconds(server.send_timeout, (*at, "send_timeout"), least=1),
        keep_alive_ms=work.milliseconds(server.keep_alive, (*at, "keep_alive")),
        keep_alive_requests=server.keep_alive_requests,
        max_streams=server.max_streams,
        drain_ms=work.milliseconds(server.drain, (*at, "drain")),
        max_connections=server.max_connections,
        trusted_proxies=cidrs(server.trusted_proxies, (*at, "trusted_proxies"), work),
        forwarded=server.forwarded,
        via=server.via,
        loop_guard=_loop_guard(server.loop_guard, (*at, "loop_guard"), work),
        request_id=_request_id(server.request_id, (*at, "request_id"), work),
        trace=server.trace,
        server_name=server.server_name,
        merge_slashes=server.merge_slashes,
        limit_keys=server.limit_keys,
        abuse=lower_abuse(work),
    )


def cidrs(written: str | list[str], path: Path, work: Work) -> list[str]:
    """CIDR blocks in their canonical form, each once."""
    blocks = [block for text, at in each(written, path) if (block := cidr(text, at, work)) is not None]
    return list(dict.fromkeys(blocks))


def max_body(written: str | bool, path: Path, work: Work) -> int | None:
    """The bound of request bodies; None for none."""
    if isinstance(written, bool):
        if written:
            work.error(path, "`on` is no bound", "write a size, as `100MiB`, or `off`")
        return None
    return work.bytes(written, path, most=2**63 - 1)


def _request_id(written: RequestId | bool, path: Path, work: Work) -> plan.RequestId:
    if isinstance(written, bool):
        written = RequestId() if written else RequestId(header="")
    elif not is_token(written.header):
        work.error((*path, "header"), f"`{written.header}` is not a header's name", "write `X-Request-Id`")
    return plan.RequestId(header=written.header, trust=written.trust, respond=written.respond)


def _loop_guard(written: LoopGuard | bool, path: Path, work: Work) -> plan.LoopGuard | None:
    if written is False:
        return None
    entry = LoopGuard() if written is True else written
    if entry.id is not None and not is_token(entry.id):
        work.error((*path, "id"), f"`{entry.id}` is not a token", "write letters, digits, `-`, `.` and `_`")
    return plan.LoopGuard(id=entry.id or "", field=entry.field, most=entry.most)
