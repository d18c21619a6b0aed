"""Clients that keep asking while something happens to the gateway."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from tests.support.client import Client, message
from tests.support.http import Cut, Ended
from tests.support.waiting import until


class Load:
    """Some keep-alive connections, each asking as fast as it is answered."""

    def __init__(self, address: str, clients: int = 8, target: str = "/", body: bytes | None = None) -> None:
        self._address = address
        self._request = message("GET" if body is None else "POST", target, (), body)
        self._method = "GET" if body is None else "POST"
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    @property
    def answered(self) -> int:
        with self._lock:
            return self.statuses.total()

    def more(self, count: int, within: float = 20) -> None:
        """Waits until that many more were answered or failed."""
        before = self.answered + len(self.failures)
        until(lambda: self.answered + len(self.failures) >= before + count, f"{count} more answers", within)

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(20)

    def _ask(self) -> None:
        client: Client | None = None
        while not self._over.is_set():
            try:
                client = client or Client(self._address)
                client.send(self._request)
                response = client.receive(self._method)
                with self._lock:
                    self.statuses[response.status] += 1
                if response.fields.get("Connection") == "close":
                    client.close()
                    client = None
            except (OSError, Ended, Cut) as error:
                with self._lock:
                    self.failures.append(repr(error))
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()
