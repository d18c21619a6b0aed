"""The verbs that look at a configuration and run nothing: check, explain, schema, version."""

import argparse
import sys
from typing import TYPE_CHECKING

from tidegate.cli.common import out, source

if TYPE_CHECKING:
    from tidegate.plan import Plan


def check(options: argparse.Namespace) -> int:
    """Says whether a start would take the configuration; each error on a line of its own."""
    from tidegate import gateway

    wanted = source(options)
    compiled = gateway.check(wanted)
    for warning in compiled.warnings:
        sys.stderr.write(f"{warning}\n")
    out(f"{wanted.name}: right ({compiled.summary})")
    return 0


def explain(options: argparse.Namespace) -> int:
    """Says what would happen to a request on each listener that it may have come to."""
    import msgspec

    from tidegate import gateway
    from tidegate.explain import explain as tell
    from tidegate.lower import lower

    fields = [field_of(options, text) for text in options.header]
    loaded = source(options).load()
    lowered = lower(loaded.config, loaded.where)
    told: dict[str, bytes] = {}
    for at in listeners_of(lowered.plan, options.url):
        decision = gateway.explain(lowered, at, options.method, options.url, fields)
        text = tell(lowered.plan, decision, method=options.method, url=options.url, place=lowered.paths.place)
        told.setdefault(text, decision)
    if options.json:
        out(msgspec.json.format(b"[" + b",".join(told.values()) + b"]").decode())
    else:
        out("\n".join(told))
    return 0


def schema(_: argparse.Namespace) -> int:
    """Prints the configuration's JSON Schema."""
    from tidegate.schema import printed

    out(printed())
    return 0


def version(options: argparse.Namespace) -> int:
    """Prints the version."""
    import tidegate

    out(f"tidegate {tidegate.__version__}")
    if options.all:
        import platform
        from importlib.metadata import version as of

        from tidegate import gateway

        out(f"engine {gateway.engine_version()}")
        out(f"python {platform.python_version()} ({platform.python_implementation()}), {platform.platform()}")
        for name in ("uvloop", "msgspec", "orjson", "PyYAML", "xxhash"):
            out(f"{name} {of(name)}")
    return 0


def field_of(options: argparse.Namespace, text: str) -> tuple[str, str]:
    """A field from `Name: value`."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        options.usage_error(f"-H takes 'Name: value', not {text!r}")
    return name.strip(), value.strip()


def listeners_of(plan: "Plan", url: str) -> list[int]:
    """Those at the URL's port; where none is, all that take traffic."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    traffic = [at for at, listener in enumerate(plan.listeners) if not listener.admin]
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return [at for at in traffic if getattr(plan.listeners[at].address, "port", None) == port] or traffic
