"""Listening sockets that came with the process: from systemd, or from the process that this one takes over from.

Knows: `LISTEN_FDS`, how sockets tell their addresses, which listener is meant.
Never: the engine, what a listener serves.
"""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Final, NamedTuple, Protocol

from tidegate.errors import TidegateError

FIRST: Final = 3
"""The first descriptor of sd_listen_fds(3)."""


class InheritError(TidegateError):
    """Sockets came that no listener is for, or that are none."""


class Wanted(Protocol):
    """A listener of the plan."""

    @property
    def name(self) -> str:
        """As the configuration calls it."""

    @property
    def address(self) -> str:
        """Where it is to listen: `1.2.3.4:80`, `[::1]:80`, `unix:/path`."""


class Came(NamedTuple):
    """The sockets of one listener."""

    name: str
    """Of the listener; empty where nobody said."""
    wanted: str
    """The address that the listener was configured with; empty where nobody said."""
    bound: str
    """Where they listen."""
    descriptors: list[int]
    ours: bool = False
    """Whether a socket file is Tidegate's to remove; systemd removes its own."""


class Matched(NamedTuple):
    """What came, by listener."""

    listeners: dict[int, Came]
    left: list[Came]


def activated(environ: MutableMapping[str, str] = os.environ) -> list[Came]:
    """What systemd hands in (sd_listen_fds(3)); takes the variables out, so that no child thinks they are for it.

    Raises InheritError for a descriptor that does not listen for streams.
    """
    told = {name: environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES")}
    if told["PID"] != str(os.getpid()) or not told["FDS"].isdigit():
        return []
    names = told["FDNAMES"].split(":") if told["FDNAMES"] else []
    grouped: dict[tuple[str, str], Came] = {}
    for at in range(int(told["FDS"])):
        descriptor = FIRST + at
        name = names[at] if at < len(names) else ""
        label = f"descriptor {descriptor} of socket activation" + (f" (`{name}`)" if name else "")
        bound = where(descriptor, label)
        # Several that share a port are one listener's.
        grouped.setdefault((name, bound), Came(name, "", bound, [])).descriptors.append(descriptor)
    return list(grouped.values())


def where(descriptor: int, label: str) -> str:
    """The address that a socket listens on; from now on it is closed in children. Raises InheritError."""
    try:
        os.set_inheritable(descriptor, False)
        with socket.socket(fileno=descriptor) as found:
            try:
                listens = found.type == socket.SOCK_STREAM and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                address = found.getsockname()
            finally:
                found.detach()
    except OSError as error:
        raise InheritError(f"{label} is no socket: {error.strerror}") from error
    if not listens:
        raise InheritError(f"{label} does not listen for streams; use ListenStream= with Accept=no")
    if isinstance(address, tuple):
        return show(address[0].partition("%")[0], address[1])
    return f"unix:{os.fsdecode(address)}"


def show(ip: str, port: int) -> str:
    """`1.2.3.4:80` or `[::1]:80`, the shortest way to write it."""
    with contextlib.suppress(ValueError):
        ip = str(ipaddress.ip_address(ip))
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def match(listeners: Sequence[Wanted], came: Iterable[Came]) -> Matched:
    """By name, then by address; each listener takes the sockets of one entry."""
    taken: dict[int, Came] = {}
    left = list(came)
    for means in (_by_name, _by_address):
        for entry in list(left):
            at = next((at for at, one in enumerate(listeners) if at not in taken and means(one, entry)), None)
            if at is not None:
                taken[at] = entry
                left.remove(entry)
    return Matched(taken, left)


def refuse(listeners: Sequence[Wanted], left: Sequence[Came]) -> InheritError:
    """What to say of sockets that systemd handed in for nobody."""
    sockets = ", ".join(f"{entry.bound}" + (f" (`{entry.name}`)" if entry.name else "") for entry in left)
    known = ", ".join(f"{one.address} (`{one.name}`)" for one in listeners)
    return InheritError(
        f"socket activation: no listener is for {sockets}; the configuration listens on {known}: give the listener that"
        " address, or its name with FileDescriptorName="
    )


def close(came: Iterable[Came]) -> None:
    """Closes the descriptors that came; who took sockets over has copies."""
    for entry in came:
        for descriptor in entry.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _by_name(listener: Wanted, entry: Came) -> bool:
    return bool(entry.name) and listener.name == entry.name and entry.wanted in ("", listener.address)


def _by_address(listener: Wanted, entry: Came) -> bool:
    return listener.address == entry.bound
