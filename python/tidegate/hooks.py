"""Runs hooks: takes calls from the engine in batches, gives each to its function, hands the words back.

Async functions run on the loop and are cancelled when their time is over. Plain functions run in a few threads of their
own, so that one that blocks delays nothing but its own route. Whatever a function does, its call is answered once.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any, Final

from tidegate.log import Seldom
from tidegate.policy import Decision, Request, problem
from tidegate.ports import Call, Calls
from tidegate.resolve import Function
from tidegate.stats import HookFigures

BATCH: Final = 256  # calls taken at once: enough to amortise a wake-up, few enough to let other work in between
WAITING_MAX: Final = 1024  # calls of one hook under way; more are failed at once, so that none takes all memory
THREADS: Final = 4  # of one plain function; they are started when there is work for them
GENERATIONS: Final = 8  # plans whose requests may still ask: a slow exchange may outlive several reloads


class Hooks:
    """All hooks of the plans that requests still run on."""

    def __init__(self, engine: Calls, loop: asyncio.AbstractEventLoop, verdict: Callable[..., Any]) -> None:
        self._engine = engine
        self._loop = loop
        self._verdict = verdict
        self._seldom = Seldom()
        self._lanes: dict[int, list[_Lane]] = {}
        self._answers: list[tuple[int, Any]] = []
        self._failures: list[tuple[int, str]] = []
        self._flushing = False

    def install(self, generation: int, functions: Sequence[Function], timeouts_ms: Sequence[int]) -> None:
        """Sets the functions of a plan, in the order of its hooks, before the plan is applied."""
        old = {lane.function.name: lane.figures for lanes in self._lanes.values() for lane in lanes}
        self._lanes[generation] = [
            (_AsyncLane if function.is_async else _ThreadLane)(
                self, function, timeout / 1000, old.get(function.name) or HookFigures(function.name)
            )
            for function, timeout in zip(functions, timeouts_ms, strict=True)
        ]
        for gone in sorted(self._lanes)[:-GENERATIONS]:
            self.uninstall(gone)

    def uninstall(self, generation: int) -> None:
        """Forgets a plan's functions: its requests are over, or the plan was refused."""
        for lane in self._lanes.pop(generation, ()):
            lane.close()

    def listen(self) -> None:
        """Begins to take calls."""
        self._loop.add_reader(self._engine.calls_fd(), self.take)

    def close(self) -> None:
        """Takes no more calls and cancels those under way."""
        self._loop.remove_reader(self._engine.calls_fd())
        for generation in list(self._lanes):
            self.uninstall(generation)

    def figures(self) -> list[HookFigures]:
        """Of the newest plan's hooks."""
        if not self._lanes:
            return []
        return list({lane.function.name: lane.figures for lane in self._lanes[max(self._lanes)]}.values())

    def take(self) -> None:
        """Takes a batch; the descriptor stays readable while more wait."""
        for call in self._engine.take_calls(BATCH):
            lanes = self._lanes.get(call.generation)
            if lanes is None or call.hook >= len(lanes):
                self.fail_later(call.id, "the plan that this request runs on is gone")
                continue
            lane = lanes[call.hook]
            if lane.under_way >= WAITING_MAX:
                lane.figures.full += 1
                self.fail_later(call.id, f"{WAITING_MAX} calls of this hook are under way already")
            else:
                lane.begin(call)

    def word(self, call: Call, said: Any) -> Any:
        """The engine's verdict for what a function returned; raises when that is none."""
        if said is None:
            return None
        if not isinstance(said, Decision):
            raise TypeError(
                f"returned {type(said).__name__}; return None, or what tidegate.refuse, answer or modify gives"
            )
        fields, body = said.response_headers, said.body
        if said.status is not None and body is None and said.status >= 400:
            fields = (("Content-Type", "application/problem+json"), *fields)
            detail = said.reason or "The request was refused by policy."
            body = problem(said.status, "hook_refused", detail, call.request_id)
        return self._verdict(
            set_headers=list(said.set_headers),
            remove_headers=list(said.remove_headers),
            upstream=said.upstream,
            status=said.status,
            response_headers=list(fields),
            body=body or b"",
            reason=said.reason,
        )

    def answer_later(self, call_id: int, verdict: Any) -> None:
        """Answers with the others of this turn of the loop."""
        self._answers.append((call_id, verdict))
        self._flush_later()

    def fail_later(self, call_id: int, why: str) -> None:
        """Fails with the others of this turn of the loop."""
        self._failures.append((call_id, why))
        self._flush_later()

    def say(self, lane: "_Lane", kind: str, why: str) -> None:
        """Logs a failure, seldom enough for a log to stay readable."""
        self._seldom.say(f"{lane.function.name} {kind}", f"hook {lane.function.name}: {why}")

    def _flush_later(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._answers:
            answers, self._answers = self._answers, []
            self._engine.answer(answers)
        if self._failures:
            failures, self._failures = self._failures, []
            self._engine.fail(failures)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where async functions run."""
        return self._loop

    @property
    def engine(self) -> Calls:
        """Where words go."""
        return self._engine


class _Lane:
    """One hook of one plan."""

    def __init__(self, hooks: Hooks, function: Function, timeout_s: float, figures: HookFigures) -> None:
        self.hooks = hooks
        self.function = function
        self.timeout_s = timeout_s
        self.figures = figures
        self.under_way = 0

    def begin(self, call: Call) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def raised(self, error: BaseException) -> str:
        """Counts and logs what a function raised; the text is what the engine is told."""
        self.figures.failed += 1
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.hooks.say(self, type(error).__name__, why + _place(error))
        return why


class _AsyncLane(_Lane):
    """An async function: a task for each call, and one timer for all of them, since they come due in order."""

    def __init__(self, hooks: Hooks, function: Function, timeout_s: float, figures: HookFigures) -> None:
        super().__init__(hooks, function, timeout_s, figures)
        self._due: deque[tuple[float, asyncio.Task[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, call: Call) -> None:
        self.follow(call, None)

    def follow(self, call: Call, awaitable: Any) -> None:
        """Runs the function, or what it has returned already where a plain one returned an awaitable."""
        self.under_way += 1
        loop = self.hooks.loop
        task = loop.create_task(self._run(call, awaitable))
        self._due.append((loop.time() + self.timeout_s, task))
        if self._timer is None:
            self._timer = loop.call_later(self.timeout_s, self._on_timer)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for _, task in self._due:
            task.cancel()

    async def _run(self, call: Call, awaitable: Any) -> None:
        began = time.perf_counter()
        try:
            if awaitable is None:
                awaitable = self.function.call(Request(call))
            verdict = self.hooks.word(call, await awaitable)
        except asyncio.CancelledError:
            self.figures.late += 1
            self.hooks.say(self, "late", f"had no word after {self.timeout_s:g} s and was cancelled")
            self.hooks.fail_later(call.id, "late")
        except BaseException as error:  # sys.exit() in a hook must not end the process
            self.hooks.fail_later(call.id, self.raised(error))
        else:
            self.hooks.answer_later(call.id, verdict)
        finally:
            self.under_way -= 1
            self.figures.took(time.perf_counter() - began)
            while self._due and self._due[0][1].done():
                self._due.popleft()

    def _on_timer(self) -> None:
        # A task that is cancelled before its first step never gets to answer: those steps are queued already.
        self.hooks.loop.call_soon(self._cancel_late)

    def _cancel_late(self) -> None:
        now = self.hooks.loop.time()
        while self._due and (self._due[0][0] <= now or self._due[0][1].done()):
            self._due.popleft()[1].cancel()
        self._timer = self.hooks.loop.call_at(self._due[0][0], self._on_timer) if self._due else None


class _ThreadLane(_Lane):
    """A plain function: a queue and a few threads, which answer the engine themselves.

    The threads are daemons: one that is stuck in a function must not keep the process from ending.
    """

    def __init__(self, hooks: Hooks, function: Function, timeout_s: float, figures: HookFigures) -> None:
        super().__init__(hooks, function, timeout_s, figures)
        self._queue: queue.SimpleQueue[tuple[Call, float] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # under_way and figures are written by several threads
        self._threads = 0
        self._followers: _AsyncLane | None = None

    def begin(self, call: Call) -> None:
        with self._lock:
            self.under_way += 1
            wants_thread = self._threads < min(THREADS, self.under_way)
            self._threads += wants_thread
        self._queue.put((call, time.monotonic() + self.timeout_s))
        if wants_thread:
            threading.Thread(target=self._work, name=f"hook {self.function.name}", daemon=True).start()

    def close(self) -> None:
        for _ in range(self._threads):
            self._queue.put(None)
        if self._followers is not None:
            self._followers.close()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            self._run(*item)

    def _run(self, call: Call, due: float) -> None:
        began = time.perf_counter()
        engine = self.hooks.engine
        if time.monotonic() >= due:
            with self._lock:
                self.under_way -= 1
                self.figures.late += 1
            self.hooks.say(self, "late", "its threads are all busy; calls wait longer than they may")
            engine.fail([(call.id, "late")])
            return
        try:
            said = self.function.call(Request(call))
            if isawaitable(said):
                self.hooks.loop.call_soon_threadsafe(self._follow, call, said)
                return
            verdict = self.hooks.word(call, said)
        except BaseException as error:  # sys.exit() in a hook must not end the thread
            with self._lock:
                why = self.raised(error)
            engine.fail([(call.id, why)])
        else:
            engine.answer([(call.id, verdict)])
        finally:
            took = time.perf_counter() - began
            with self._lock:
                self.under_way -= 1
                self.figures.took(took)
                if took > self.timeout_s:
                    self.figures.late += 1

    def _follow(self, call: Call, awaitable: Any) -> None:
        if self._followers is None:
            self._followers = _AsyncLane(self.hooks, self.function, self.timeout_s, self.figures)
        self._followers.follow(call, awaitable)


def _place(error: BaseException) -> str:
    """The innermost line of the user's own code in a traceback."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != _place.__code__.co_filename:  # __file__ differs in an archive
            place = f" ({code.co_filename}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return place
