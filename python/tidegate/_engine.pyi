"""The engine as Python sees it: one plan in, bound addresses and counters out, hook calls and answers by value.

Everything is thread-safe, and what may take long (`start`, `apply`, `stop`) lets other Python threads run meanwhile.
"""

from typing import final

__all__ = [
    "Call",
    "EngineError",
    "Gateway",
    "PlanRejected",
    "Verdict",
    "check",
    "check_id_token",
    "explain",
    "seal",
    "unseal",
    "version",
]

class PlanRejected(Exception):
    """The engine refuses a plan; `path` is the place in it (`routes[3].action`), empty where it is no plan at all."""

    path: str
    why: str

class EngineError(Exception):
    """The plan is fine and the machine says no: an address in use, no descriptors left. Names listener and reason."""

@final
class Call:
    """One request that waits for a hook's word. Fields are built when they are read; text is latin-1, as it came."""

    @property
    def id(self) -> int: ...
    @property
    def generation(self) -> int:
        """Which plan the request runs under: 1 for that of `start`, one more for each `apply` that was taken."""
    @property
    def hook(self) -> int:
        """Index in that plan's `hooks`."""
    @property
    def hook_name(self) -> str:
        """That hook's name: `module:function`."""
    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def tls_version(self) -> str: ...
    @property
    def tls_cipher(self) -> str: ...
    @property
    def tls_client_subject(self) -> str: ...
    @property
    def tls_client_san(self) -> str: ...
    @property
    def tls_client_verified(self) -> str: ...
    @property
    def sni(self) -> str: ...
    @property
    def client_ip(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def listener(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def about(self) -> str:
        """What the engine itself asks about: the name of a set of keys. Empty for a route's hook."""
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    def header(self, name: str) -> str | None: ...
    @property
    def body(self) -> bytes | None:
        """The whole body where the plan asks for it, else `None`."""

@final
class Verdict:
    """What a hook decided. Without a status the request goes on, with the edits and to the upstream that are named."""

    def __new__(
        cls,
        *,
        set_headers: list[tuple[str, str]] = ...,
        remove_headers: list[str] = ...,
        upstream: str | None = None,
        status: int | None = None,
        response_headers: list[tuple[str, str]] = ...,
        body: bytes = ...,
        reason: str | None = None,
    ) -> Verdict: ...

@final
class Gateway:
    """The running engine: one thread for each worker."""

    def __new__(cls, workers: int) -> Gateway: ...
    def start(self, plan: bytes, inherited: list[tuple[int, list[int]]] = ...) -> list[str]:
        """Binds and serves; bound addresses in the plan's order. Raises PlanRejected, EngineError.

        `inherited`: for a listener (its index in the plan), descriptors of sockets that listen already. They are
        copied, and used instead of binding; a Unix socket's file is left alone until `own` says otherwise.
        """
    def sockets(self) -> list[list[int]]:
        """By listener of the plan in force, its sockets' descriptors: the engine's, open until the next change."""
    def own(self, listeners: list[int]) -> None:
        """Nobody else uses the inherited sockets of these listeners now: their files go when they do."""
    def hand_over(self) -> None:
        """Another process accepts from the same sockets: like `drain`, admin listeners too, kinder to idle ones."""
    def apply(self, plan: bytes) -> list[str]:
        """Swaps the plan under traffic. The old one stays when it raises PlanRejected or EngineError."""
    def drain(self) -> None:
        """Stops accepting (admin listeners go on) and closes idle connections. Returns at once."""
    def workers(self) -> tuple[int, bool]:
        """Milliseconds since the slowest worker last turned (it does every 50), and whether one has given up."""
    def book(self, taken: list[tuple[str, int, int]]) -> None:
        """Books on accounts what another process's calls took: name, moment (ms since 1970), amount in its unit."""
    def connections(self) -> int:
        """Open client connections, those of admin listeners apart."""
    def stop(self) -> None:
        """Cuts what is left and waits for the workers to end."""
    def reopen_logs(self) -> None: ...
    def stats(self) -> bytes:
        """JSON, in the shape that `tidegate.stats.EngineStats` describes."""
    def metrics(self) -> bytes:
        """Prometheus text."""
    def cache_purge(self, what: str, value: bytes, soft: bool) -> bool | None:
        """Forgets (`what` is key, prefix, host, tag or all), or counts as stale; None: this plan keeps nothing."""
    def cache_get(self, text: bytes) -> bytes | None:
        """What is kept under a key's text, as JSON; None where nothing is."""
    def set_keys(self, name: str, jwks: bytes) -> tuple[int, list[str]] | None:
        """Keys that were fetched for a set: how many can be used, and why others can't; `None` where the plan has no
        such set. Raises ValueError where none can be used, and the keys before them stay."""
    def keys_failed(self, name: str) -> None:
        """A set's keys could not be fetched."""
    def calls_fd(self) -> int:
        """A descriptor that is readable while calls wait. It is only to be waited for: `take_calls` reads it."""
    def take_calls(self, most: int) -> list[Call]:
        """Up to `most` waiting calls, oldest first; never blocks."""
    def answer(self, answers: list[tuple[int, Verdict | None]]) -> None:
        """Answers by call id; `None` lets the request pass. Answers that come too late are dropped."""
    def fail(self, failures: list[tuple[int, str]]) -> None:
        """Calls that ended without an answer, and why: the hook's `on_failure` decides."""

def check(plan: bytes) -> None:
    """Raises PlanRejected for everything that `start` would refuse, except binding."""

def explain(plan: bytes, listener: int, method: str, url: str, headers: list[tuple[str, str]]) -> bytes:
    """What would happen to a request, as JSON. Raises PlanRejected."""

def seal(secret: str, purpose: str, content: bytes) -> str:
    """Seals what a browser carries, in the characters of base64url."""

def unseal(secret: str, purpose: str, text: str) -> bytes | None:
    """What was sealed with this secret for this purpose; None for anything else."""

def check_id_token(jwks: bytes, token: str, issuer: str, client_id: str, now: int) -> bytes:
    """The claims of an ID token as JSON; raises ValueError with the reason where it is none."""

def version() -> str: ...
