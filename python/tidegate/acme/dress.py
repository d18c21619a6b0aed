"""A plan with what ACME has: certificates that came, what stands in for others, proofs that an authority asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tidegate import plan
from tidegate.lower.acme import PLACEHOLDER, ROUTE, placeholder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidegate.acme.store import Kept
    from tidegate.lower.acme import Order

WELL_KNOWN = "/.well-known/acme-challenge/"
"""RFC 8555 section 8.3."""


class Proof(NamedTuple):
    """What an authority that asks for a domain is shown, for as long as it may ask."""

    domain: str
    token: str
    content: str
    """Of HTTP-01: the key authorisation; empty otherwise."""
    certificate: plan.Certificate | None
    """Of TLS-ALPN-01."""


def dress(
    bare: plan.Plan, orders: Sequence[Order], kept: Mapping[str, Kept], proofs: Mapping[str, Sequence[Proof]]
) -> plan.Plan:
    """The plan with all that is there now, by orders' names, and nothing of what was there before."""
    listeners = list(bare.listeners)
    for at, listener in enumerate(listeners):
        if listener.tls is None:
            continue
        mine = [order for order in orders if at in order.listeners]
        ours = {name for order in mine for name in (order.name, order.name + PLACEHOLDER)}
        certificates = [one for one in listener.tls.certificates if one.name not in ours]
        for order in mine:
            certificates += _certificates(order, kept.get(order.name))
        challenges = [
            proof.certificate for order in mine for proof in proofs.get(order.name, ()) if proof.certificate is not None
        ]
        tls = msgspec.structs.replace(listener.tls, certificates=certificates, challenges=challenges)
        listeners[at] = msgspec.structs.replace(listener, tls=tls)
    plain = [at for at, one in enumerate(listeners) if one.tls is None and one.tcp is None and not one.admin]
    routes = [route for route in bare.routes if route.name != ROUTE]
    for order in orders if plain else ():
        files = [proof for proof in proofs.get(order.name, ()) if proof.certificate is None]
        routes += [_route(order.route, proof, plain) for proof in files if order.route is not None]
    return msgspec.structs.replace(bare, listeners=listeners, routes=routes)


def _certificates(order: Order, kept: Kept | None) -> list[plan.Certificate]:
    """What an order has: its certificate, also an old one for other names, and a stand-in for the rest."""
    names = [] if kept is None else [name for name in kept.names if name in order.domains]
    made = []
    if kept is not None and names:
        made.append(
            plan.Certificate(
                name=order.name,
                names=names,
                chain=kept.chain,
                key=kept.key,
                ocsp="",
                not_after_s=int(kept.term.until_s),
            )
        )
    if rest := tuple(domain for domain in order.domains if domain not in names):
        made.append(placeholder(order.name, rest))
    return made


def _route(form: plan.Route, proof: Proof, listeners: list[int]) -> plan.Route:
    """Its host and its path are named whole, so that it goes before every other route (and before redirects)."""
    path = plan.PathExact(value=WELL_KNOWN + proof.token)
    return msgspec.structs.replace(
        form,
        listeners=listeners,
        matches=msgspec.structs.replace(form.matches, hosts=[proof.domain], path=path),
        action=plan.Respond(status=200, content_type="application/octet-stream", body=[plan.Text(value=proof.content)]),
    )
