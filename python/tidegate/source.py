"""From what the command line names to a plan with its functions: found, loaded, lowered, resolved.

Knows: files, flags, the loader, the lowering.
Never: the engine, the running process.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidegate.ai.background import AiBackground, wanted
from tidegate.errors import ConfigError, ConfigErrors, Place
from tidegate.inherit import show
from tidegate.key_sets import wanted as wanted_keys
from tidegate.machine import no_collection
from tidegate.oidc import logins_of
from tidegate.resolve import Function, HookError, Resolver
from tidegate.state import directory, kept_keys
from tidegate.watch import digest

if TYPE_CHECKING:
    from tidegate.key_sets import Wanted
    from tidegate.load import Loaded
    from tidegate.lower.acme import Order
    from tidegate.plan import Address, Oidc, Plan

DISCOVERED: Final = ("tidegate.yaml", "/etc/tidegate/tidegate.yaml")
"""Where a configuration is looked for when none is named."""

WELCOME: Final = (
    "Tidegate is running. Nothing is configured yet: write tidegate.yaml, or run\n"
    "  tidegate run --listen :8080 --to http://127.0.0.1:3000\n"
)


class PlanListener(NamedTuple):
    """One listener of a plan, in the plan's order."""

    name: str
    admin: bool
    unix: bool
    control: bool
    address: str
    """As configured, in the form that sockets tell theirs: `1.2.3.4:80`, `[::1]:80`, `unix:/path`."""


class ShownCertificate(NamedTuple):
    """One certificate of a listener, for status."""

    listener: str
    name: str
    names: list[str]
    not_after_s: int


class Compiled(NamedTuple):
    """A configuration, ready to run."""

    plan: bytes
    functions: list[Function]
    hook_timeouts_ms: list[int]
    listeners: list[PlanListener]
    workers: int
    drain_s: float
    routes: int
    files: list[str]
    summary: str
    warnings: list[str]
    place: Callable[[str], Place]
    certificates: list[ShownCertificate] = []  # noqa: RUF012 — a tuple's default, which nobody changes
    journal: str | None = None
    """Where usage records go."""
    key_sets: "Sequence[Wanted]" = ()
    """Keys that are fetched."""
    logins: "Mapping[str, Oidc]" = MappingProxyType({})
    """Logins at OpenID providers."""
    ai: "Loaded | None" = None
    """The configuration itself where it has an AI part: keys change without it."""
    orders: "list[Order]" = []  # noqa: RUF012 — a tuple's default, which nobody changes
    """Certificates that are to be had by ACME."""
    trust: str = ""
    """What the files with authorities, certificates and keys hold that the plan names, digested."""

    def dressed(self, dress: "Callable[[Plan, Sequence[Order]], Plan]") -> "Compiled":
        """The same with another plan made of it, which has the same listeners."""
        from tidegate import plan as form

        made = dress(form.decode(self.plan), self.orders)
        return self._replace(plan=form.encode(made), certificates=_shown(made))

    def rejected(self, path: str, why: str) -> ConfigErrors:
        """The engine's refusal of this plan, at the place in the configuration that it comes from."""
        return ConfigErrors([ConfigError.at(self.place(path), why)])


class Source:
    """Where the configuration comes from; read anew for each reload."""

    def __init__(
        self,
        config: str | None = None,
        *,
        listen: Sequence[str] = (),
        to: Sequence[str] = (),
        admin: str | None = None,
        workers: int | None = None,
    ) -> None:
        self.config = discover() if config is None and not to else config
        self._listen = list(listen)
        self._to = list(to)
        self._admin = admin
        self._workers = workers

    @property
    def name(self) -> str:
        """As messages call it."""
        return self.config or ("the command line" if self._to else "the built-in defaults")

    @property
    def folder(self) -> str:
        """Where the configuration stands, and its hooks beside it."""
        return os.path.dirname(os.path.abspath(self.config)) if self.config else os.getcwd()

    @property
    def absolute(self) -> str | None:
        """The file's absolute path; None where there is no file."""
        return os.path.abspath(self.config) if self.config else None

    def load(self) -> "Loaded":
        """The configuration; raises ConfigErrors."""
        from tidegate.load import from_flags, load

        if self.config is not None:
            return load(self.config, listen=self._listen, admin=self._admin, workers=self._workers)
        if self._to:
            return from_flags(self._listen, self._to, self._admin, self._workers)
        return _welcome(from_flags(self._listen or ["127.0.0.1:8080"], [], self._admin, self._workers))

    def compile(
        self, resolver: Resolver, control: str | None, state: str | None = None, ai: AiBackground | None = None
    ) -> Compiled:
        """Loads, lowers and resolves; raises ConfigErrors with all that is wrong."""
        with no_collection():
            return self.lower(self.load(), resolver, control, state, ai)

    def lower(
        self,
        loaded: "Loaded",
        resolver: Resolver,
        control: str | None,
        state: str | None = None,
        ai: AiBackground | None = None,
    ) -> Compiled:
        """The second half of `compile`; `ai` has the keys and sums that are kept beside the configuration."""
        from tidegate.lower import lower

        store = ai.prepare() if ai is not None and wanted(loaded.config) else None
        try:
            lowered = lower(
                loaded.config,
                loaded.where,
                control_socket=control,
                ai_store=store,
                state=state,
                kept_keys=partial(kept_keys, state),
            )
        finally:
            if store is not None:
                store.close()

        ready = self._ready(lowered.plan, lowered.bytes, loaded.config.workers, resolver, control, lowered.paths.place)
        files = [str(file) for file in loaded.files]
        return ready._replace(
            files=[
                *files,
                *_globs(loaded),
                *sorted({*lowered.files, *resolver.files}),
                *_trust_files(lowered.plan),
            ],
            ai=loaded if lowered.plan.ai is not None else None,
            warnings=[str(warning) for warning in lowered.warnings],
            orders=lowered.orders,
        )

    def revive(self, data: bytes, about: Mapping[str, Any], resolver: Resolver, control: str | None) -> Compiled:
        """A plan that was kept, listening for control where this process does; raises ConfigErrors."""
        import msgspec

        from tidegate import plan as form

        def place(path: str) -> Place:
            return Place(f"the last good plan, {path}" if path else "the last good plan")

        try:
            plan = form.decode(data)
        except msgspec.MsgspecError as error:
            raise ConfigErrors([ConfigError.at(place(""), f"it is of another version: {error}")]) from error
        if about.get("config") != self.absolute:
            told = f"it was made from {about.get('config') or 'flags'}, not from {self.name}"
            raise ConfigErrors([ConfigError.at(place(""), told)])
        before = form.AddressUnix(path=about["control"])
        for at, listener in enumerate(plan.listeners):
            if control is not None and listener.address == before:
                plan.listeners[at] = msgspec.structs.replace(listener, address=form.AddressUnix(path=control))
        workers = self._workers if self._workers is not None else int(about.get("workers", 0))
        ready = self._ready(plan, form.encode(plan), workers, resolver, control, place)
        return ready._replace(files=[self.config] if self.config else [])

    def state(self, loaded: "Loaded | None", override: str | None) -> tuple[str, bool]:
        """Where state is kept, and whether somebody chose it; without a configuration, from what of it can be read."""
        return directory(override or (loaded.config.state if loaded is not None else self._state_as_written()))

    def admin_addresses(self) -> list[str]:
        """Where the configuration has the admin API answer, beside the control socket; raises ConfigErrors."""
        from tidegate.lower import lower
        from tidegate.plan import AddressIp

        loaded = self.load()
        plan = lower(loaded.config, loaded.where).plan
        wide = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 — replaced, not bound
        return [
            _address(listener.address)
            if not isinstance(listener.address, AddressIp)
            else show(wide.get(listener.address.ip, listener.address.ip), listener.address.port)
            for listener in plan.listeners
            if listener.admin
        ]

    def _state_as_written(self) -> str | None:
        """The value of `state:` in a file that may be wrong everywhere else; None where it says nothing."""
        if self.config is None:
            return None
        from tidegate.load.environment import EnvironmentError_, expand, unescape
        from tidegate.load.include import read
        from tidegate.load.problems import Problems
        from tidegate.load.tree import Scalar

        root = read(Path(self.config), Problems(), os.environ, [])
        _, node = root.entries.get("state", (None, None)) if root is not None else (None, None)
        if not isinstance(node, Scalar) or not node.text:
            return None
        try:
            return os.path.join(node.source.directory, unescape(expand(node.text, os.environ)))
        except EnvironmentError_:
            return None

    def _ready(
        self,
        plan: "Plan",
        data: bytes,
        workers: int,
        resolver: Resolver,
        control: str | None,
        place: Callable[[str], Place],
    ) -> Compiled:
        try:
            functions = resolver.resolve([hook.name for hook in plan.hooks])
        except HookError as error:
            at = next(index for index, hook in enumerate(plan.hooks) if hook.name == error.name)
            raise ConfigErrors([ConfigError.at(place(f"hooks[{at}]"), str(error))]) from error
        listeners = [
            PlanListener(
                listener.name,
                listener.admin,
                unix := getattr(listener.address, "path", None) is not None,
                unix and listener.admin and getattr(listener.address, "path", None) == control,
                _address(listener.address),
            )
            for listener in plan.listeners
        ]
        routes = sum(any(not listeners[at].admin for at in route.listeners) for route in plan.routes)
        hooks = sum(not function.name.startswith("tidegate.") for function in functions)
        return Compiled(
            plan=data,
            functions=functions,
            hook_timeouts_ms=[hook.timeout_ms for hook in plan.hooks],
            listeners=listeners,
            workers=workers,
            drain_s=plan.server.drain_ms / 1000,
            routes=routes,
            files=[],
            warnings=[],
            summary=f"{_count(routes, 'route')}, {_count(len(plan.upstreams), 'upstream')}, "
            f"{_count(hooks, 'hook')}, a plan of {len(data):,} bytes",
            place=place,
            certificates=_shown(plan),
            logins=logins_of(plan),
            key_sets=list(wanted_keys(plan).values()),
            journal=plan.ai.journal.path if plan.ai is not None and plan.ai.journal is not None else None,
            trust=" ".join(digest(path) for path in _trust_files(plan)),
        )


def _shown(plan: "Plan") -> list[ShownCertificate]:
    return [
        ShownCertificate(listener.name, shown.name, shown.names, shown.not_after_s)
        for listener in plan.listeners
        if listener.tls is not None
        for shown in listener.tls.certificates
    ]


def _trust_files(plan: "Plan") -> list[str]:
    """Files that the engine reads with the plan: authorities, and certificates and keys of our own."""
    told = [upstream.tls for upstream in plan.upstreams if upstream.tls is not None]
    return sorted({path for tls in told for path in (tls.ca, *(tls.client or ())) if path})


def discover() -> str | None:
    """The configuration that is used when none is named; None where there is none."""
    return next((path for path in DISCOVERED if os.path.isfile(path)), None)


def _address(address: "Address") -> str:
    if (path := getattr(address, "path", None)) is not None:
        return f"unix:{path}"
    return show(getattr(address, "ip", ""), getattr(address, "port", 0))


def _globs(loaded: "Loaded") -> list[str]:
    """What `include` finds files by; a new one is noticed, not only a changed one."""
    globs = loaded.config.include
    base = os.path.dirname(os.path.abspath(loaded.files[0])) if loaded.files else ""
    patterns = [globs] if isinstance(globs, str) else globs
    return [os.path.join(base, pattern) for pattern in patterns if "*" in pattern]


def _welcome(loaded: "Loaded") -> "Loaded":
    import msgspec

    from tidegate.model import Respond, Route

    route = Route(name="welcome", respond=Respond(body=WELCOME))
    return loaded._replace(config=msgspec.structs.replace(loaded.config, routes=[route]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
