"""The verbs of virtual keys: create, list, show, rotate, revoke. They work whether or not a gateway runs."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from tidegate.cli.common import out

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.ai.store import KeyStore


def create(options: argparse.Namespace) -> int:
    """Makes a key; its secret is the only line on standard output, so that scripts can take it."""
    from tidegate.ai.manage import create as make

    wanted = {
        "name": options.name,
        "tenant": options.tenant,
        "team": options.team,
        "user": options.user,
        "models": options.model,
        "surfaces": options.surface,
        "allow": options.allow,
        "expires": options.expires,
        "limits": options.limit,
        "budget": options.budget,
        "tags": options.tag,
    }
    return _secret(options, lambda store: make(store, msgspec.json.encode(wanted)))


def rotate(options: argparse.Namespace) -> int:
    """Gives a key a new secret."""
    from tidegate.ai.manage import rotate as turn

    return _secret(options, lambda store: turn(store, options.name, options.grace))


def revoke(options: argparse.Namespace) -> int:
    """Refuses a key from now on."""
    from tidegate.ai.manage import revoke as end

    told = _with(options, lambda store: end(store, options.name))
    in_force = _poke(options)
    if options.json:
        return _json(told)
    out(f"{options.name} is revoked" + (", and refused from now on" if in_force else ""))
    return 0


def list_(options: argparse.Namespace) -> int:
    """All keys, the revoked too."""
    from tidegate.ai.manage import plain

    told = _with(options, lambda store: [plain(key) for key in store.all()])
    if options.json:
        return _json(told)
    from tidegate.status import columns

    def owner(key: dict[str, Any]) -> str:
        return "/".join(part for part in (key["tenant"], key["team"], key["user"]) if part)

    rows = [
        (key["name"], key["hint"], key["state"], owner(key), ",".join(key["models"] or ["*"]), "; ".join(key["limits"]))
        for key in told
    ]
    out(columns(rows, ("NAME", "KEY", "STATE", "WHOSE", "MODELS", "LIMITS")) or "no keys")
    return 0


def show(options: argparse.Namespace) -> int:
    """One key."""
    from tidegate.ai.manage import plain

    told = _with(options, lambda store: plain(store.get(options.name)))
    if options.json:
        return _json(told)
    for name, value in told.items():
        if value not in (None, "", []):
            out(f"{name:<10} {', '.join(value) if isinstance(value, list) else value}")
    return 0


def _secret(options: argparse.Namespace, act: Callable[[KeyStore], dict[str, Any]]) -> int:
    told = _with(options, act)
    in_force = _poke(options)
    if options.json:
        return _json(told)
    out(told["key"])
    note = "it is in force" if in_force else "it is in force once a gateway runs with this state directory"
    sys.stderr.write(f"{told['name']}: this is shown once, keep it; {note}\n")
    return 0


def _with(options: argparse.Namespace, act: Callable[[KeyStore], Any]) -> Any:
    from tidegate.ai.database import connect
    from tidegate.ai.store import KeyStore
    from tidegate.cli.usage import folder

    with closing(connect(folder(options))) as db:
        return act(KeyStore(db))


def _poke(options: argparse.Namespace) -> bool:
    """Has the processes that run here look at once; whether all that do have done so. Else they look by themselves."""
    from tidegate.cli.talk import Unreachable, ask
    from tidegate.cli.usage import folder
    from tidegate.state import running

    found = running(folder(options))
    done = 0
    for process in found:
        with suppress(Unreachable):
            done += ask(process.control, "POST", "/ai/flush", timeout_s=10).status == 200
    return bool(found) and done == len(found)


def _json(content: Any) -> int:
    out(msgspec.json.format(msgspec.json.encode(content)).decode())
    return 0
