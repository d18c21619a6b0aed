"""Configurations in TOML."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import lowered, told

from tidegate.load import load
from tidegate.load.problems import Problems
from tidegate.load.toml_tree import parse
from tidegate.load.tree import Source, SourceMap

YAML = """\
listeners:
  - {address: "127.0.0.1:8080", name: main}
  - unix:/run/a.sock
access_log: off
workers: 2
server: {via: on, head_timeout: 5s, request_id: {header: X-Id}}
upstreams:
  api: {endpoints: [{url: "http://10.0.0.1:80", weight: 2}, "http://10.0.0.2"]}
  "a.b": http://10.0.0.3
routes:
  - {name: one, match: {path: /one, headers: {X-A: "1.10"}}, upstream: api, retry: off}
  - name: two
    respond: {body: "line\\nline\\n"}
"""

TOML = '''\
# The same as the YAML above it.
workers = 2
access_log = "off"
listeners = [
  { address = "127.0.0.1:8080", name = 'main' }, # a comment with ] in it
  "unix:/run/a.sock",
]

[server]
via = true
head_timeout = "5s"
request_id.header = "X-Id"

[upstreams.api]
endpoints = [{ url = "http://10.0.0.1:80", weight = 2 }, "http://10.0.0.2"]

[upstreams]
"a.b" = "http://10.0.0.3"

[[routes]]
name = "one"
upstream = "api"
retry = false
[routes.match]
path = "/one"
headers = { X-A = "1.10" }

[[routes]]
name = "two"
[routes.respond]
body = """
line
line
"""
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_toml_says_what_yaml_says() -> None:
    assert lowered(TOML, name="t.toml").plan == lowered(YAML).plan


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("workers",), (2, 11)),
        (("listeners", 0), (5, 3)),
        (("listeners", 0, "name"), (5, 40)),
        (("listeners", 1), (6, 3)),
        (("server", "via"), (10, 7)),
        (("server", "request_id", "header"), (12, 21)),
        (("upstreams", "api", "endpoints", 0, "weight"), (15, 53)),
        (("upstreams", "api", "endpoints", 1), (15, 58)),
        (("upstreams", "a.b"), (18, 9)),
        (("routes", 0, "retry"), (23, 9)),
        (("routes", 0, "match", "headers", "X-A"), (26, 19)),
        (("routes", 1), (28, 1)),
        (("routes", 1, "respond", "body"), (31, 8)),
    ],
)
def test_every_value_has_its_place(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    tree = parse(TOML, Source("t.toml", "/", TOML), Problems())
    assert tree is not None
    assert SourceMap(tree).has(path)
    assert SourceMap(tree).place(path)[1:] == place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "workers = \n",
            't.toml:1:11: not TOML: Invalid value; write `key = "value"`, `[table]` or `[[list]]`, each key once',
        ),
        (
            "a = 1\na = 2\n",
            "t.toml:2:6: not TOML: Cannot overwrite a value; "
            'write `key = "value"`, `[table]` or `[[list]]`, each key once',
        ),
        ("[server]\nhead_fields = 0\n", "t.toml:2:15: 0 is out of bounds; write 1 to 1000"),
        ("[servr]\n", "t.toml:1:2: `servr` is not a key here; did you mean `server`?"),
        (
            "[[routes]]\nrespond = 204\n[[routes]]\nrespnd = 204\n",
            "t.toml:4:1: `respnd` is not a key here; did you mean `respond`?",
        ),
        (
            'listeners = ["127.0.0.1:1", "bad"]\n',
            "t.toml:1:29: `bad` is not an address to listen on; write `bad:8080`",
        ),
        ("[server]\ndrain = 10\n", "t.toml:2:9: `10` is a time without a unit; write `10s` or `10ms`"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, expected: str) -> None:
    assert told(text, name="t.toml") == expected


def test_escapes_comments_and_odd_strings_do_not_confuse_places() -> None:
    text = (
        'state = "/a \\" # not a comment"\r\n'
        "server.server_name = '''a'''  # ]]\r\n"
        '"workers" = 1_0\r\n'
        "[ upstreams . 'x y' ]\r\n"
        'endpoints = """http://a"""\r\n'
    )
    tree = parse(text, Source("t.toml", "/", text), Problems())
    assert tree is not None
    where = SourceMap(tree)
    assert where.place(("server", "server_name")).line == 2
    assert where.place(("workers",))[1:] == (3, 13)
    assert where.place(("upstreams", "x y", "endpoints"))[1:] == (5, 13)


def test_a_date_or_a_number_is_the_text_that_its_key_wants() -> None:
    Path("t.toml").write_text("[[routes]]\nname = 2026-11-21\nrespond = 204\n[server]\nserver_name = 1.5\n")
    config = load("t.toml", environ={}).config
    assert config.routes[0].name == "2026-11-21"
    assert config.server.server_name == "1.5"
