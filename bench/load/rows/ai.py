"""AI calls and streams on a native provider with nothing behind it, beside a plain proxied request and LiteLLM."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.load import meter
from bench.load.client import Request, begin_streams, finish_open_loop, wrk
from bench.load.lab import AI_KEY, Contestant, Lab, Running, ask
from bench.load.process import StartError
from bench.load.result import Result, Series
from bench.load.rounds import LATE_US, interleaved
from bench.load.settings import Placement, Settings

TIDEGATE_AI = Contestant("tidegate", "tidegate", "ai")
LITELLM = Contestant("litellm", "litellm", "ai")
HEADERS = {"Authorization": f"Bearer {AI_KEY}", "Content-Type": "application/json"}
PLAIN, AI = "/plain/v1/chat/completions", "/ai/v1/chat/completions"
# How long the ledger may take to write down what a round left, and how little a process does that has nothing to do.
SETTLE_SECONDS = 60.0
QUIET_SHARE = 0.02
# Shorter than this, memory has not settled, and its growth says nothing.
FLAT_SECONDS = 60.0


def chat(model: str, *, stream: bool = False) -> bytes:
    """A request of about a kilobyte, as chat applications send them."""
    system = (
        "You answer questions about a reverse proxy. Be brief, name the configuration key that matters, and say so"
        " when you do not know. Answer in the language of the question. Never invent an option: an operator will paste"
        " what you write into a file that serves thousands of people."
    )
    question = (
        "We run twelve services behind one edge. Two of them answer slowly in the morning, when everybody logs in, and"
        " then the whole edge feels slow, also for the ten that are fine. What bounds how much one upstream may take of"
        " what all share, where is that configured, and what does a client see whose request is over the bound? We have"
        " tried a limit by address already, but many of our users sit behind one office's address and then block each"
        " other. If there is a way to let the slow two wait while the others do not, show the few lines that do it, and"
        " tell us what to look at in the metrics to see that it works."
    )
    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
        "temperature": 0.2,
        "max_tokens": 400,
    }
    if stream:
        asked["stream"] = True
    return json.dumps(asked, separators=(",", ":")).encode()


def ai_calls(settings: Settings) -> Result:
    """Chat calls with key, limits, budget and usage, passed through and translated; plain ones; LiteLLM's."""
    result = Result(
        "ai_calls",
        "AI chat call",
        "Microseconds of CPU a call, proxy on its own core where there are two; closed loop (wrk). `engine us` is what"
        " runs calls, `whole us` the process with what it does later: usage records into SQLite.",
    )
    plain = replace(TIDEGATE_AI, name="tidegate-plain")
    passed = replace(TIDEGATE_AI, name="tidegate-passed")
    translated = replace(TIDEGATE_AI, name="tidegate-translated")
    control = replace(TIDEGATE_AI, name="tidegate-plain-again")
    paths = {plain.name: PLAIN, control.name: PLAIN, LITELLM.name: "/v1/chat/completions"}
    models = {translated.name: "translated"}
    with Lab(settings) as lab:
        placement = settings.placement(1)
        provider = lab.provider(placement)
        requests: dict[str, Request] = {}
        runnings = []
        for contestant in (plain, passed, translated, control, LITELLM):
            if lab.missing(contestant.product):
                result.notes.append(f"{contestant.product} is not there.")
                continue
            model = models.get(contestant.name, "passed")
            requests[contestant.name] = Request(
                paths.get(contestant.name, AI), "POST", headers=HEADERS, body=_body(lab, model)
            )
            running = lab.start(contestant, provider, placement)
            _expect_answer(running, requests[contestant.name])
            runnings.append(running)
        series = {running.name: Series(running.name) for running in runnings}
        for running in runnings if not settings.quick else ():
            wrk(lab, running.port, requests[running.name], seconds=1, cores=placement.load)
            _settle(running)
        for running in interleaved(runnings, settings.rounds):
            series[running.name].add(**_round(lab, running, requests[running.name], placement))
        result.series += series.values()
    result.compare("tidegate-passed", "tidegate-plain", "engine_us", "ai_passed")
    result.compare("tidegate-passed", "tidegate-plain", "whole_us", "ai_passed_whole")
    result.compare("tidegate-translated", "tidegate-plain", "engine_us", "ai_translated")
    result.compare("tidegate-translated", "tidegate-plain", "whole_us", "ai_translated_whole")
    result.compare("tidegate-plain-again", "tidegate-plain", "engine_us", "ai_control")
    result.compare("litellm", "tidegate-passed", "whole_us", "ai_litellm")
    return result


@dataclass(frozen=True)
class Load:
    """Streams at a time, how fast and how many their events are, and how often each is begun again."""

    streams: int
    rate: int
    events: int
    period: float

    @property
    def model(self) -> str:
        return f"stream-{self.rate}x{self.events}"


def ai_streams(settings: Settings) -> Result:
    """Many streams at a time: what the first event waits, whether any event is lost, what memory they take."""
    scale = 10 if settings.quick else 1
    many = Load(1_000 // scale, 20, 40, 2.05)
    more = Load(5_000 // scale, 4, 20, 5.0)
    result = Result(
        "ai_streams",
        "AI streams",
        f"Microseconds from when a stream was due to its first event, and from an event's sending to its reading;"
        f" {many.streams:,} streams at a time with {many.rate} events a second each, then {more.streams:,} with"
        f" {more.rate}.",
    )
    with Lab(settings) as lab:
        placement = settings.placement(1)
        provider = lab.provider(placement)
        passed = lab.start(replace(TIDEGATE_AI, name="passed"), provider, placement)
        ports = {"direct": (provider, "/v1/chat/completions", ""), "passed": (passed.port, AI, "")}
        ports["translated"] = (passed.port, AI, "translated-")
        series = {name: Series(name) for name in ports}
        for number in range(settings.rounds):
            for name in list(ports) if number % 2 == 0 else reversed(ports):
                port, path, prefix = ports[name]
                request = Request(path, "POST", headers=HEADERS, body=_body(lab, prefix + many.model, stream=True))
                found = _stream(lab, result, port, request, many, settings.seconds, passed, placement)
                if name == "direct":
                    found.pop("engine_us_an_event")
                series[name].add(**found)
        result.series += series.values()
        seconds = settings.stream_minutes * 60 or settings.seconds * 2
        for load in (many, more):
            name = f"passed, {load.streams:,} held"
            request = Request(AI, "POST", headers=HEADERS, body=_body(lab, load.model, stream=True))
            held = Series(name)
            held.add(**_stream(lab, result, passed.port, request, load, max(seconds, load.period), passed, placement))
            result.series.append(held)
        if settings.stream_minutes:
            result.notes.append(f"Held for {settings.stream_minutes:g} minutes each.")
    direct, through = (series[name].values["first_p99_us"] for name in ("direct", "passed"))
    added = [one - other for one, other in zip(through, direct, strict=True)]
    result.figures["ai_first_added_ms"] = statistics.median(added) / 1e3
    mine = [each for each in result.series if each.contestant != "direct"]
    for metric in ("wrong", "rss_mb"):
        result.figures[f"ai_streams_{metric}"] = max(max(each.values[metric]) for each in mine)
    grown = [each.values["growth"][0] for each in mine if "growth" in each.values]
    if grown:
        result.figures["ai_streams_growth"] = max(grown)
    return result


def _round(lab: Lab, running: Running, request: Request, placement: Placement) -> dict[str, float]:
    pids = running.pids
    before, engine = meter.cpu(pids), meter.engine_seconds(pids)
    answer = wrk(lab, running.port, request, seconds=lab.settings.seconds, cores=placement.load)
    if answer.failed or answer.statuses:
        raise StartError(
            f"{running.name}: {answer.failed} connections failed, {answer.statuses} answers were 4xx or 5xx"
        )
    metrics = {"requests_per_second": answer.requests / answer.seconds}
    if running.contestant.product == "tidegate":
        metrics["engine_us"] = (meter.engine_seconds(pids) - engine) / answer.requests * 1e6
    _settle(running)
    metrics["whole_us"] = (meter.cpu(pids) - before).total / answer.requests * 1e6
    return metrics


def _settle(running: Running) -> None:
    """Waits until nothing of the last round is left to do."""
    end = time.monotonic() + SETTLE_SECONDS
    pids = running.pids
    used = meter.cpu(pids).total
    while time.monotonic() < end:
        time.sleep(0.25)
        before, used = used, meter.cpu(pids).total
        if used - before < 0.25 * QUIET_SHARE:
            return
    raise StartError(f"{running.name} was still busy {SETTLE_SECONDS:.0f} s after its load had ended")


def _stream(
    lab: Lab,
    result: Result,
    port: int,
    request: Request,
    load: Load,
    seconds: float,
    tidegate: Running,
    placement: Placement,
) -> dict[str, float]:
    pids = tidegate.pids
    engine = meter.engine_seconds(pids)
    child = begin_streams(
        lab,
        port,
        request,
        streams=load.streams,
        events=load.events,
        period=load.period,
        seconds=seconds,
        cores=placement.load,
    )
    began = time.monotonic()
    rss = []
    while child.running() and time.monotonic() - began < seconds + load.period + 30:
        time.sleep(0.5)
        rss.append(meter.memory(pids).rss / 1e6)
    told = finish_open_loop(lab, child, 10)
    wrong = sum(told[name] for name in ("lost", "disordered", "unterminated", "cut", "unfinished"))
    wrong += sum(count for status, count in told["statuses"].items() if status != "200")
    if told["lateness_us"]["p99"] > LATE_US:
        result.notes.append(f"Disturbed: the generator itself was late by {told['lateness_us']['p99']:,.0f} µs (p99).")
    metrics = {
        "first_p50_us": told["first_us"]["p50"],
        "first_p99_us": told["first_us"]["p99"],
        "event_p50_us": told["delay_us"]["p50"],
        "event_p99_us": told["delay_us"]["p99"],
        "generator_late_p99_us": told["lateness_us"]["p99"],
        "streams": told["finished"],
        "events": told["events"],
        "wrong": wrong,
        "engine_us_an_event": (meter.engine_seconds(pids) - engine) / max(told["events"], 1) * 1e6,
        "rss_mb": max(rss),
    }
    if seconds >= FLAT_SECONDS:
        quarter = len(rss) // 4
        metrics["growth"] = statistics.median(rss[-quarter:]) / statistics.median(rss[quarter : 2 * quarter])
    return metrics


def _body(lab: Lab, model: str, *, stream: bool = False) -> Path:
    return lab.write(f"{model.replace('*', '-')}.json", chat(model, stream=stream).decode())


def _expect_answer(running: Running, request: Request) -> None:
    """Refuses to measure what does not answer, or, where keys are asked for, answers without one."""
    assert request.body is not None
    body = request.body.read_bytes()
    status, answer = ask(running.port, request.path, request.headers, body)
    told = json.loads(answer) if status == 200 else {}
    if not told.get("choices") or told.get("usage", {}).get("completion_tokens") != 150:
        raise StartError(f"{running.name} answered {status}: {answer[:300]!r}")
    if request.path != PLAIN and ask(running.port, request.path, {}, body)[0] == 200:
        raise StartError(f"{running.name} answered a call without a key")
