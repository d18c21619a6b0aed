"""Keeps the certificates of all orders fresh: looks when one is due, asks for it beside the traffic, puts it in force.

One order at a time is asked for, by one process of those that share a state directory: the one that owns it. Others
show what it gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from tidegate.acme import schedule
from tidegate.acme.dress import Proof, dress
from tidegate.acme.fault import Fault
from tidegate.acme.schedule import Reason, Record
from tidegate.acme.store import Kept, Store, StoreError
from tidegate.background import aside
from tidegate.errors import TidegateError
from tidegate.log import say

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from tidegate.lower.acme import Order
    from tidegate.plan import Plan

LOOK_S: Final = 60.0
"""At most between two looks: clocks are set, machines sleep."""
FOLLOW_S: Final = 2.0
"""Between two looks for what another process has got, and for our turn."""
PRESENT_S: Final = 60.0
"""How long a proof may take until all workers show it; a reload may be under way."""
ASK_BOUNDS_S: Final = (60.0, 86400.0)
"""RFC 9773 section 4.3.2: what an authority says of when to ask again is taken within bounds."""


class Room(Protocol):
    """What is needed of the gateway."""

    @property
    def may_ask(self) -> bool:
        """Whether this process owns the state directory, and goes on."""

    def refresh(self) -> Coroutine[Any, Any, None]:
        """Dresses the plan in force anew; raises what a refused plan raises."""


class Renewals:
    """All orders of the plan in force."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._store: Store | None = None
        self._orders: list[Order] = []
        self._kept: dict[str, Kept] = {}
        self._records: dict[str, Record] = {}
        self._accounts: dict[str, str | None] = {}
        self._proofs: dict[str, Sequence[Proof]] = {}
        self._shown: tuple[object, ...] = ()
        """The files that the plan in force was made from."""
        self._loaded = False
        self._asking: str | None = None
        self._round = 0
        """Of orders: a try that began in an earlier one is given up."""
        self._stopped = False
        self._wake: asyncio.Event | None = None

    # -- plans ---------------------------------------------------------------------------------------------------------

    def keep_in(self, state: str | None) -> None:
        """Where certificates are kept from now on; None: nowhere, and so none are asked for."""
        self._store = None if state is None else Store(state)

    def dress(self, bare: Plan, orders: Sequence[Order]) -> Plan:
        """The plan with the certificates that there are and the proofs that are asked for; reads files."""
        kept = {}
        self._shown = () if self._store is None else self._store.signature(orders)
        for order in orders:
            if self._store is not None and (one := self._store.certificate(order)) is not None:
                kept[order.name] = one
        return dress(bare, orders, kept, dict(self._proofs))

    def in_force(self, orders: Sequence[Order]) -> None:
        """These are wanted from now on."""
        if list(orders) != self._orders:
            self._orders = list(orders)
            self._round += 1
            self._loaded = False
            if self._orders and self._store is None:
                say("acme: there is no state directory to keep certificates in, so none are asked for", "error")
            self.wake()

    # -- the round -----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """For ever; cancelled with the process."""
        self._wake = asyncio.Event()
        while True:
            try:
                pause = await self._look()
            except Exception as error:  # whatever it is, the traffic goes on, and so do later tries
                told = error if isinstance(error, TidegateError) else f"{type(error).__name__}: {error}"
                say(f"acme: {told}", "error")
                pause = LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):  # not `wait_for`, which may swallow that we are cancelled
                    await self._wake.wait()
            self._wake.clear()

    def wake(self) -> None:
        """Something has changed: looks again at once."""
        if self._wake is not None:
            self._wake.set()

    def stop(self) -> None:
        """Asks for nothing more; what is under way is given up between two requests."""
        self._stopped = True
        self._round += 1

    async def _look(self) -> float:
        """Does what is due; how long until something is."""
        store = self._store
        if store is None or not self._orders or self._stopped:
            return LOOK_S
        await self._follow(store)
        if not self._room.may_ask:
            return FOLLOW_S
        pause = LOOK_S
        for order in list(self._orders):
            record = self._records.get(order.name, Record())
            kept = self._kept.get(order.name)
            at = _due(order, kept, record)
            now = time.time()
            if at <= now:
                if not await self._get(store, order):
                    pause = min(pause, FOLLOW_S)  # another process is at it
                    continue
                record = self._records.get(order.name, Record())
                kept = self._kept.get(order.name)
                at = _due(order, kept, record)
            elif kept is not None and record.ask_s <= now < kept.term.until_s:
                await aside(self._ask, store, order, kept, record)
                await self._load(store)
                at = _due(order, self._kept.get(order.name), self._records.get(order.name, Record()))
            pause = min(pause, max(at - time.time(), 0.05))
        return pause

    async def _follow(self, store: Store) -> None:
        """Puts in force what has come, from whichever process."""
        seen = await aside(store.signature, self._orders)
        changed = seen != self._shown
        if changed or not self._loaded:
            await self._load(store)
        if changed:
            await self._room.refresh()
            self._shown = seen

    async def _load(self, store: Store) -> None:
        orders = list(self._orders)

        def load() -> tuple[dict[str, Kept], dict[str, Record], dict[str, str | None]]:
            kept = {order.name: one for order in orders if (one := store.certificate(order)) is not None}
            accounts = {}
            for order in orders:
                with contextlib.suppress(StoreError):  # told when it is used
                    accounts[order.directory] = store.account(order.directory).get("uri")
            return kept, {order.name: store.record(order) for order in orders}, accounts

        self._kept, self._records, self._accounts = await aside(load)
        self._loaded = orders == self._orders

    # -- one order -----------------------------------------------------------------------------------------------------

    async def _get(self, store: Store, order: Order) -> bool:
        """One try. False where it is another process's turn."""
        loop = asyncio.get_running_loop()
        begun = self._round

        def present(proofs: Sequence[Proof]) -> None:
            try:
                asyncio.run_coroutine_threadsafe(self._present(order, proofs), loop).result(PRESENT_S)
            except Exception as error:
                if proofs:
                    told = f"the proof could not be put in force: {error}"
                    raise Fault(Reason.INTERNAL, told) from error

        self._asking = order.name
        try:
            tried = await aside(self._try, store, order, present, lambda: self._round == begun)
        finally:
            self._asking = None
        await self._follow(store)
        await self._load(store)
        return tried

    async def _present(self, order: Order, proofs: Sequence[Proof]) -> None:
        if proofs:
            self._proofs[order.name] = proofs
        elif self._proofs.pop(order.name, None) is None:
            return
        await self._room.refresh()

    def _try(
        self, store: Store, order: Order, present: Callable[[Sequence[Proof]], None], going: Callable[[], bool]
    ) -> bool:
        """In a thread of its own: asks, and keeps what came of it."""
        with store.turn() as mine:
            if not mine:
                return False
            # Another process may have had its turn since we looked.
            record, kept = store.record(order), store.certificate(order)
            now = time.time()
            if _due(order, kept, record) > now:
                return True
            term = _term(order, kept)
            asked = _asked(order)
            # So that one that ends in the middle of it every time is counted too; and that there is room on the disk.
            store.keep_record(order, schedule.begun(record, asked, now))
            try:
                chain, key, got = _authority(order, store, going).obtain(present)
                store.keep_certificate(order, chain, key)
            except Exception as error:
                fault = _fault(error)
                after = schedule.failed(
                    record,
                    fault.reason,
                    fault.text,
                    asked,
                    time.time(),
                    term,
                    wait_s=fault.wait_s,
                    random=random.random(),  # noqa: S311 — spreads times, guards nothing
                )
                store.keep_record(order, after)
                _tell(order, fault, after, kept)
                return True
            after = schedule.succeeded(record, asked, time.time(), random=random.random())  # noqa: S311
            store.keep_record(order, after)
            renewal = schedule.renewal(got.term, after)
            say(f"{order.name}: certificate valid until {_day(got.term.until_s)}, to be renewed on {_day(renewal)}")
            return True

    def _ask(self, store: Store, order: Order, kept: Kept, record: Record) -> None:
        """When the authority wants it renewed; one that does not say is asked again another day."""
        now = time.time()
        try:
            wanted, again = _authority(order, store, lambda: not self._stopped).renewal(kept.chain)
            again = min(max(again, now + ASK_BOUNDS_S[0]), now + ASK_BOUNDS_S[1])
        except Exception:  # the own reckoning holds
            wanted, again = record.renew_s, now + schedule.ASK_EVERY_S
        with store.turn() as mine:
            if mine:
                fresh = store.record(order)
                store.keep_record(order, msgspec.structs.replace(fresh, renew_s=wanted, ask_s=again))

    # -- what is told --------------------------------------------------------------------------------------------------

    def as_json(self) -> list[dict[str, Any]]:
        """For `/status`."""
        told = []
        for order in self._orders:
            record = self._records.get(order.name, Record())
            kept = self._kept.get(order.name)
            told.append(
                {
                    "name": order.name,
                    "domains": list(order.domains),
                    "directory": order.directory,
                    "account": self._accounts.get(order.directory),
                    "challenge": order.challenge,
                    "state": self._state(order, kept),
                    "not_after_s": None if kept is None else int(kept.term.until_s),
                    "next_s": None if self._store is None else round(_due(order, kept, record), 3),
                    "reason": None if record.reason is None else record.reason.value,
                    "error": record.error or None,
                    "failed_s": round(record.failed_s, 3) or None,
                    "failures": record.failures,
                }
            )
        return told

    def _state(self, order: Order, kept: Kept | None) -> str:
        if self._store is None:
            return "no_state_directory"
        if self._asking == order.name:
            return "asking"
        if kept is None:
            return "none"
        if kept.term.until_s <= time.time():
            return "expired"
        return "valid" if _term(order, kept) is not None else "for_other_names"


def _authority(order: Order, store: Store, going: Callable[[], bool]) -> Any:
    try:
        from tidegate.acme.authority import Authority
    except ImportError as error:
        told = f"the library that speaks ACME is missing ({error.name}); install it: `pip install 'tidegate[acme]'`"
        raise Fault(Reason.LIBRARY, told) from error
    return Authority(order, store, going)


def _fault(error: Exception) -> Fault:
    if isinstance(error, Fault):
        return error
    if isinstance(error, StoreError):
        return Fault(Reason.STATE, str(error))
    return Fault(Reason.INTERNAL, f"{type(error).__name__}: {error}")


def _term(order: Order, kept: Kept | None) -> schedule.Term | None:
    """Of the certificate, where it is for the names that are wanted."""
    return kept.term if kept is not None and set(kept.names) == set(order.domains) else None


def _due(order: Order, kept: Kept | None, record: Record) -> float:
    return schedule.due(_term(order, kept), record, _asked(order))


def _asked(order: Order) -> str:
    eab = None if order.eab is None else (order.eab[0], order.eab[1].sha256())
    told = (order.domains, order.directory, order.email, order.ca, order.challenge, order.key, eab)
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def _tell(order: Order, fault: Fault, after: Record, kept: Kept | None) -> None:
    if fault.reason is Reason.CANCELLED:
        return
    has = "there is none yet" if kept is None else f"the one that there is holds until {_day(kept.term.until_s)}"
    say(f"{order.name}: no certificate: {fault}; {has}, next try {_day(after.not_before_s)}", "error")


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
