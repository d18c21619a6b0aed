"""The verbs that look at a configuration and run nothing: check, explain, schema, version."""

import argparse
import sys

from tidegate.cli.common import out, source


def check(options: argparse.Namespace) -> int:
    """Says whether a start would take the configuration; each error on a line of its own."""
    from tidegate import gateway

    wanted = source(options)
    compiled = gateway.check(wanted)
    for warning in compiled.warnings:
        sys.stderr.write(f"{warning}\n")
    out(f"{wanted.name}: right ({compiled.summary})")
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
