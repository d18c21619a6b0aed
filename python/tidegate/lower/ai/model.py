"""Models: their targets, and what is done where those do not answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan_ai as form
from tidegate.lower.ai.names import fallbacks, substituted
from tidegate.lower.headers import is_token
from tidegate.lower.work import each
from tidegate.model import units
from tidegate.model.ai.model import AiBatch, AiCache, AiModel, AiShadow, AiTarget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidegate.lower.ai.names import ModelNames, Named
    from tidegate.lower.ai.price import Prices
    from tidegate.lower.ai.provider import Providers
    from tidegate.lower.work import Path, Work

__all__ = ["lower_models"]

_CAUSES: list[form.FallbackCause] = [
    "rate_limited",
    "down",
    "context_too_long",
    "content_filter",
    "too_slow",
    "over_budget",
]
_HEADER = re.compile(r"([^:\s]+)(?::\s*(.*))?", re.DOTALL)


def lower_models(names: ModelNames, providers: Providers, prices: Prices, work: Work) -> list[form.Model]:
    """All models; what is wrong is noted."""
    made = [_Lowering(named, names, providers, prices, work).model() for named in names.all]
    _refuse_circles(made, names, work)
    return made


class _Lowering:
    """One model on its way into the plan."""

    def __init__(self, named: Named, names: ModelNames, providers: Providers, prices: Prices, work: Work) -> None:
        self.name = named.name
        self.written = named.written
        self.star = named.star
        self.names = names
        self.providers = providers
        self.prices = prices
        self.work = work
        self.path = named.path
        self.whole = isinstance(work.config.ai.models.get(str(named.path[-1])), AiModel)

    def model(self) -> form.Model:
        written, work, path = self.written, self.work, self.path
        place = work.where.key_place(path)
        if not self.name or not self.name.isprintable() or " " in self.name:
            work.problems.error_at(place, f"`{self.name}` cannot be a model's name", "write it without blanks")
        if self.name.count("*") > 1:
            work.problems.error_at(place, f"`{self.name}` has more than one `*`", "keep one of them")
        times = (*path, "timeouts")
        return form.Model(
            name=self.name,
            targets=self._targets(),
            balance=written.balance,
            fallback=self._fallback(),
            attempts=written.attempts,
            backoff_ms=work.milliseconds(written.backoff, (*path, "backoff")),
            retry_after_most_ms=work.milliseconds(written.retry_after, (*path, "retry_after")),
            first_token_ms=work.milliseconds(written.timeouts.first_token, (*times, "first_token"), least=1),
            between_tokens_ms=work.milliseconds(written.timeouts.between_tokens, (*times, "between_tokens"), least=1),
            total_ms=work.milliseconds(written.timeouts.total, (*times, "total")),
            cooldown_ms=work.milliseconds(written.cooldown, (*path, "cooldown")),
            deduplicate=written.deduplicate,
            cache=self._cache(),
            hedge=form.Hedge(
                after_ms=work.milliseconds(written.hedge.after, (*path, "hedge", "after"), least=1),
                budget_percent=work.percent(written.hedge.budget, (*path, "hedge", "budget")),
            )
            if written.hedge is not None
            else None,
            batch=self._batch(),
            session_header=self._header(written.session, (*path, "session")) if written.session else "",
            prefix_affinity=written.prefix_affinity,
            sticky=self._sticky(),
            shadow=self._shadow(),
            rules=self._rules(),
            drop_unsupported=written.drop_unsupported,
            on_disconnect=written.on_disconnect,
            expected_output=written.expected_output,
            prompt_bytes=work.bytes(written.max_prompt, (*path, "max_prompt"), least=1, most=2**63 - 1)
            if written.max_prompt is not None
            else 0,
            max_output=written.max_output,
        )

    def _targets(self) -> list[form.Target]:
        at: Path = (*self.path, "targets") if self.whole else self.path
        out: list[form.Target] = []
        seen: set[tuple[str, str, str]] = set()
        entries: Iterable[tuple[str | AiTarget, Path]] = each(self.written.targets, at)
        for entry, where in entries:
            target = substituted(self._short(entry, where) if isinstance(entry, str) else entry, self.star)
            made = self._target(target, where, record=isinstance(entry, AiTarget))
            if made is None:
                continue
            key = (target.provider, made.model, made.variant)
            if key in seen:
                right = "give it a `weight: 2` instead, or a `variant`"
                self.work.error(where, f"`{target.provider}/{made.model}` is there twice", right)
            seen.add(key)
            out.append(made)
        if not out and not self.work.problems.errors:
            self.work.error(at, "nobody serves this model", "add `targets: [PROVIDER/MODEL]`")
        if out and not any(target.weight for target in out):
            self.work.error(at, "all weights are 0, so nobody is asked", "give one of them a weight of 1 or more")
        return out

    def _short(self, text: str, path: Path) -> AiTarget:
        provider, slash, model = text.partition("/")
        if not slash and text in self.providers.by_name:
            return AiTarget(provider=text)
        if not slash or not model:
            known = [*self.providers.by_name]
            example = f"{known[0]}/{text or 'MODEL'}" if len(known) == 1 else f"PROVIDER/{text or 'MODEL'}"
            self.work.error(path, f"`{text}` does not say who serves it", f"write `{example}`")
            return AiTarget(provider="")
        return AiTarget(provider=provider, model=model)

    def _target(self, target: AiTarget, path: Path, *, record: bool) -> form.Target | None:
        work = self.work
        if not target.provider:
            return None
        provider = self.providers.index(target.provider, (*path, "provider") if record else path)
        if provider is None:
            return None
        model = target.model if target.model is not None else self.name
        if model.count("*") > 1 or ("*" in model and "*" not in self.name):
            right = "write a `*` into the model's name too, as `openai/*`"
            work.error(
                (*path, "model") if record else path, f"nothing says what the `*` of `{model}` stands for", right
            )
        if not model or any(char <= " " or char == "\x7f" for char in model):
            work.error((*path, "model") if record else path, f"`{model}` cannot be a model's name", "check it")
        price, context = self.prices.of(target.provider, model, target.price, (*path, "price"))
        return form.Target(
            provider=provider,
            model=model,
            weight=target.weight,
            variant=target.variant or "",
            price=price,
            prices=self.prices.all(target.provider, model) if "*" in model and target.price is None else [],
            context_tokens=target.context_tokens if target.context_tokens is not None else context,
            busy_calls=target.busy_calls,
            busy_queue_ms=work.milliseconds(target.busy_queue, (*path, "busy_queue")),
        )

    def _fallback(self) -> list[form.Fallback]:
        out: list[form.Fallback] = []
        for entry, way in fallbacks(self.written):
            at = (*self.path, *way)
            index = self.names.index(entry.model, at)
            if index is None:
                continue
            if any(index == other.model and set(other.on) & set(entry.on or _CAUSES) for other in out):
                self.work.error(at, f"`{entry.model}` is there twice for one cause", "keep one of them")
            if entry.on == []:
                self.work.error((*at[:-1], "on"), "there is no cause, so it is never asked", "leave `on` out for all")
            on = list(dict.fromkeys(_CAUSES if entry.on is None else entry.on))
            out.append(form.Fallback(model=index, on=on))
        return out

    def _cache(self) -> form.ModelCache | None:
        if self.written.cache is False:
            return None
        entry = AiCache() if self.written.cache is True else self.written.cache
        path = (*self.path, "cache")
        temperature: float | None = None
        if entry.max_temperature is not None:
            temperature = units.decimal(entry.max_temperature)
            if temperature > 2:
                what = f"no temperature is as high as `{entry.max_temperature}`"
                self.work.error((*path, "max_temperature"), what, "write `0` to `2`")
        return form.ModelCache(
            ttl_ms=self.work.milliseconds(entry.ttl, (*path, "ttl"), least=1),
            shared=entry.shared,
            max_temperature=temperature,
            tools=entry.tools,
        )

    def _batch(self) -> form.Batch | None:
        if self.written.batch is False:
            return None
        entry = AiBatch() if self.written.batch is True else self.written.batch
        window = self.work.milliseconds(entry.window, (*self.path, "batch", "window"), least=1)
        return form.Batch(window_ms=window, inputs=entry.inputs)

    def _sticky(self) -> str:
        text, path = self.written.sticky, (*self.path, "sticky")
        if text in ("", "key"):
            return text
        if not text.startswith("header:"):
            self.work.error(path, f"`{text}` is nothing to hold on to", "write `key` or `header:NAME`")
        return self._header(text.removeprefix("header:"), path)

    def _header(self, name: str, path: Path) -> str:
        if not is_token(name):
            self.work.error(path, f"`{name}` is not a header's name", "write `X-Session-Id`")
        return name

    def _shadow(self) -> form.Shadow | None:
        written, path = self.written.shadow, (*self.path, "shadow")
        if written is None:
            return None
        entry = AiShadow(model=written) if isinstance(written, str) else written
        at = path if isinstance(written, str) else (*path, "model")
        index = self.names.index(entry.model, at)
        if entry.model == self.name:
            self.work.error(at, "a model is not its own shadow", "name another")
        return form.Shadow(model=index or 0, percent=self.work.percent(entry.percent, (*path, "percent")))

    def _rules(self) -> list[form.Rule]:
        out: list[form.Rule] = []
        for number, rule in enumerate(self.written.rules):
            path = (*self.path, "rules", number)
            index = self.names.index(rule.model, (*path, "model"))
            if rule.model == self.name:
                self.work.error((*path, "model"), "a rule that leads to the same model does nothing", "leave it out")
            if rule.min_tokens is None and rule.max_tokens is None and rule.tag is None and rule.header is None:
                right = "add `min_tokens`, `max_tokens`, `tag` or `header`"
                self.work.error(path, "this rule holds for every call", right)
            if rule.min_tokens is not None and rule.max_tokens is not None and rule.min_tokens > rule.max_tokens:
                self.work.error((*path, "max_tokens"), "no call is as long and as short", "swap the two")
            header: tuple[str, str] | None = None
            if rule.header is not None:
                found = _HEADER.fullmatch(rule.header)
                header = (self._header(found[1], (*path, "header")), found[2] or "") if found else None
                if not found:
                    right = "write `NAME` or `NAME: VALUE`"
                    self.work.error((*path, "header"), f"`{rule.header}` is not a header", right)
            out.append(
                form.Rule(
                    model=index or 0,
                    min_tokens=rule.min_tokens,
                    max_tokens=rule.max_tokens,
                    tag=rule.tag,
                    header=header,
                )
            )
        return out


def _refuse_circles(models: list[form.Model], names: ModelNames, work: Work) -> None:
    """Fallbacks that lead back to where they began are told, each circle once."""
    told: set[int] = set()
    done: set[int] = set()
    for start in range(len(models)):
        way: list[int] = []
        _walk(start, models, way, done, told, names, work)


def _walk(
    at: int, models: list[form.Model], way: list[int], done: set[int], told: set[int], names: ModelNames, work: Work
) -> None:
    if at in way:
        circle = way[way.index(at) :]
        if not told & set(circle):
            told.update(circle)
            shown = " → ".join(f"`{models[index].name}`" for index in (*circle, at))
            path = names.all[circle[-1]].path
            work.error((*path, "fallback"), f"the fallbacks go in a circle: {shown}", "take one of them out")
        return
    if at in done:
        return
    way.append(at)
    for fallback in models[at].fallback:
        _walk(fallback.model, models, way, done, told, names, work)
    way.pop()
    done.add(at)
