"""TLS of listeners: certificates read and looked over, so that what is wrong with one is told before it is used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.model import defaults, units
from tidegate.model.tls import Hsts

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work
    from tidegate.model.tls import ClientCertificates, ListenerTls

__all__ = ["lower_tls"]

_TICKETS_S = (60, 12 * 3600)


def lower_tls(written: ListenerTls | None, path: Path, work: Work) -> plan.ListenerTls | None:
    """How a listener's connections are secured; what is wrong is noted."""
    if written is None:
        return None
    from tidegate.lower.certificate import lower_certificates

    certificates = lower_certificates(written.certificates, (*path, "certificates"), work)
    if written.acme != []:
        from tidegate.lower.acme import lower_acme

        certificates += lower_acme(written.acme, (*path, "acme"), work)
    elif not written.certificates:
        work.error(path, "there is no certificate", "add `certificates: [{cert: …, key: …}]`, or `acme`")
    return plan.ListenerTls(
        certificates=certificates,
        challenges=[],
        unknown_name=written.default,
        client=_client(written.client, (*path, "client"), work) if written.client is not None else None,
        profile=written.profile,
        tickets_s=_tickets(written.tickets, (*path, "tickets"), work),
        hsts=_hsts(written.hsts, (*path, "hsts"), work),
    )


def _client(written: ClientCertificates, path: Path, work: Work) -> plan.ClientCertificates:
    from tidegate.lower.certificate import authorities

    return plan.ClientCertificates(
        ca=authorities(written.ca, (*path, "ca"), work), required=written.verify == "required"
    )


def _tickets(written: str | bool, path: Path, work: Work) -> int:
    if written is False:
        return 0
    seconds = work.milliseconds(defaults.TICKETS if written is True else written, path) // 1000
    if not _TICKETS_S[0] <= seconds <= _TICKETS_S[1]:
        work.error(path, f"`{written}` is out of bounds", "write `1m` to `12h`, or `off`")
        return 0
    return seconds


def _hsts(written: Hsts | bool, path: Path, work: Work) -> str:
    if written is False:
        return ""
    entry = Hsts() if written is True else written
    try:
        seconds = units.age(entry.max_age)
    except units.Unreadable as wrong:
        work.error((*path, "max_age"), wrong.what, wrong.right)
        return ""
    if entry.preload and (not entry.include_subdomains or seconds < units.age(defaults.HSTS_AGE)):
        work.warn(
            (*path, "preload"),
            "the preload lists take no such policy",
            f"add `include_subdomains: on`, and `max_age` of `{defaults.HSTS_AGE}` or more",
        )
    parts = [f"max-age={seconds}"]
    if entry.include_subdomains:
        parts.append("includeSubDomains")
    if entry.preload:
        parts.append("preload")
    return "; ".join(parts)


def file_path(name: str, path: Path, work: Work) -> str:
    """Where a file stands that the configuration names; noted, so that it is watched."""
    if not name:
        work.error(path, "this names no file", "write its path")
    found = os.path.normpath(os.path.join(work.where.directory(path), os.path.expanduser(name)))
    work.files.append(found)
    return found
