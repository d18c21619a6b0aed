"""A gateway's part in upgrades and in socket activation: what it hands over, what it takes over, and when it is whose.

Knows: a gateway's engine, state and supervisor.
Never: how processes talk to each other (`upgrade`), whose sockets are whose (`inherit`).
"""

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tidegate
from tidegate import inherit
from tidegate.background import aside
from tidegate.log import say
from tidegate.state import State
from tidegate.upgrade import Handed, Predecessor, Reason, Successor, UpgradeError, Upgrades, command, predecessor, start

if TYPE_CHECKING:
    from tidegate.gateway import Gateway
    from tidegate.source import PlanListener


class Takeover:
    """Both sides of one process: it may have taken over from another, and be taken over from."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._upgrades = Upgrades()
        self._before: Predecessor | None = None
        self._came: list[inherit.Came] = []
        self._matched = inherit.Matched({}, [])
        self._borrowed: set[PlanListener] = set()
        """Listeners whose sockets are not ours to remove: systemd's."""
        self.ours = True
        """Whether what a process shares with the one before is this one's; False until that one lets go of it."""

    # -- taking over ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Looks for what came with the process; raises UpgradeError and InheritError."""
        self._before = predecessor()
        self.ours = self._before is None
        self._came = inherit.activated() if self._before is None else self._before.handed.listeners

    def state(self, path: str) -> State:
        """The hold on the state directory, shared with the process before for a while; raises StateError."""
        if self._before is None:
            return State(path)
        handed = self._before.handed
        return State(path, lock=handed.state_lock, owner=handed.state_owner)

    def sockets_for(self, listeners: "Sequence[PlanListener]") -> list[tuple[int, list[int]]]:
        """What came, by listener; raises InheritError where systemd handed in what no listener is for."""
        self._matched = inherit.match(listeners, self._came)
        if self._before is None and self._matched.left:
            raise inherit.refuse(listeners, self._matched.left)
        self._borrowed = {listeners[at] for at, entry in self._matched.listeners.items() if not entry.ours}
        return [(at, entry.descriptors) for at, entry in self._matched.listeners.items()]

    def serves(self) -> None:
        """This process serves: tells the supervisor, or the process before."""
        inherit.close(self._came)
        if self._before is None:
            self._gateway.tell_ready()
            return
        self._before.ready({"version": tidegate.__version__})
        self._gateway.soon(self._take_all(self._before))

    def failed(self, why: str) -> None:
        """This process does not serve."""
        if self._before is not None:
            self._before.failed(why)

    async def _take_all(self, before: Predecessor) -> None:
        """What both share is this one's from now on."""
        await before.all_is_ours()
        self.ours = True
        self._gateway.engine.own([at for at, entry in self._matched.listeners.items() if entry.ours])
        for entry in self._matched.left:
            if entry.ours and entry.bound.startswith("unix:"):
                with contextlib.suppress(OSError):
                    os.unlink(entry.bound.removeprefix("unix:"))
        self._gateway.own_state()
        self._gateway.tell_ready()
        say(f"took over from process {before.pid}")

    # -- handing over --------------------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether another process has taken over."""
        return self._upgrades.is_over

    async def attempt(self, why: str) -> None:
        """The same as `upgrade`, for whom nobody waits: what comes of it is said, and told in `/status`."""
        with contextlib.suppress(UpgradeError):
            await self.upgrade(None, why)

    async def upgrade(self, binary: str | None, why: str) -> int:
        """Starts a process that takes over, and ends this one once it does; its id.

        Raises UpgradeError where there is none, and then this one goes on serving.
        """
        try:
            pid = await self._upgrade(binary, why)
        except UpgradeError as error:
            say(f"upgrade ({why}) failed, this process goes on serving: {error}", "error")
            raise
        say(f"upgraded ({why}): process {pid} serves, this one goes")
        self._gateway.go_soon()
        return pid

    async def _upgrade(self, binary: str | None, why: str) -> int:
        if self._upgrades.under_way:
            raise UpgradeError(Reason.UNDER_WAY, "another upgrade is under way")
        if not self.ours:
            told = "another process has taken over" if self.is_over else "the process before has not let go yet"
            raise UpgradeError(Reason.ENDING if self.is_over else Reason.UNDER_WAY, told)
        try:
            self._may_begin()
            program = command(binary)
        except UpgradeError as error:
            self._upgrades.failed(error)
            raise
        self._upgrades.begins()
        say(f"upgrade ({why}): starting {program[0]}")
        ai = self._gateway.ai
        async with self._gateway.reloading:  # the sockets stay as they are meanwhile
            try:
                if ai is not None:
                    await aside(ai.pause)  # so that what the new one reads of sums is all that there is
                successor = await start(program, {**os.environ, **self._gateway.notifier.environ}, self._handed())
                self._hand_over(successor)
            except BaseException as error:
                self._upgrades.failed(error)
                if ai is not None:
                    ai.resume()
                raise
            return successor.pid

    def _may_begin(self) -> None:
        if self._gateway.is_ending:
            raise UpgradeError(Reason.ENDING, "this process is ending")
        if os.getpid() == 1:
            told = "this is the first process of its container, which ends with it: start a new container instead"
            raise UpgradeError(Reason.FIRST_PROCESS, told)

    def _handed(self) -> Handed:
        state = self._gateway.state
        listeners = [
            inherit.Came(listener.name, listener.address, address, sockets, listener not in self._borrowed)
            for (listener, address), sockets in zip(
                self._gateway.listeners(), self._gateway.engine.sockets(), strict=True
            )
        ]
        return Handed(
            pid=os.getpid(),
            state_lock=None if state is None else state.lock,
            state_owner=state is not None and state.owner,
            listeners=listeners,
        )

    def _hand_over(self, successor: Successor) -> None:
        if self._gateway.is_ending:
            successor.end()
            raise UpgradeError(Reason.ENDING, "this process was told to end meanwhile")
        self.ours = False
        self._upgrades.handed_over(successor.pid)
        self._gateway.notifier.hand_over(successor.pid)
        self._gateway.drain(handed_over=True)
        if self._gateway.state is not None:
            self._gateway.state.hand_over()
        successor.take_all()

    def as_json(self) -> dict[str, Any]:
        """For `/status`."""
        before = self._before
        told = None if before is None else {"pid": before.pid, "draining": not before.is_gone}
        return {"upgrade": self._upgrades.as_json(), "predecessor": told}
