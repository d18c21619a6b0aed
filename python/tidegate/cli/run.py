"""`tidegate run`."""

import argparse

from tidegate.cli.common import source


def run(options: argparse.Namespace) -> int:
    """Serves until it is told to end."""
    from tidegate import gateway

    wanted = gateway.Options(state=options.state, last_good=options.last_good, watch=options.watch)
    return gateway.run(source(options), wanted)
