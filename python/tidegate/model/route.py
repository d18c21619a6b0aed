"""What is matched, and what is done with it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidegate.model.ai.guard import AiRoute
from tidegate.model.auth import Access, Auth
from tidegate.model.cache import Cache
from tidegate.model.cors import Cors
from tidegate.model.hook import Hook
from tidegate.model.limit import Concurrency, Limit
from tidegate.model.noun import Many, Noun, Replacement, TemplateText, about
from tidegate.model.units import Size
from tidegate.model.upstream import Retry, Timeouts


class ValueTest(Noun, frozen=True, kw_only=True):
    """A condition on a value that is more than equality: one of these."""

    present: Annotated[bool | None, about("`true`: it is there; `false`: it is not.")] = None
    exact: Annotated[str | None, about("It is this, to the byte.")] = None
    regex: Annotated[str | None, about("The pattern is found in it.")] = None


class Match(Noun, frozen=True, kw_only=True):
    """All of these must hold; at most one of `path`, `exact` and `regex`."""

    host: Annotated[
        Many,
        about(
            "`api.example.com` or `*.example.com`, one or a list; any host unless given.",
            "api.example.com",
            ["example.com", "*.example.com"],
        ),
    ] = []
    path: Annotated[
        str | None,
        about(
            "A prefix by whole segments: `/v1` takes `/v1` and `/v1/x`, not `/v10`; `/v1/` only what is below.", "/v1/"
        ),
    ] = None
    exact: Annotated[str | None, about("The whole path.", "/robots.txt")] = None
    regex: Annotated[
        str | None,
        about("A regular expression, found anywhere in the path; its groups are variables.", "^/users/(?<id>[0-9]+)$"),
    ] = None
    methods: Annotated[Many, about("Method names; all unless given.", ["GET", "HEAD"])] = []
    headers: Annotated[
        dict[str, str | ValueTest], about("Request headers: a value, or `{present: true}`, `{regex: …}`.")
    ] = {}
    query: Annotated[
        dict[str, str | ValueTest], about("Query parameters: a value, or `{present: true}`, `{regex: …}`.")
    ] = {}


class Edits(Noun, frozen=True, kw_only=True):
    """Edits of header fields: removed first, then set, then added."""

    set: Annotated[dict[str, TemplateText], about("Replaces all lines of that name by one.")] = {}
    add: Annotated[dict[str, TemplateText | list[TemplateText]], about("Adds lines, whatever is there.")] = {}
    remove: Annotated[Many, about("Removes all lines of that name.")] = []


class Headers(Noun, frozen=True, kw_only=True):
    """Edits of header fields, both ways."""

    request: Annotated[Edits, about("Of what the upstream gets.")] = Edits()
    response: Annotated[Edits, about("Of what the client gets.")] = Edits()


class Rewrite(Noun, frozen=True, kw_only=True):
    """What the upstream gets instead of the request's own target and host; at most one of `path`, `prefix`, `regex`."""

    path: Annotated[TemplateText | None, about("The whole path.", "/items/${id}")] = None
    prefix: Annotated[str | None, about("Takes the place of what `match.path` matched.", "/")] = None
    regex: Annotated[str | None, about("Every place where it is found in the path is replaced by `with`.")] = None
    with_: Annotated[Replacement | None, about("What replaces it, with `$1` and `${name}` for groups.")] = (
        msgspec.field(default=None, name="with")
    )
    host: Annotated[TemplateText | None, about("The Host field; the client's unless given.", "api.internal")] = None
    query: Annotated[
        TemplateText | None, about("The whole query without `?`; empty removes it; the client's unless given.")
    ] = None


class Redirect(Noun, frozen=True, kw_only=True):
    """An answer that sends the client elsewhere."""

    to: Annotated[TemplateText, about("The URL.", "https://${host}${request_uri}")]
    status: Annotated[
        Literal[301, 302, 303, 307, 308], about("301 and 308 are remembered by clients, 307 and 308 keep the method.")
    ] = 302


class Respond(Noun, frozen=True, kw_only=True):
    """A fixed answer."""

    status: Annotated[int, Meta(ge=200, le=599, description="200 to 599.")] = 200
    body: Annotated[TemplateText, about("With variables.")] = ""
    content_type: Annotated[
        str | None, about("`text/plain; charset=utf-8` unless given and where there is a body.")
    ] = None


class Route(Noun, frozen=True, kw_only=True):
    """Conditions, stages, and one of `upstream`, `ai`, `redirect`, `respond`, `builtin`, or a `hook` alone."""

    name: Annotated[str | None, about("What logs and metrics call it; made of host and path unless given.")] = None
    listeners: Annotated[Many, about("Names or addresses of the listeners that serve it; all unless given.")] = []
    match: Annotated[Match, about("What it takes; everything unless given.")] = Match()
    access: Annotated[Access | None, about("Who may come by address.")] = None
    auth: Annotated[Auth | None, about("Who may come by credentials.")] = None
    cors: Annotated[Cors | None, about("Which pages of other origins may use it; the upstream says unless given.")] = (
        None
    )
    limit: Annotated[Limit | list[Limit], about("Token buckets, one or a list.")] = []
    concurrency: Annotated[Concurrency | list[Concurrency], about("Caps on requests in flight, one or a list.")] = []
    hook: Annotated[str | Hook | None, about("`module:function` that has a word, or a record.", "policies:check")] = (
        None
    )
    max_body: Annotated[
        Size | bool | None,
        about("A larger request body is refused with 413; `off` for no bound; `server.max_body` unless given."),
    ] = None
    cache: Annotated[
        Cache | bool | None, about("What is kept of its answers: `{}` for what the origin says may be.", {"ttl": "60s"})
    ] = None
    rewrite: Annotated[Rewrite | None, about("What the upstream gets instead.")] = None
    headers: Annotated[Headers, about("Edits of header fields.")] = Headers()
    timeouts: Annotated[Timeouts, about("Waiting times towards the upstream.")] = Timeouts()
    retry: Annotated[Retry | bool, about("When a failed attempt is followed by another; `off` for never.")] = Retry()
    access_log: Annotated[bool, about("Whether its requests are logged.")] = True
    upstream: Annotated[
        Many | None, about("The name of an upstream, a URL, or a list of URLs.", "api", "http://127.0.0.1:3000")
    ] = None
    ai: Annotated[AiRoute | bool | None, about("The AI surfaces answer below `match.path`: `{}`, or a record.", {})] = (
        None
    )
    redirect: Annotated[TemplateText | Redirect | None, about("A URL, or a record.")] = None
    respond: Annotated[int | Respond | None, about("A status, or a record.", 204)] = None
    builtin: Annotated[
        Literal["healthz", "readyz", "metrics", "not_found"] | None, about("Something that the engine itself answers.")
    ] = None
