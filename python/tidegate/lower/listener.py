"""Listeners: addresses, names, and who may have which port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tidegate import plan
from tidegate.lower.address import bind
from tidegate.lower.own import own_route
from tidegate.lower.tls import lower_tls
from tidegate.lower.work import each
from tidegate.model import defaults
from tidegate.model.listener import Listener

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["lower_admin", "lower_listeners", "redirect_routes", "redirecting"]

CONTROL = "control"
_ANY = frozenset(("::", "0.0.0.0"))  # noqa: S104 — compared, not bound


def lower_listeners(work: Work) -> None:
    """The listeners of the configuration, in its order."""
    for index, written in enumerate(work.config.listeners):
        path: Path = ("listeners", index)
        entry = Listener(address=written) if isinstance(written, str) else written
        inner = path if isinstance(written, str) else (*path, "address")
        address = bind(entry.address, inner, work)
        _add(
            work,
            plan.Listener(
                name=entry.name or entry.address,
                address=address,
                proxy_protocol=entry.proxy_protocol,
                http2=entry.http2,
                admin=False,
                tls=lower_tls(entry.tls, (*path, "tls"), work),
                tcp=None,
            ),
            inner,
            named=entry.name is not None,
        )
        if entry.tls is not None and entry.redirect_https is not False:
            work.error(
                (*path, "redirect_https"), "what comes here comes by TLS already", "leave `tls` or `redirect_https` out"
            )
        if entry.proxy_protocol and not work.config.server.trusted_proxies:
            work.error(
                (*path, "proxy_protocol"),
                "`proxy_protocol` without `server.trusted_proxies` would refuse every connection",
                "list the balancers: `server: {trusted_proxies: [10.0.0.0/8]}`",
            )
    if work.orders:
        from tidegate.lower.acme import look_over_challenges

        look_over_challenges(work)
    if not work.listeners:
        work.error((), "there is no listener", 'add `listeners: [":8080"]`')


def redirect_routes(work: Work) -> list[plan.Route]:
    """A route for each listener that only sends to TLS; routes that name the listener come first."""
    routes = []
    for index, entry in enumerate(work.config.listeners):
        if isinstance(entry, Listener) and entry.redirect_https is not False:
            port = 443 if entry.redirect_https is True else entry.redirect_https
            name = f"redirect:{work.listeners[index].name}"
            routes.append(
                own_route(work, [index], name, plan.PathPrefix(value="/"), plan.Https(port=port), logged=True)
            )
    return routes


def redirecting(work: Work) -> set[int]:
    """The listeners that only send to TLS."""
    written = enumerate(work.config.listeners)
    return {index for index, entry in written if isinstance(entry, Listener) and entry.redirect_https is not False}


def lower_admin(work: Work, control_socket: str | None) -> list[int]:
    """The admin listeners; their indices."""
    first = len(work.listeners)
    if control_socket is not None:
        work.listeners.append(
            plan.Listener(
                name=CONTROL,
                address=plan.AddressUnix(path=control_socket),
                proxy_protocol=False,
                http2=True,
                admin=True,
                tls=None,
                tcp=None,
            )
        )
        work.listener_paths.append(("state",))
    written = work.config.admin
    if not isinstance(written, bool) or written:
        for text, path in each(defaults.ADMIN_ADDRESS if isinstance(written, bool) else written, ("admin",)):
            address = bind(text, path, work)
            made = plan.Listener(
                name=text, address=address, proxy_protocol=False, http2=True, admin=True, tls=None, tcp=None
            )
            _add(work, made, path)
            if isinstance(address, plan.AddressIp) and not address.ip.startswith("127.") and address.ip != "::1":
                work.warn(
                    path,
                    f"whoever reaches `{text}` sees the configuration and the metrics",
                    "bind 127.0.0.1 or a Unix socket, or guard it by a firewall",
                )
    return list(range(first, len(work.listeners)))


def _add(work: Work, listener: plan.Listener, path: Path, *, named: bool = False) -> None:
    """Takes a listener in. Several may ask for port 0 of one address; a number tells names apart that nobody gave."""
    same = sum(other.address == listener.address and _any_port(other) for other in work.listeners)
    if same and not named:
        listener = msgspec.structs.replace(listener, name=f"{listener.name}#{same + 1}")
    for index, other in enumerate(work.listeners):
        if _overlap(listener.address, other.address):
            there = work.place(work.listener_paths[index])
            wide = "" if listener.address == other.address else f" by `{other.name}`"
            work.error(path, f"`{listener.name}` is already taken{wide} at {there}", "keep one of them")
            break
        if listener.name == other.name:
            there = work.place(work.listener_paths[index])
            work.error(
                path, f"`{listener.name}` is already the name of the listener at {there}", "give it another `name`"
            )
            break
    work.listeners.append(listener)
    work.listener_paths.append(path)


def _any_port(listener: plan.Listener) -> bool:
    return isinstance(listener.address, plan.AddressIp) and listener.address.port == 0


def _overlap(one: plan.Address, other: plan.Address) -> bool:
    if isinstance(one, plan.AddressIp) and isinstance(other, plan.AddressIp):
        if one.port != other.port or one.port == 0:
            return False
        return one.ip == other.ip or (one.ip in _ANY and other.ip in _ANY)
    return one == other
