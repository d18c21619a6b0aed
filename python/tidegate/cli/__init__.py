"""The command `tidegate`: its verbs, their options, and what the exit status means.

Exit status: 0 done, 1 something is wrong (said on standard error), 2 the command itself was.
Every verb imports what it needs when it runs, so that the quick ones are quick.
"""

from __future__ import annotations

import sys

import tidegate

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; the exit status."""
    if (sys.argv[1:] if arguments is None else list(arguments)) in (["version"], ["-v"], ["--version"]):
        sys.stdout.write(f"tidegate {tidegate.__version__}\n")  # scripts ask this often, and want no parser for it
        return 0
    from tidegate.errors import TidegateError

    options = parser().parse_args(arguments)
    try:
        status: int = options.act(options)
    except TidegateError as error:
        return _complain(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has seen enough; so has whoever reads the complaint about it
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    import argparse

    top = argparse.ArgumentParser(
        prog="tidegate",
        description="An edge proxy and API gateway.",
        epilog="Without -c: ./tidegate.yaml, else /etc/tidegate/tidegate.yaml, else built-in defaults.",
    )
    top.add_argument("-v", "--version", action="version", version=f"tidegate {tidegate.__version__}")
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)
    _run(_verb(verbs, "run", "serve, in the foreground", "run", "run"))
    _sourced(_verb(verbs, "check", "say whether a configuration is right, and where it is not", "look", "check"))
    _explain(_verb(verbs, "explain", "say what would happen to a request, and why", "look", "explain"))
    _verb(verbs, "schema", "print the configuration's JSON Schema, for editors", "look", "schema")
    _found(_verb(verbs, "reload", "have the running process load its configuration anew", "control", "reload"))
    upgrade = _found(
        _verb(verbs, "upgrade", "start a new process that takes over, and let the running one go", "control", "upgrade")
    )
    upgrade.add_argument("--binary", metavar="PATH", help="the program to start (default: the one that runs)")
    status = _found(_verb(verbs, "status", "show how the running process is doing", "control", "status"))
    status.add_argument("--json", action="store_true", help="everything, as JSON")
    stop = _found(_verb(verbs, "stop", "drain the running process and end it", "control", "stop"))
    stop.add_argument("--now", action="store_true", help="cut what is under way")
    stop.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="how long to wait for its end (default: its own)"
    )
    healthcheck = _found(_verb(verbs, "healthcheck", "exit 0 if it is ready, else 1", "control", "healthcheck"))
    healthcheck.add_argument("--url", help="ask this instead of the running process's own socket")
    healthcheck.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="default: 5")
    _keys(verbs)
    _cache(verbs)
    _usage(_found(_verb(verbs, "usage", "print what calls of models took and cost", "usage", "usage")))
    prices = _verb(verbs, "prices", "list what models cost", "prices", "prices")
    prices.add_argument("what", nargs="?", metavar="PROVIDER[/MODEL]", help="a provider's models, or one model")
    prices.add_argument("--json", action="store_true", help="as JSON, in picodollars")
    from tidegate.cli import setup

    setup.add(verbs, _verb)
    version = _verb(verbs, "version", "print the version", "look", "version")
    version.add_argument("--all", action="store_true", help="those of the engine and of the libraries too")
    return top


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str, module: str, function: str
) -> argparse.ArgumentParser:
    def act(options: argparse.Namespace) -> int:
        from importlib import import_module

        done: int = getattr(import_module(f"tidegate.cli.{module}"), function)(options)
        return done

    added = verbs.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    added.set_defaults(act=act, usage_error=added.error)
    return added


def _sourced(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("-c", "--config", metavar="FILE", help="the configuration, YAML or TOML")
    verb.add_argument(
        "--listen", action="append", default=[], metavar="ADDR", help="host:port, :port or unix:/path; may be repeated"
    )
    verb.add_argument(
        "--to", action="append", default=[], metavar="URL", help="where requests go, with no file; may be repeated"
    )
    verb.add_argument("--workers", type=_workers, metavar="N", help="engine threads (default: one a core)")
    verb.add_argument("--admin", metavar="ADDR", help="where the admin API answers, beside the control socket")
    return verb


def _run(verb: argparse.ArgumentParser) -> None:
    _sourced(verb)
    verb.add_argument("--state", metavar="DIR", help="where state is kept, instead of what the configuration says")
    verb.add_argument(
        "--last-good", action="store_true", help="start with the last good plan if the configuration is wrong"
    )
    verb.add_argument(
        "--no-watch", dest="watch", action="store_false", help="reload when told to, not when files change"
    )


def _explain(verb: argparse.ArgumentParser) -> None:
    _sourced(verb)
    verb.add_argument("method", metavar="METHOD")
    verb.add_argument("url", metavar="URL")
    verb.add_argument("-H", "--header", action="append", default=[], metavar="'K: V'", help="may be repeated")
    verb.add_argument("--json", action="store_true", help="as JSON")


def _found(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("-c", "--config", metavar="FILE", help="the configuration that it runs")
    verb.add_argument("--state", metavar="DIR", help="its state directory, where no configuration names it")
    return verb


def _keys(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = verbs.add_parser("keys", help="make, list and revoke virtual keys", description="Virtual keys.")
    acts = keys.add_subparsers(title="verbs", metavar="VERB", required=True)
    create = _found(_verb(acts, "create", "make a key, and show it this once", "keys", "create"))
    create.add_argument("name", metavar="NAME", help="what usage, logs and limits call it; for ever")
    for level in ("tenant", "team", "user"):
        create.add_argument(f"--{level}", default="", metavar="NAME", help="whose it is")
    create.add_argument("--model", action="append", metavar="NAME", help="it may ask only these; may be repeated")
    create.add_argument("--surface", action="append", metavar="NAME", help="only for these, as chat; may be repeated")
    create.add_argument("--allow", action="append", default=[], metavar="CIDR", help="only from there; may be repeated")
    create.add_argument("--expires", metavar="DAY", help="refused from then on: 2026-12-31, a moment, or 90d from now")
    create.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="WHAT=QUOTA[@MODEL]",
        help="requests=600/min, tokens=100k/day, concurrent=5; with @MODEL only its calls count; may be repeated",
    )
    create.add_argument(
        "--budget", action="append", default=[], metavar="USD/WINDOW[@MODEL]", help="50/month; may be repeated"
    )
    create.add_argument("--tag", action="append", default=[], metavar="TAG", help="of all its calls; may be repeated")
    create.add_argument("--json", action="store_true", help="as JSON")
    listed = _found(_verb(acts, "list", "list all keys, without their secrets", "keys", "list_"))
    listed.add_argument("--json", action="store_true", help="as JSON")
    show = _found(_verb(acts, "show", "show one key, without its secret", "keys", "show"))
    show.add_argument("name", metavar="NAME")
    show.add_argument("--json", action="store_true", help="as JSON")
    rotate = _found(_verb(acts, "rotate", "give a key a new secret, and show it this once", "keys", "rotate"))
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument("--grace", metavar="DURATION", help="how long the one before is taken still, as 24h")
    rotate.add_argument("--json", action="store_true", help="as JSON")
    revoke = _found(_verb(acts, "revoke", "refuse a key from now on", "keys", "revoke"))
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument("--json", action="store_true", help="as JSON")


def _cache(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cache = verbs.add_parser("cache", help="look at what is kept, and forget it", description="The cache.")
    acts = cache.add_subparsers(title="verbs", metavar="VERB", required=True)
    key = _verb(acts, "key", "print the key of a URL: its hash and its text", "cache", "key")
    key.add_argument("-c", "--config", metavar="FILE", help="the configuration")
    get = _found(_verb(acts, "get", "show what is kept under the key of a URL", "cache", "get"))
    purge = _found(_verb(acts, "purge", "forget what is kept", "cache", "purge"))
    for verb in (key, get):
        verb.add_argument("url", metavar="URL")
    purge.add_argument("url", metavar="URL", nargs="?", help="what is kept under its key, with all variants")
    purge.add_argument("--prefix", metavar="URL", help="all whose URL begins so, as http://example.com/a/")
    purge.add_argument("--host", metavar="NAME", help="all of this host")
    purge.add_argument("--tag", metavar="TAG", help="all with this tag")
    purge.add_argument("--all", action="store_true", help="everything")
    purge.add_argument("--soft", action="store_true", help="count it as stale, instead of forgetting it")
    for verb in (key, get, purge):
        verb.add_argument("-H", "--header", action="append", default=[], metavar="'K: V'", help="may be repeated")
    stats = _found(_verb(acts, "stats", "show what the store holds and did", "cache", "stats"))
    stats.add_argument("--json", action="store_true", help="as JSON")


def _usage(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--by", default="key,model,day", metavar="FIELDS", help="default: key,model,day; '' for one sum")
    verb.add_argument("--from", dest="since", metavar="MOMENT", help="2026-11-21, 2026-11-21T08:00 (UTC), or 7d ago")
    verb.add_argument("--to", dest="until", metavar="MOMENT", help="before this moment")
    for field in ("key", "tenant", "team", "user", "model", "provider", "variant", "tag"):
        verb.add_argument(f"--{field}", metavar="NAME", help=f"only of this {field}")
    verb.add_argument("--format", default="table", choices=("table", "json", "csv", "parquet"), help="default: table")
    verb.add_argument("--records", action="store_true", help="the single records, not sums")


def _workers(text: str) -> int:
    import argparse

    number = int(text)
    if not 0 <= number <= 1024:
        raise argparse.ArgumentTypeError("0 to 1024")
    return number


def _complain(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1
