"""The admin API's AI part: `/ai/keys`, `/ai/usage` and `/ai/flush`.

Knows: the state directory's database, what the verbs `keys` and `usage` do.
Never: the plan. Secrets are told once, to whoever made them over the control socket.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from tidegate.background import aside
from tidegate.errors import TidegateError
from tidegate.policy import Decision, Request, answer, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.gateway import Gateway

__all__ = ["AiResources"]

_HEADERS = {"json": "application/json", "csv": "text/csv", "table": "text/plain"}


class AiResources:
    """Keys and usage of one process's state directory."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_keys(self, request: Request) -> Decision:
        """All keys, without secrets and their hashes."""
        from tidegate.ai.manage import plain

        return await self._answer(request, lambda store: [plain(key) for key in store.all()])

    async def create_key(self, request: Request) -> Decision:
        """Makes a key of a JSON body, or rotates one: `?rotate&name=`; the answer has its secret."""
        from tidegate.ai.manage import create, rotate

        asked = dict(parse_qsl(request.query, keep_blank_values=True))
        body = request.body or b"{}"
        if "rotate" in asked:
            return await self._answer(request, lambda store: rotate(store, asked.get("name", ""), asked.get("grace")))
        return await self._answer(request, lambda store: create(store, body))

    async def revoke_key(self, request: Request) -> Decision:
        """Revokes the key `?name=`."""
        from tidegate.ai.manage import revoke

        name = dict(parse_qsl(request.query)).get("name", "")
        return await self._answer(request, lambda store: revoke(store, name))

    async def usage(self, request: Request) -> Decision:
        """Sums, or with `?records` single records: `?by=key,model&from=2026-11-01&tenant=acme&format=csv`."""
        folder = self._gateway.state_path
        if folder is None:
            return _refused(request, 404, "There is no state directory, so nothing is kept.")
        asked = dict(parse_qsl(request.query, keep_blank_values=True))
        form = asked.get("format", "json")
        if form not in _HEADERS:
            return _refused(request, 400, f"`{form}` is no format; json, csv and table are.")

        def read() -> bytes:
            from tidegate.ai.database import connect
            from tidegate.ai.manage import asked_of
            from tidegate.ai.usage import records, sums, write

            with closing(connect(folder)) as db:
                what = asked_of(asked)
                return b"".join(write(records(db, what) if "records" in asked else sums(db, what), form))

        try:
            await self._gateway.take_usage()
            return answer(200, await aside(read), {"Content-Type": _HEADERS[form], "Cache-Control": "no-store"})
        except TidegateError as error:
            return _refused(request, 400, str(error))

    async def flush(self, _: Request) -> Decision:
        """Puts changed keys in force and takes in all usage; answers when both are done."""
        return _json({"records": await self._gateway.take_usage()})

    async def _answer(self, request: Request, act: Callable[[Any], Any]) -> Decision:
        folder = self._gateway.state_path
        if folder is None:
            return _refused(request, 404, "There is no state directory, so no keys are kept.")

        def work() -> Any:
            from tidegate.ai.database import connect
            from tidegate.ai.store import KeyStore

            with closing(connect(folder)) as db:
                return act(KeyStore(db))

        try:
            told = await aside(work)
        except TidegateError as error:
            return _refused(request, 400, str(error))
        if request.method not in {"GET", "HEAD"}:
            await self._gateway.take_keys()
        return _json(told)


def _refused(request: Request, status: int, detail: str) -> Decision:
    return answer(
        status,
        problem(status, "refused" if status == 400 else "not_found", detail, request.request_id),
        {"Content-Type": "application/problem+json"},
    )


def _json(content: Any) -> Decision:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return answer(200, msgspec.json.encode(content) + b"\n", headers)
