"""What would happen to a request, told for people: the engine decides, this says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidegate import plan, plan_ai
from tidegate.lower.address import show as show_address
from tidegate.lower.template import show as show_template
from tidegate.model import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidegate.errors import Place

__all__ = ["explain"]

_MODELS = 12
"""Models that are told of one by one."""

_SURFACES = (
    "OpenAI (chat completions, responses, embeddings, images, audio, rerank …)",
    "Anthropic messages",
    "Gemini",
    "Bedrock converse",
    "Cohere",
    "Ollama",
    "prompts",
)

_NEAR = 5
"""Routes that are told of where none takes the request."""


def explain(
    whole: plan.Plan,
    decision: bytes | dict[str, Any],
    *,
    method: str,
    url: str,
    place: Callable[[str], Place] | None = None,
) -> str:
    """The engine's decision on one request as text: listener, path, route, stages, action, and why.

    `decision` is the engine's JSON: `listener` (an index), `host` and `path` as they are matched, `route` (an index
    or null), `refused` (a reason or null), and where it tells them `captures` and `why`. With `place`, the way from
    a plan's path to its source, the route's place is named.
    """
    said = _decoded(decision)
    listener = whole.listeners[said["listener"]]
    lines = [f"{method} {url}", _line("listener", f"{listener.name}{' (admin)' if listener.admin else ''}")]
    if (refused := said.get("refused")) is not None:
        lines += [_line("refused", f"{refused}: answered by the engine, no route is asked")]
        return "\n".join(lines) + "\n"
    host, path = str(said.get("host") or ""), str(said.get("path") or "")
    lines += [_line("host", host or "(none)"), _line("path", path)]
    index = said.get("route")
    if index is None:
        lines += [_line("route", "none: 404"), *_block("why", _near(whole, said["listener"], host, path, method))]
        return "\n".join(lines) + "\n"
    route = whole.routes[index]
    at = f" ({place(f'routes[{index}]')})" if place is not None and not route.name.startswith("admin:") else ""
    lines.append(_line("route", f"{route.name}{at}"))
    captures = said.get("captures") or {}
    pairs = captures.items() if isinstance(captures, dict) else captures
    lines += [_line("capture", f"{name} = {value}") for name, value in pairs]
    lines += _block("why", [*_because(route, said), *(str(reason) for reason in said.get("why") or ())])
    lines += _block("stages", _stages(whole, route))
    lines += _block("action", _action(whole, route))
    return "\n".join(lines) + "\n"


def _decoded(decision: bytes | dict[str, Any]) -> dict[str, Any]:
    if isinstance(decision, dict):
        return decision
    import msgspec

    return msgspec.json.decode(decision, type=dict[str, Any])


def _line(name: str, text: str) -> str:
    return f"  {name:<9} {text}"


def _block(name: str, lines: Iterable[str]) -> list[str]:
    return [_line(name if first else "", text) for first, text in zip((True, *[False] * 999), lines, strict=False)]


def _because(route: plan.Route, said: dict[str, Any]) -> list[str]:
    matches = route.matches
    why = [f"the host is {' or '.join(matches.hosts)}"] if matches.hosts else []
    match matches.path:
        case plan.PathPrefix(value="/"):
            why.append("it takes every path")
        case plan.PathPrefix(value=value):
            why.append(f"the path begins with {value}")
        case plan.PathExact(value=value):
            why.append(f"the path is {value}")
        case plan.PathRegex(value=value):
            why.append(f"the path has {value} in it")
    if matches.methods:
        why.append(f"the method is {' or '.join(matches.methods)}")
    why += [f"the header {_value(test)}" for test in matches.headers]
    why += [f"the parameter {_value(test)}" for test in matches.query]
    prefix = said.get("matched_prefix") or 0
    if route.rewrite is not None and isinstance(route.rewrite.path, plan.RewritePrefix) and prefix:
        replaced = str(said.get("path") or "").encode()[:prefix].decode(errors="replace")
        why.append(f"{replaced} is what a rewrite replaces")
    return why


def _value(test: plan.ValueMatch) -> str:
    match test.test:
        case plan.ValuePresent():
            return f"{test.name} is there"
        case plan.ValueAbsent():
            return f"{test.name} is not there"
        case plan.ValueExact(value=value):
            return f"{test.name} is {value}"
        case plan.ValueRegex(value=value):
            return f"{test.name} has {value} in it"


def _stages(whole: plan.Plan, route: plan.Route) -> list[str]:
    out = []
    if route.access is not None:
        deny = f"deny {', '.join(route.access.deny)}" if route.access.deny else ""
        allow = f"allow {', '.join(route.access.allow)} only" if route.access.allow else "allow all others"
        out.append("access: " + ", ".join(part for part in (deny, allow) if part) + " (else 403)")
    if route.auth is not None:
        out.append(f"auth: {_auth(route.auth)} (else 401)")
    for index in route.limits:
        limit = whole.limits[index]
        rate = units.show_rate(units.Rate(limit.rate.tokens, limit.rate.per_ms))
        cost = f", {limit.cost} tokens a request" if limit.cost != 1 else ""
        delay = f", held back up to {units.show_duration(limit.delay_ms)}" if limit.delay_ms else ""
        out.append(f"limit {limit.name}: {rate} by {_key(limit.key)}, burst {limit.burst}{cost}{delay} (else 429)")
    for index in route.concurrency:
        cap = whole.concurrency[index]
        out.append(f"concurrency {cap.name}: {cap.max} in flight by {_key(cap.key)} (else 503)")
    if route.hook is not None:
        hook = whole.hooks[route.hook]
        failure = "503" if hook.on_failure == "refuse" else "goes on"
        body = f", with the body up to {units.show_size(hook.body_bytes)}" if hook.body else ""
        out.append(f"hook: {hook.name} within {units.show_duration(hook.timeout_ms)}{body} (failing: {failure})")
    if route.body_bytes is not None:
        out.append(f"body: up to {units.show_size(route.body_bytes)} (else 413)")
    if route.rewrite is not None:
        out += _rewrite(route.rewrite)
    out += [f"request header: {_edit(edit)}" for edit in route.request_headers]
    out += [f"response header: {_edit(edit)}" for edit in route.response_headers]
    if whole.access_log is None or not route.access_log:
        out.append("access log: off")
    return out


def _auth(auth: plan.Auth) -> str:
    if isinstance(auth, plan.Any):
        return " or ".join(_auth(method) for method in auth.methods)
    if isinstance(auth, plan.Basic):
        return f"name and password, {_count(len(auth.users) + len(auth.hashes), 'user')}"
    if isinstance(auth, plan.AuthForward):
        return f"as {auth.target} of an upstream says"
    if isinstance(auth, plan.Oidc):
        return f"login as {auth.name}"
    if isinstance(auth, plan.Jwt):
        of = f" of {' or '.join(auth.issuers)}" if auth.issuers else ""
        return f"token{of}, {' or '.join(auth.algorithms)}, keys of {auth.key_set.name}"
    match auth.source:
        case plan.KeyHeader(name=name):
            where = f"in the header {name}"
        case plan.KeyQuery(name=name):
            where = f"in the parameter {name}"
        case plan.KeyCookie(name=name):
            where = f"in the cookie {name}"
        case _:
            where = "in Authorization: Bearer"
    return f"API key {where}, {_count(len(auth.keys), 'key')}"


def _rewrite(rewrite: plan.Rewrite) -> list[str]:
    out = []
    match rewrite.path:
        case plan.RewritePrefix(with_=text):
            out.append(f"rewrite: the matched prefix becomes {text}")
        case plan.RewriteTemplate(template=template):
            out.append(f"rewrite: the path becomes {show_template(template)}")
        case plan.RewriteRegex(pattern=pattern, with_=text):
            out.append(f"rewrite: {pattern} in the path becomes {text}")
    if rewrite.host is not None:
        out.append(f"rewrite: the host becomes {show_template(rewrite.host)}")
    if rewrite.query is not None:
        out.append(f"rewrite: the query becomes {show_template(rewrite.query) or '(nothing)'}")
    return out


def _edit(edit: plan.HeaderEdit) -> str:
    if edit.kind == "remove":
        return f"remove {edit.name}"
    return f"{edit.kind} {edit.name}: {show_template(edit.value)}"


def _action(whole: plan.Plan, route: plan.Route) -> list[str]:
    match route.action:
        case plan.Forward(upstream=index):
            return _forward(whole.upstreams[index], route)
        case plan.Redirect(status=status, location=location):
            return [f"redirect {status} to {show_template(location)}"]
        case plan.Https(port=port):
            return ["redirect to the same over TLS" + (f" at port {port}" if port != 443 else "")]
        case plan.Respond(status=status, content_type=kind):
            return [f"respond {status}" + (f", {kind}" if kind else "")]
        case plan.Builtin(name=name):
            return [f"the engine's {name}"]
        case plan.AiRoute(guards=guards):
            return _ai(whole.ai, guards)
        case plan.HookAction():
            return ["the hook answers"]


def _ai(ai: plan.Ai | None, guards: list[int]) -> list[str]:
    """The AI surfaces, and what they are asked with."""
    if ai is None:
        return ["ai"]
    models = [f"{model.name} → {_targets(ai, model)}" for model in ai.models]
    more = len(models) - _MODELS
    who = _count(len(ai.keys), "key") + (", and anybody without one" if ai.open else "")
    return [
        f"ai: {', '.join(_SURFACES)}",
        f"asked by: {who}",
        *(f"model {text}" for text in models[:_MODELS]),
        *([f"and {_count(more, 'model')} more"] if more > 0 else []),
        *(f"guard {ai.guards[index].name}: {_guard(ai.guards[index])}" for index in guards),
        *([f"prompts: {', '.join(prompt.name for prompt in ai.prompts)}"] if ai.prompts else []),
    ]


def _targets(ai: plan.Ai, model: plan_ai.Model) -> str:
    shown = [
        f"{ai.providers[target.provider].name}/{target.model}"
        + (f" (weight {target.weight})" if target.weight != 1 else "")
        for target in model.targets
    ]
    how = f"{model.balance} of " if len(shown) > 1 else ""
    then = [ai.models[fallback.model].name for fallback in model.fallback]
    return how + ", ".join(shown) + (f"; then {', '.join(then)}" if then else "")


def _guard(guard: plan_ai.Guard) -> str:
    where = {"request": "in prompts", "response": "in answers", "both": "in prompts and answers"}[guard.scope]
    return f"{guard.action} {_tag(guard.look_for)} {where}"


def _forward(upstream: plan.Upstream, route: plan.Route) -> list[str]:
    balance = upstream.balance
    how = f"hash of {_key(balance.key)}" if isinstance(balance, plan.Hash) else _tag(balance)
    shown = [
        show_address(endpoint.address) + (f" (weight {endpoint.weight})" if endpoint.weight != 1 else "")
        for endpoint in upstream.endpoints
    ]
    times = route.timeouts
    waits = [
        f"{name} {units.show_duration(value)}"
        for name, value in (
            ("connect", times.connect_ms),
            ("head", times.head_ms),
            ("idle", times.idle_ms),
            ("total", times.total_ms),
        )
        if value
    ]
    retry = route.retry
    again = f"{retry.attempts} on {', '.join(retry.on)}" if retry.attempts > 1 and retry.on else "1"
    where = f"{how} of {', '.join(shown)}" if len(shown) > 1 else shown[0]
    return [
        f"upstream {upstream.name}: {where}",
        f"timeouts: {', '.join(waits) or 'none'}",
        f"attempts: {again}",
    ]


def _key(parts: list[plan.KeyPart]) -> str:
    named = (plan.HeaderPart, plan.CookiePart, plan.ClaimPart)
    return " and ".join(f"{_tag(part)}:{part.name}" if isinstance(part, named) else _tag(part) for part in parts)


def _tag(value: plan.Part) -> str:
    return str(value.__struct_config__.tag)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _near(whole: plan.Plan, listener: int, host: str, path: str, method: str) -> list[str]:
    """Which routes of the listener come near, and what keeps them off."""
    here = [route for route in whole.routes if listener in route.listeners]
    if not here:
        return ["this listener serves no route"]
    out = []
    for route in here:
        matches = route.matches
        lacks = []
        if not _host_holds(matches.hosts, host):
            lacks.append(f"the host {' or '.join(matches.hosts)}")
        if not _path_holds(matches.path, path):
            lacks.append(_path_text(matches.path))
        if matches.methods and method not in matches.methods:
            lacks.append(f"the method {' or '.join(matches.methods)}")
        if not lacks and (matches.headers or matches.query):
            tests = [_value(test) for test in (*matches.headers, *matches.query)]
            lacks = [f"that {' and '.join(tests)}"]
        if len(lacks) == 1:
            out.append(f"{route.name} asks for {lacks[0]}")
    if not out:
        out.append(f"none of the listener's {_count(len(here), 'route')} comes near")
    more = len(out) - _NEAR
    return [*out[:_NEAR], f"and {more} more"] if more > 0 else out


def _host_holds(hosts: list[str], host: str) -> bool:
    return not hosts or any(host == known or (known.startswith("*.") and host.endswith(known[1:])) for known in hosts)


def _path_holds(condition: plan.PathMatch, path: str) -> bool:
    match condition:
        case plan.PathPrefix(value=value):
            return path == value or path.startswith(value if value.endswith("/") else f"{value}/")
        case plan.PathExact(value=value):
            return path == value
        case plan.PathRegex():
            return False  # only the engine reads its patterns


def _path_text(condition: plan.PathMatch) -> str:
    match condition:
        case plan.PathPrefix(value=value):
            return f"a path below {value}"
        case plan.PathExact(value=value):
            return f"the path {value}"
        case plan.PathRegex(value=value):
            return f"a path with {value} in it"
