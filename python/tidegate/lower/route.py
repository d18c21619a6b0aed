"""Routes: conditions, stages, action, in the order of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.load.problems import closest
from tidegate.lower.auth import lower_access, lower_auth
from tidegate.lower.cache import lower_cache
from tidegate.lower.cors import cors_edits, lower_cors
from tidegate.lower.headers import lower_edits
from tidegate.lower.hook import lower_hook
from tidegate.lower.limit import lower_route_limits
from tidegate.lower.listener import redirecting
from tidegate.lower.match import lower_match
from tidegate.lower.server import max_body
from tidegate.lower.tcp import is_tcp
from tidegate.lower.template import Captures, captures_of, replacement, template
from tidegate.lower.upstream import lower_retry, lower_timeouts
from tidegate.lower.work import each
from tidegate.model.route import Redirect, Respond

if TYPE_CHECKING:
    from tidegate.lower.ai.whole import AiLowering
    from tidegate.lower.upstream import Upstreams
    from tidegate.lower.work import Path, Work
    from tidegate.model.route import Rewrite, Route

__all__ = ["lower_routes"]

_ACTIONS = ("upstream", "ai", "redirect", "respond", "builtin")
_TEXT = "text/plain; charset=utf-8"


def lower_routes(work: Work, upstreams: Upstreams, ai: AiLowering | None) -> list[plan.Route]:
    """All routes; what is wrong is noted."""
    names = _names(work)
    limits, caps = lower_route_limits(work, names)
    elsewhere = redirecting(work)
    everywhere = [index for index in range(len(work.listeners)) if index not in elsewhere and not is_tcp(work, index)]
    by_name: dict[str, int] = {}
    for index, listener in enumerate(work.listeners):
        by_name[listener.name] = index
    out = []
    for index, route in enumerate(work.config.routes):
        path: Path = ("routes", index)
        listeners = _listeners(route, path, by_name, work) if route.listeners else everywhere
        made = _route(route, path, names[index], listeners, (upstreams, ai), work, (limits[index], caps[index]))
        out.append(made)
        _warn(route, made, path, work)
    _warn_shadowed(out, work)
    return out


def _route(
    route: Route,
    path: Path,
    name: str,
    listeners: list[int],
    rooms: tuple[Upstreams, AiLowering | None],
    work: Work,
    counts: tuple[list[int], list[int]],
) -> plan.Route:
    matches = lower_match(route.match, (*path, "match"), work)
    wildcard = any(host.startswith("*.") for host in matches.hosts)
    captures = captures_of(route.match.regex, wildcard)
    hook = lower_hook(route.hook, (*path, "hook"), work) if route.hook is not None else None
    upstreams = rooms[0]
    action = _action(route, path, rooms, work, captures)
    upstream = action.upstream if isinstance(action, plan.Forward) else None
    paths = (path, work.upstream_paths[upstream] if upstream is not None and work.upstream_paths else path)
    body = work.config.server.max_body if route.max_body is None else route.max_body
    body_path = ("server", "max_body") if route.max_body is None else (*path, "max_body")
    return plan.Route(
        name=name,
        listeners=listeners,
        matches=matches,
        access=lower_access(route.access, (*path, "access"), work) if route.access is not None else None,
        auth=lower_auth(route.auth, (*path, "auth"), work, upstreams) if route.auth is not None else None,
        cors=lower_cors(route.cors, route, (*path, "cors"), work) if route.cors is not None else None,
        limits=counts[0],
        concurrency=counts[1],
        hook=hook,
        body_bytes=max_body(body, body_path, work),
        rewrite=_rewrite(route.rewrite, route, (*path, "rewrite"), work, captures)
        if route.rewrite is not None
        else None,
        request_headers=lower_edits(route.headers.request, (*path, "headers", "request"), work, captures, request=True),
        response_headers=cors_edits(route.cors)
        + lower_edits(route.headers.response, (*path, "headers", "response"), work, captures, request=False),
        timeouts=lower_timeouts(route.timeouts, upstreams.timeouts(upstream), paths, work),
        retry=lower_retry(route.retry, upstreams.retry(upstream), paths, work),
        cache=lower_cache(route, name, (*path, "cache"), work),
        access_log=route.access_log,
        action=action,
    )


def _action(
    route: Route, path: Path, rooms: tuple[Upstreams, AiLowering | None], work: Work, captures: Captures
) -> plan.Action:
    given = [key for key in _ACTIONS if getattr(route, key) not in (None, False)]
    if len(given) > 1:
        place = work.where.key_place((*path, given[1]))
        work.problems.error_at(place, f"`{given[0]}` and `{given[1]}` both answer", "keep one of them")
    if route.upstream is not None:
        return plan.Forward(upstream=rooms[0].index(route.upstream, (*path, "upstream")))
    if route.ai not in (None, False):
        assert rooms[1] is not None, "it is there where a route asks for it"
        return rooms[1].route(route, path)
    if route.redirect is not None:
        return _redirect(route.redirect, (*path, "redirect"), work, captures)
    if route.respond is not None:
        return _respond(route.respond, (*path, "respond"), work, captures)
    if route.builtin is not None:
        return plan.Builtin(name=route.builtin)
    if route.hook is None:
        work.error(path, "nothing answers here", "add `upstream`, `ai`, `redirect`, `respond`, `builtin` or `hook`")
    return plan.HookAction()


def _redirect(written: str | Redirect, path: Path, work: Work, captures: Captures) -> plan.Redirect:
    entry = Redirect(to=written) if isinstance(written, str) else written
    at = path if isinstance(written, str) else (*path, "to")
    location = template(entry.to, at, work, captures)
    if not entry.to or (location and _is_relative(location[0])):
        work.error(at, f"`{entry.to}` is neither a URL nor a path", f"write `https://{entry.to}` or `/{entry.to}`")
    return plan.Redirect(status=entry.status, location=location)


def _is_relative(part: plan.TemplatePart) -> bool:
    return isinstance(part, plan.Text) and not (part.value.startswith("/") or ":" in part.value)


def _respond(written: int | Respond, path: Path, work: Work, captures: Captures) -> plan.Respond:
    if isinstance(written, int):
        if not 200 <= written <= 599:
            work.error(path, f"{written} is not the status of an answer", "write 200 to 599")
        return plan.Respond(status=written, content_type="", body=[])
    body = template(written.body, (*path, "body"), work, captures, lines=True)
    if body and written.status in (204, 304):
        work.error(
            (*path, "body"), f"an answer of status {written.status} has no body (RFC 9110 §6.4.1)", "leave it out"
        )
    kind = written.content_type if written.content_type is not None else (_TEXT if body else "")
    if any(char in kind for char in "\r\n\0"):
        work.error((*path, "content_type"), "a line end or NUL would split the head", "write it in one line")
    return plan.Respond(status=written.status, content_type=kind, body=body)


def _rewrite(written: Rewrite, route: Route, path: Path, work: Work, captures: Captures) -> plan.Rewrite:
    given = [key for key in ("path", "prefix", "regex") if getattr(written, key) is not None]
    if len(given) > 1:
        work.error((*path, given[1]), f"`{given[0]}` and `{given[1]}` are both here", "keep one of them")
    if (written.regex is None) != (written.with_ is None):
        missing = "with" if written.regex is not None else "regex"
        work.error(path, f"`{missing}` is missing", "write `regex: PATTERN` and `with: TEXT` together")
    made: plan.PathRewrite | None = None
    if written.path is not None:
        if not written.path.startswith(("/", "${")):
            work.error((*path, "path"), f"`{written.path}` does not begin with `/`", f"write `/{written.path}`")
        made = plan.RewriteTemplate(template=template(written.path, (*path, "path"), work, captures))
    elif written.prefix is not None:
        made = _prefix(written.prefix, route, path, work)
    elif written.regex is not None and written.with_ is not None:
        text = replacement(written.with_, written.regex, (*path, "with"), work)
        made = plan.RewriteRegex(pattern=written.regex, with_=text)
    if not given and written.with_ is None and written.host is None and written.query is None:
        work.error(path, "this rewrites nothing", "add `path`, `prefix`, `regex` and `with`, `host` or `query`")
    host = None if written.host is None else template(written.host, (*path, "host"), work, captures)
    if host == [] and not written.host:
        work.error((*path, "host"), "the host is empty", "write a name, or leave it out to keep the client's")
    query = (
        None if written.query is None else template(written.query.removeprefix("?"), (*path, "query"), work, captures)
    )
    return plan.Rewrite(path=made, host=host, query=query)


def _prefix(text: str, route: Route, path: Path, work: Work) -> plan.RewritePrefix:
    if not text.startswith("/"):
        work.error((*path, "prefix"), f"`{text}` does not begin with `/`", f"write `/{text}`")
    if route.match.exact is not None or route.match.regex is not None:
        key = "exact" if route.match.exact is not None else "regex"
        right = "write `path: …`, or match by `path`"
        work.error((*path, "prefix"), f"there is no prefix to replace: the route matches by `{key}`", right)
    return plan.RewritePrefix(with_=text)


def _listeners(route: Route, path: Path, by_name: dict[str, int], work: Work) -> list[int]:
    out: list[int] = []
    for name, at in each(route.listeners, (*path, "listeners")):
        index = by_name.get(name)
        if index is None:
            meant = closest(name, list(by_name))
            right = (
                f"did you mean `{meant}`?"
                if meant
                else "the listeners are " + ", ".join(f"`{known}`" for known in by_name)
            )
            work.error(at, f"no listener is called `{name}`", right)
        elif is_tcp(work, index):
            work.error(at, f"`{name}` passes connections on, it serves no routes", "name a listener without `protocol`")
        elif index not in out:
            out.append(index)
    return out


def _names(work: Work) -> list[str]:
    """The name of every route: as written, else made of host and path and a number where that is taken."""
    seen: dict[str, int] = {}
    for index, route in enumerate(work.config.routes):
        if route.name is None:
            continue
        path: Path = ("routes", index, "name")
        if not route.name or not route.name.isprintable() or route.name.startswith("admin:"):
            right = (
                "write a short word"
                if not route.name.startswith("admin:")
                else "leave out `admin:`, which is Tidegate's own"
            )
            work.error(path, f"`{route.name}` cannot be a name", right)
        elif route.name in seen:
            there = work.place(("routes", seen[route.name], "name"))
            work.error(path, f"`{route.name}` is already the name of the route at {there}", "give it another")
        seen.setdefault(route.name, index)
    names = []
    counts: dict[str, int] = {}
    for index, route in enumerate(work.config.routes):
        if route.name is not None:
            names.append(route.name)
            continue
        base = name = _made_name(route)
        while name in seen:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}#{counts[base]}"
        seen[name] = index
        names.append(name)
    return names


def _made_name(route: Route) -> str:
    match = route.match
    hosts = [match.host] if isinstance(match.host, str) else match.host
    path = match.path or match.exact or (f"~{match.regex}" if match.regex else "/")
    return (hosts[0].lower() if hosts else "") + path


def _warn(route: Route, made: plan.Route, path: Path, work: Work) -> None:
    if made.auth is None:
        keys = {
            "limit": [part for index in made.limits for part in work.limits[index].key],
            "concurrency": [part for index in made.concurrency for part in work.concurrency[index].key],
        }
        for key, parts in keys.items():
            if plan.ApiKeyPart() in parts:
                work.warn(
                    (*path, key),
                    "`api_key` counts everybody as one where there is no `auth`",
                    "add `auth`, or count by `client_ip`",
                )
    if route.rewrite is not None and not isinstance(made.action, (plan.Forward, plan.HookAction)):
        work.warn((*path, "rewrite"), "nothing is sent upstream from here, so nothing is rewritten", "leave it out")


def _warn_shadowed(routes: list[plan.Route], work: Work) -> None:
    """Warns of routes whose every request an earlier route of the very same conditions takes."""
    seen: dict[tuple[object, ...], list[int]] = {}
    for index, route in enumerate(routes):
        matches = route.matches
        key = (
            matches.path,
            frozenset(matches.methods),
            frozenset((test.name.lower(), test.test) for test in matches.headers),
            frozenset((test.name, test.test) for test in matches.query),
        )
        for earlier in seen.setdefault(key, []):
            other = routes[earlier]
            same_hosts = set(matches.hosts) <= set(other.matches.hosts) if matches.hosts else not other.matches.hosts
            if same_hosts and set(route.listeners) <= set(other.listeners):
                there = work.place(("routes", earlier))
                work.warn(
                    ("routes", index), f"this never comes: the route at {there} matches the same", "leave one out"
                )
                break
        seen[key].append(index)
