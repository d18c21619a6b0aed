"""Providers stall, cut, trickle, refuse, restart under fifty clients: all are answered, every call is booked once."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from tests.conftest import Provide, Start
from tests.support.ai import ASK, ask, config, is_an_error, refusal, text_of, usage
from tests.support.http import Response
from tests.support.providers import Asked, Gate, Provider, Raw, Script
from tests.support.waiting import until

CLIENTS = 50
CALLS = 30
"""Of each client."""
SAID = "Hello from the tide."

SHUT = Gate()
"""Never opens: who waits for it waits until the gateway gives up."""

TROUBLES = (
    *(Script(),) * 16,
    Script(trickle=True),
    Script(cut_at=2),
    Script(cut_at=0),
    Script(fail_at=3),
    Script(head_gate=SHUT),
    Script(stall_at=0, gate=SHUT),
    Script(stall_at=3, gate=SHUT),
    Script(status=429),
    Script(status=429, fields=("Retry-After: 1",)),
    Script(status=500),
    Script(status=529),
    Script(status=400),
    Script(raw=Raw(b"<!doctype html><title>Bad Gateway</title>", "text/html", 502)),
    Script(raw=Raw(b"<!doctype html><title>Sign in</title>", "text/html")),
    Script(raw=Raw(b"", "application/json")),
    Script(usage=None),
)


def trouble(seed: int) -> Callable[[Asked], Script]:
    chance = random.Random(seed)
    lock = threading.Lock()

    def choose(_: Asked) -> Script:
        with lock:
            return chance.choice(TROUBLES)

    return choose


def is_told(response: Response, dialect: str, *, stream: bool) -> str:
    """What became of a call, in the words of its dialect; fails where they are none."""
    if response.status != 200:
        refusal(response, dialect)
        return f"refused {response.status}"
    if stream:
        # An error may stand behind all of the text: then the end was cut off.
        with contextlib.suppress(AssertionError, KeyError, TypeError, IndexError):
            is_an_error(response.body, dialect)
            return "broken off"
    assert text_of(response.body, dialect, stream=stream) == SAID, response.body[-2000:]
    return "answered"


@pytest.mark.timeout(240)
def test_fifty_clients_of_troubled_providers_all_hear_of_their_calls(start: Start, provide: Provide) -> None:
    providers = {dialect: provide(dialect) for dialect in ("openai", "anthropic", "gemini")}
    for seed, provider in enumerate(providers.values()):
        provider.every = trouble(seed)
    again = Restarted(providers["openai"])
    model = {
        "targets": [f"{name}/m" for name in providers],
        "timeouts": {"first_token": "400ms", "between_tokens": "400ms"},
        "attempts": 3,
        "backoff": "10ms",
        "retry_after": "0s",
        "cooldown": "50ms",
    }
    gateway = start({**config(providers, {"m": model}), "workers": 2})
    assert ask(gateway, "m").status  # what is made once is there
    memory, descriptors = gateway.memory_kib(), gateway.descriptors()
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []

    def client(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(CALLS):
            dialect, stream = chance.choice(list(ASK)), chance.random() < 0.6
            try:
                outcomes[is_told(ask(gateway, "m", dialect=dialect, stream=stream), dialect, stream=stream)] += 1
            except Exception as error:  # whatever it is, it is the test's failure and not a thread's end
                wrong.append(f"{dialect} {stream}: {error!r}")

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        again.restart()
        threads[0].join(0.2)
    again.close()
    assert not wrong, "\n".join(wrong[:10])
    assert outcomes.total() == CLIENTS * CALLS
    assert outcomes["answered"] > CLIENTS * CALLS / 3, outcomes
    records = usage(gateway, outcomes.total() + 1)
    assert len({record["request_id"] for record in records}) == len(records) == outcomes.total() + 1
    booked = Counter(record["outcome"] for record in records[1:])
    assert booked["ok"] == outcomes["answered"], (booked, outcomes)
    assert booked["cut"] == outcomes["broken off"], (booked, outcomes)
    until(lambda: gateway.descriptors() <= descriptors + 40, "descriptors to go")  # pools keep some connections
    assert gateway.memory_kib() - memory < 60_000


class Restarted:
    """A provider that goes and comes back at the same port."""

    def __init__(self, provider: Provider) -> None:
        self._now = provider

    def restart(self) -> None:
        before = self._now
        before.close()
        with contextlib.suppress(OSError):  # a port may be taken for a moment
            self._now = Provider(before.dialect, port=before.port)
            self._now.every = before.every

    def close(self) -> None:
        self._now.close()
