"""The running process, in order: start, serve, reload, drain, stop. The only module that knows the engine.

Knows: the engine's handle, signals, the order of things.
Never: what a configuration means, what a request is.
"""

import asyncio
import contextlib
import enum
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

import tidegate
from tidegate import _engine
from tidegate.acme.renewal import Renewals
from tidegate.admin import ACCOUNT, Admin
from tidegate.ai.background import AiBackground
from tidegate.background import aside
from tidegate.errors import ConfigErrors, TidegateError
from tidegate.hooks import Hooks
from tidegate.key_sets import KeySets
from tidegate.log import say
from tidegate.lower.jwt import FETCH
from tidegate.lower.oidc import LOGIN
from tidegate.machine import available_cpus, no_collection
from tidegate.notify import Notifier
from tidegate.oidc import Logins
from tidegate.policy import Request
from tidegate.ports import Engine
from tidegate.resolve import Resolver
from tidegate.source import Compiled, PlanListener, Source
from tidegate.state import Running, State, StateError
from tidegate.stats import Reloads, assemble
from tidegate.takeover import Takeover
from tidegate.watch import EVERY_S, Watch

if TYPE_CHECKING:
    from tidegate.ai.record import Record
    from tidegate.lower import Lowered

DRAIN_LOOK_S: Final = 0.02
LOOK_AFTER_S: Final = 1.0  # between two looks at the workers
STUCK_MS: Final = 5_000
"""A worker turns every 50 ms; one that has not for so long is stuck, on the busiest machine."""
LATE_MS: Final = 500  # what is no sign of anything, whatever the watchdog's time is
BROKEN_STATUS: Final = 70  # EX_SOFTWARE of sysexits.h
LAST_WORD_S: Final = 0.05  # what an answer of the admin API takes to leave before the engine does
REFUSALS: Final = (TidegateError, _engine.PlanRejected, _engine.EngineError)
"""What a start or a reload can be refused with; each says in its text what is wrong."""


class End(enum.Enum):
    """How the process was told to end."""

    DRAIN = "drain"
    NOW = "now"
    HANDED_OVER = "handed_over"
    """Like a drain; another process accepts from the same sockets."""
    BROKEN = "broken"
    """A worker is lost for good: at once, and with an exit status that says so."""


class Options(NamedTuple):
    """What `tidegate run` was asked for, beside the configuration."""

    state: str | None = None
    last_good: bool = False
    watch: bool = True


class Reloaded(NamedTuple):
    """What came of a reload; `error` is empty where the new configuration is in force."""

    error: str
    changed: bool
    generation: int
    summary: str


def run(source: Source, options: Options) -> int:
    """Runs until it is told to end; the exit status."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Gateway(source, options).live())


def check(source: Source) -> Compiled:
    """Everything that a start would refuse, except binding; raises one of REFUSALS, with a text for people."""
    compiled = source.compile(Resolver(source.folder, {ACCOUNT: _nobody, FETCH: _nobody, LOGIN: _nobody}), None)
    try:
        _engine.check(compiled.plan)
    except _engine.PlanRejected as error:
        raise compiled.rejected(error.path, error.why) from error
    return compiled


def explain(lowered: "Lowered", listener: int, method: str, url: str, headers: list[tuple[str, str]]) -> bytes:
    """What the engine would do with a request, as JSON; raises ConfigErrors where it refuses the plan."""
    from tidegate.lower import verify

    verify(lowered, _engine.check)
    return _engine.explain(lowered.bytes, listener, method, url, headers)


def engine_version() -> str:
    """The engine's own version, which must be the package's."""
    return _engine.version()


class Gateway:
    """One process, from start to stop."""

    def __init__(
        self,
        source: Source,
        options: Options,
        *,
        engine: Callable[[int], Engine] = _engine.Gateway,
        verdict: Callable[..., Any] = _engine.Verdict,
    ) -> None:
        self._source = source
        self._options = options
        self._new_engine = engine
        self._verdict = verdict
        self._began_at = time.time()
        self._reloads = Reloads()
        self.notifier = Notifier()
        self._admin = Admin(self)
        self._key_sets = KeySets()
        self._logins = Logins(_engine)
        built_in = {ACCOUNT: self._admin.handle, FETCH: self._key_sets.handle, LOGIN: self._logins.handle}
        self._resolver = Resolver(source.folder, built_in)
        self._watch = Watch([source.config] if source.config else [])
        self.state: State | None = None
        self.ai: AiBackground | None = None
        self._draining = False
        self.takeover = Takeover(self)
        self.acme = Renewals(self)

    async def live(self) -> int:
        """Start, serve, drain where there is time for it, stop; the exit status."""
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Future[End] = self._loop.create_future()
        self._cut = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.reloading = asyncio.Lock()
        try:
            self._start()
        except REFUSALS as error:
            sys.stderr.write(f"{error}\n")  # FILE:LINE:COL first, as `check` has it
            self.takeover.failed(str(error))
            self._let_go()
            return 1
        try:
            how = await self._serve()
            if how in {End.DRAIN, End.HANDED_OVER}:
                await self._drain()
        finally:
            self._stop()
        return BROKEN_STATUS if how is End.BROKEN else 0

    # -- start ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.takeover.begin()
        try:
            self._begin(self._first())
        except ConfigErrors as error:
            if not self._options.last_good:
                raise
            say(f"{error}\nstarting with the last good plan instead", "error")
            self._reloads.refused(str(error))
            self._begin(self._kept())
        self._heed_signals()
        self.takeover.serves()
        for warning in self._compiled.warnings:
            say(warning, "warn")
        for listener, address in zip(self._compiled.listeners, self._bound, strict=True):
            if not listener.control:
                say(f"{'admin' if listener.admin else 'listening'} on {address}")
        say(f"serving {self._source.name}: {self._compiled.summary}, {_many(self._workers, 'worker')}")

    def tell_ready(self) -> None:
        """Tells the supervisor that this process serves."""
        self.notifier.ready(f"generation {self._reloads.generation}: {self._compiled.summary}")

    def _heed_signals(self) -> None:
        """From here on; whoever was told that it is ready may send one at once."""
        for number, act in {
            signal.SIGHUP: lambda: self.soon(self.reload("SIGHUP")),
            signal.SIGQUIT: lambda: self.end(End.DRAIN),
            signal.SIGTERM: lambda: self.end(End.NOW),
            signal.SIGINT: lambda: self.end(End.NOW),
            signal.SIGUSR1: self._reopen_logs,
            signal.SIGUSR2: lambda: self.soon(self.takeover.attempt("SIGUSR2")),
        }.items():
            self._loop.add_signal_handler(number, act)

    def _first(self) -> Compiled:
        with no_collection():
            loaded = self._source.load()
            self._hold(self._source.state(loaded, self._options.state))
            return self._source.lower(loaded, self._resolver, self._control, self.state_path, self.ai)

    def _kept(self) -> Compiled:
        if self.state is None:
            self._hold(self._source.state(None, self._options.state))
        if self.state is None:
            raise StateError("no last good plan is kept: there is no state directory")
        plan, about = self.state.kept_plan()
        return self._source.revive(plan, about, self._resolver, self._control)

    def _hold(self, where: tuple[str, bool]) -> None:
        """Takes hold of the state directory; doing without is an error only where somebody chose it."""
        path, chosen = where
        try:
            self.state = self.takeover.state(path)
        except StateError as error:
            if chosen:
                raise
            say(
                f"{error}; there is no control socket, so `tidegate reload`, `status` and `stop` can't be used",
                "warn",
            )
            return
        self.ai = AiBackground(path, owner=self.state.owner)
        self.ai.elsewhere = self._book
        if not self.state.owner:
            say(f"another process owns {path}; the control socket is {self.state.control}", "warn")

    def _begin(self, compiled: Compiled) -> None:
        self.acme.keep_in(self.state_path)
        compiled = self._dressed(compiled)
        inherited = self.takeover.sockets_for(compiled.listeners)
        self._workers = compiled.workers or available_cpus()
        self.engine = self._new_engine(self._workers)
        self._hooks = Hooks(self.engine, self._loop, self._verdict)
        self._hooks.install(1, compiled.functions, compiled.hook_timeouts_ms)
        try:
            bound = self.engine.start(compiled.plan, inherited)
        except _engine.PlanRejected as error:
            raise compiled.rejected(error.path, error.why) from error
        self._hooks.listen()
        self._in_force(compiled, bound)

    def _in_force(self, compiled: Compiled, bound: list[str]) -> None:
        """A plan runs: remembers it, and keeps it for a bad day."""
        self._compiled, self._bound = compiled, bound
        self.acme.in_force(compiled.orders)
        self._reloads.succeeded()
        self._watch.rebase(compiled.files)
        self._logins.in_force(compiled.logins)
        self._key_sets.in_force(self.engine, compiled.key_sets, self.state_path)
        if self.ai is not None and (compiled.ai is not None or compiled.journal is not None):
            self.ai.in_force(compiled.journal)
            self.ai.start(lambda: self._loop.call_soon_threadsafe(self.soon, self.take_keys()))
        if self.state is not None and self.takeover.ours:
            self._in_state(self.state)

    def own_state(self) -> None:
        """The state directory is this process's from now on."""
        if self.state is not None:
            self.state.ours = True
            self.acme.wake()
            self._in_state(self.state)

    def listeners(self) -> "list[tuple[PlanListener, str]]":
        """Those of the plan in force, and where each is bound."""
        return list(zip(self._compiled.listeners, self._bound, strict=True))

    def _in_state(self, state: State) -> None:
        state.protect()
        self._announce(state)
        kept = {"config": self._source.absolute, "workers": self._compiled.workers, "control": state.control}
        aside(self._keep, state, self._compiled.plan, kept)  # waits for the disk, which the loop must not

    def _announce(self, state: State) -> None:
        listeners = zip(self._compiled.listeners, self._bound, strict=True)
        admin = [address for listener, address in listeners if listener.admin and not listener.control]
        try:
            state.announce(
                Running(os.getpid(), state.control, admin, self._reloads.generation, self._source.absolute, state.path)
            )
        except StateError as error:
            say(str(error), "warn")

    @staticmethod
    def _keep(state: State, plan: bytes, about: dict[str, Any]) -> None:
        try:
            state.keep_plan(plan, about)
        except StateError as error:
            say(f"the plan in force is not kept: {error}", "warn")

    @property
    def state_path(self) -> str | None:
        """The state directory; None where there is none."""
        return self.state.path if self.state is not None else None

    @property
    def _control(self) -> str | None:
        return None if self.state is None else self.state.control

    # -- serve ---------------------------------------------------------------------------------------------------------

    async def _serve(self) -> End:
        """Until somebody says that it is enough; a signal, or the admin API."""
        if self._options.watch:
            self.soon(self._look_for_changes())
        self.soon(self._look_after_workers())
        self.soon(self.acme.live())
        return await self._told

    async def _look_for_changes(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if self._watch.poll():
                await self.reload("its files changed")

    async def _look_after_workers(self) -> None:
        """Tells the watchdog that all is well while this loop and every worker turn; says it where one does not."""
        watchdog_s = self.notifier.watchdog_s
        every_s = LOOK_AFTER_S if watchdog_s is None else min(watchdog_s, LOOK_AFTER_S)
        stuck_ms = STUCK_MS if watchdog_s is None else min(watchdog_s * 1000, STUCK_MS)
        told_at = float("-inf")
        stuck = False
        while True:
            slowest_ms, lost = self.engine.workers()
            if lost:
                say("a worker is lost: this process ends, for its supervisor to start it anew", "error")
                self.end(End.BROKEN)
                return
            turning = slowest_ms < max(stuck_ms, LATE_MS)
            if turning == stuck:
                stuck = not turning
                told = f"a worker has not turned for {slowest_ms} ms" if stuck else "all workers turn again"
                say(told, "error" if stuck else "info")
            now = self._loop.time()
            if watchdog_s is not None and turning and now - told_at >= watchdog_s - every_s / 2:
                self.notifier.alive()
                told_at = now
            await asyncio.sleep(every_s)

    def _book(self, records: "Sequence[Record]") -> None:
        """Calls that ended in another process, the one before this as a rule, come to this one's accounts."""
        from tidegate.ai.elsewhere import account_names, bookings

        if self._reloads.generation and (booked := bookings(account_names(self._compiled.plan), records)):
            self.engine.book(booked)

    def _reopen_logs(self) -> None:
        self.engine.reopen_logs()
        say("logs reopened")

    def soon(self, work: Any) -> None:
        """Runs a coroutine beside the others, until the end at the latest."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- reload --------------------------------------------------------------------------------------------------------

    async def reload(self, why: str) -> Reloaded:
        """Loads the configuration anew and swaps the plan; what is wrong leaves the old one in force."""
        async with self.reloading:
            if self.takeover.is_over:
                return Reloaded("another process has taken over: tell that one", False, self._reloads.generation, "")
            self.notifier.reloading()
            self._watch.accept()
            try:
                reloaded = await self._swap(aside(self._compile))
            except REFUSALS as error:
                reloaded = self._refused(str(error))
            except Exception as error:  # a bug in loading must not take the traffic down
                reloaded = self._refused(f"reloading failed: {type(error).__name__}: {error}")
            if reloaded.error:
                say(f"reload ({why}) refused, generation {reloaded.generation} stays\n{reloaded.error}", "error")
            elif reloaded.changed:
                say(f"reloaded ({why}): generation {reloaded.generation}, {reloaded.summary}")
            else:
                say(f"reload ({why}): nothing has changed")
            self.notifier.ready(f"generation {reloaded.generation}: {reloaded.summary or reloaded.error}")
            return reloaded

    async def take_keys(self) -> None:
        """Puts keys in force that have changed, into the configuration that is, whatever its files say now."""
        async with self.reloading:
            loaded = self._compiled.ai
            if self.ai is None or loaded is None or not await aside(self.ai.outdated):
                return
            lower = self._source.lower
            compiling = aside(lower, loaded, self._resolver, self._control, self.state_path, self.ai)
            try:
                await self._swap(compiling)
            except REFUSALS as error:
                say(f"keys have changed, and can't be put in force\n{error}", "error")

    async def take_usage(self) -> int:
        """Takes all usage records in that there are, and keys with them; how many records it were."""
        await self.take_keys()
        return 0 if self.ai is None or self._compiled.ai is None else await aside(self.ai.flush)

    async def refresh(self) -> None:
        """Puts certificates and proofs in force that have come or gone, into the plan that is; raises REFUSALS."""
        async with self.reloading:
            if not self.takeover.is_over:
                await self._swap(self._in_force_now())

    async def _in_force_now(self) -> Compiled:
        return self._compiled

    @property
    def may_ask(self) -> bool:
        """Whether certificates are this process's to ask for."""
        return self.state is not None and self.state.owner and self.takeover.ours and not self.is_ending

    def _dressed(self, compiled: Compiled) -> Compiled:
        """With what ACME has for it."""
        return compiled.dressed(self.acme.dress) if compiled.orders else compiled

    def _compile(self) -> Compiled:
        return self._source.compile(self._resolver, self._control, self.state_path, self.ai)

    async def _swap(self, compiling: Awaitable[Compiled]) -> Reloaded:
        compiled = await compiling
        if compiled.orders:
            compiled = await aside(self._dressed, compiled)
        generation = self._reloads.generation + 1
        before = self._compiled
        if compiled.workers != before.workers:
            say("the number of workers changes with the next start, not with a reload", "warn")
        parts = [(ready.plan, ready.functions, ready.trust) for ready in (compiled, before)]
        if parts[0] == parts[1]:
            self._watch.rebase(compiled.files)
            self._reloads.unchanged()
            self._compiled = before._replace(orders=compiled.orders)
            self.acme.in_force(compiled.orders)
            if self.ai is not None and compiled.ai is not None:
                self.ai.in_force(compiled.journal)
            return Reloaded("", False, self._reloads.generation, before.summary)
        self._hooks.install(generation, compiled.functions, compiled.hook_timeouts_ms)
        try:
            bound = await aside(self.engine.apply, compiled.plan)
        except BaseException as error:
            self._hooks.uninstall(generation)
            if isinstance(error, _engine.PlanRejected):
                raise compiled.rejected(error.path, error.why) from error
            raise
        self._in_force(compiled, bound)
        return Reloaded("", True, generation, compiled.summary)

    def _refused(self, error: str) -> Reloaded:
        self._reloads.refused(error)
        return Reloaded(error, False, self._reloads.generation, "")

    # -- drain ---------------------------------------------------------------------------------------------------------

    def end(self, how: End) -> None:
        """Tells the process to end; a second word cuts a drain short."""
        if not self._told.done():
            self._told.set_result(how)
        elif how in {End.NOW, End.BROKEN}:
            self._cut.set()

    def end_soon(self, how: End) -> None:
        """The same, once the answer that says so has left."""
        self._loop.call_later(LAST_WORD_S, self.end, how)

    def drain(self, *, handed_over: bool = False) -> None:
        """Accepts nothing more and goes on with what is under way; `/readyz` says 503 from now on."""
        self.acme.stop()
        if handed_over:
            self._draining = True
            self.engine.hand_over()
        elif not self._draining:
            self._draining = True
            self.engine.drain()
            say(f"draining {_many(self.engine.connections(), 'connection')}")

    async def _drain(self) -> None:
        self.notifier.stopping("draining")
        self.drain()
        until = self._loop.time() + self._compiled.drain_s
        while (left := self.engine.connections()) and self._loop.time() < until:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._cut.wait(), DRAIN_LOOK_S)
                break
        if left:
            say(f"cutting {_many(left, 'connection')}", "warn")

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end."""
        return self._told.done()

    def go_soon(self) -> None:
        """Ends: another process has taken over."""
        self.end_soon(End.HANDED_OVER)

    # -- stop ----------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self.notifier.stopping("stopping")
        for task in self._tasks:
            task.cancel()
        self._key_sets.stop()
        self._hooks.close()
        self.engine.stop()
        if self.ai is not None:
            self.ai.stop()
        self._let_go()
        say("stopped")

    def _let_go(self) -> None:
        if self.state is not None:
            self.state.release()

    # -- what the admin API tells --------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The process and its engine, as plain data."""
        listeners = zip(self._compiled.listeners, self._bound, strict=True)
        ai = {"ai": self.ai.status()} if self.ai is not None and self._compiled.ai is not None else {}
        return assemble(
            about={
                "version": tidegate.__version__,
                "pid": os.getpid(),
                "config": self._source.absolute,
                "state": None if self.state is None else self.state.path,
                "control": self._control,
                "started_at": round(self._began_at, 3),
                "uptime_s": round(time.time() - self._began_at, 3),
                "workers": self._workers,
                "draining": self._draining,
                **self.takeover.as_json(),
                "listeners": [
                    {"name": listener.name, "address": address, "admin": listener.admin}
                    for listener, address in listeners
                ],
                "certificates": [shown._asdict() for shown in self._compiled.certificates],
                "acme": self.acme.as_json(),
                "routes": self._compiled.routes,
                "key_sets": self._key_sets.figures(),
                **ai,
            },
            reloads=self._reloads,
            hooks=self._hooks.figures(),
            engine=msgspec.json.decode(self.engine.stats()),
        )

    def plan(self) -> bytes:
        """The plan in force, with its secrets' hashes."""
        return self._compiled.plan

    def engine_metrics(self) -> bytes:
        """What the engine counts, as Prometheus text."""
        return self.engine.metrics()

    def cache_get(self, text: bytes) -> bytes | None:
        """What is kept under the text of a key, as JSON; None where nothing is."""
        return self.engine.cache_get(text)

    def cache_purge(self, what: str, value: bytes, *, soft: bool) -> bool | None:
        """Forgets what is kept; None where nothing is ever."""
        return self.engine.cache_purge(what, value, soft)

    def trusts(self, listener: str) -> bool:
        """Whether what comes over this listener may change things: Unix sockets, which have an owner and a mode."""
        return any(known.name == listener and known.admin and known.unix for known in self._compiled.listeners)


async def _nobody(_: Request) -> None:
    """Stands where the admin API will, for a plan that is looked at and not run."""


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
