"""What is wrong in a file's form is told with its place and with what would be right, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, told

CASES = [
    pytest.param(
        "listner: []\n", "t.yaml:1:1: `listner` is not a key here; did you mean `listeners`?", id="unknown-key"
    ),
    pytest.param(
        ROUTES + "  - {upsteam: http://a}\n",
        "t.yaml:3:6: `upsteam` is not a key here; did you mean `upstream`?",
        id="unknown-in-route",
    ),
    pytest.param(
        ROUTES + "  - {zzz: 1, respond: 204}\n",
        (
            "t.yaml:3:6: `zzz` is not a key here; the keys here are `name`, `listeners`, `match`, `access`, "
            "`auth`, `cors`, `limit`, `concurrency`, `hook`, `max_body`, `cache`, `rewrite`, `headers`, `timeouts`, `retry`, "
            "`access_log`, `upstream`, `ai`, `redirect`, `respond` and `builtin`"
        ),
        id="unknown-nothing-near",
    ),
    pytest.param(
        """\
listenrs: []
routes:
  - respond: 99
    max_body: 10k
    limit: {key: client_ip, rate: fast}
  - respond: two
""",
        """\
t.yaml:1:1: `listenrs` is not a key here; did you mean `listeners`?
t.yaml:4:15: `10k` is not a size; write `10KiB` (1024) or `10KB` (1000)
t.yaml:5:35: `fast` is not a rate; write it as `100/s`, `600/min` or `5/h`
t.yaml:6:14: `two` is not a number; write digits""",
        id="several-at-once",
    ),
    pytest.param(
        ROUTES
        + """\
  - respond: 204
    respond: 200
""",
        "t.yaml:4:5: `respond` is here twice, first at line 3; keep one of them",
        id="duplicate",
    ),
    pytest.param(
        "routes: {}\n",
        "t.yaml:1:9: `routes` is a list, not a mapping; write `routes: [ … ]` or one `- …` a line",
        id="list-expected",
    ),
    pytest.param(
        ROUTES + "  - upstream\n",
        (
            "t.yaml:3:5: a mapping belongs here, not `upstream`; its keys are `name`, `listeners`, `match`, "
            "`access`, `auth`, `cors`, `limit`, `concurrency`, `hook`, `max_body`, `cache`, `rewrite`, `headers`, `timeouts`, "
            "`retry`, `access_log`, `upstream`, `ai`, `redirect`, `respond` and `builtin`"
        ),
        id="mapping-expected",
    ),
    pytest.param(
        ROUTES + "  -\n",
        "t.yaml:3:4: nothing answers here; add `upstream`, `ai`, `redirect`, `respond`, `builtin` or `hook`",
        id="mapping-null",
    ),
    pytest.param(
        ROUTES + "  - {respond: 204, access_log: maybe}\n",
        "t.yaml:3:32: `maybe` is neither on nor off; write `on` or `off`",
        id="bool",
    ),
    pytest.param(
        ROUTES + "  - {respond: 204, access_log: [on]}\n",
        "t.yaml:3:32: a list is neither on nor off; write `on` or `off`",
        id="bool-list",
    ),
    pytest.param("workers: many\n", "t.yaml:1:10: `many` is not a number; write digits", id="int"),
    pytest.param(
        "workers: 010\n", "t.yaml:1:10: `010` might be meant as octal or as decimal; write `10`", id="int-octal"
    ),
    pytest.param("workers: 5000\n", "t.yaml:1:10: 5000 is out of bounds; write 0 to 1024", id="int-bounds"),
    pytest.param("workers: {}\n", "t.yaml:1:10: a number belongs here, not a mapping; write digits", id="int-mapping"),
    pytest.param(
        """\
listeners: [":1"]
server: {forwarded: x-forwarded}
""",
        "t.yaml:2:21: `x-forwarded` is not one of the values here; did you mean `x_forwarded`?",
        id="choice",
    ),
    pytest.param(
        "server: {forwarded: 12}\n",
        "t.yaml:1:21: `12` is not one of the values here; write `both`, `forwarded`, `none` or `x_forwarded`",
        id="choice-far",
    ),
    pytest.param(
        "server: {forwarded: []}\n",
        "t.yaml:1:21: a list is not one of the values here; write `both`, `forwarded`, `none` or `x_forwarded`",
        id="choice-list",
    ),
    pytest.param(
        "admin: {address: 1}\n",
        "t.yaml:1:8: `admin` cannot be a mapping; write `on` or `off`, a text or a list",
        id="union",
    ),
    pytest.param(
        ROUTES + "  - {hook: [a]}\n", "t.yaml:3:12: `hook` cannot be a list; write a text or a mapping", id="union2"
    ),
    pytest.param(
        ROUTES + "  - {name: [a], respond: 204}\n", "t.yaml:3:12: `name` cannot be a list; write a text", id="text-list"
    ),
    pytest.param(
        "upstreams: [http://a]\n",
        "t.yaml:1:12: `upstreams` is a mapping of names, not a list; write `upstreams: {NAME: …}`",
        id="dict",
    ),
    pytest.param(ROUTES + "  - hook: {timeout: 1s}\n", "t.yaml:3:11: `call` is missing; add `call: …`", id="missing"),
    pytest.param(
        "server: {head_timeout: 10}\n",
        "t.yaml:1:24: `10` is a time without a unit; write `10s` or `10ms`",
        id="duration",
    ),
    pytest.param(
        "server: {head_bytes: 10k}\n",
        "t.yaml:1:22: `10k` is not a size; write `10KiB` (1024) or `10KB` (1000)",
        id="size",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://127.0.0.1:${PORT}\n",
        "t.yaml:3:32: the environment variable PORT is not set; set it, or write `${PORT:-default}`",
        id="env-unset",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://127.0.0.1:${PORT:?the port of the app}\n",
        "t.yaml:3:32: the environment variable PORT is not set; the port of the app",
        id="env-message",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://127.0.0.1:${PORT:-3000\n",
        "t.yaml:3:32: `${PORT` is not closed; write the closing `}`",
        id="env-unclosed",
    ),
    pytest.param(
        ROUTES + "  - upstream: http://${host}:80\n",
        (
            "t.yaml:3:22: `${host}` has no value here; the environment's are upper case, as `${NAME}`; `$${` "
            "writes a `${` as it stands"
        ),
        id="env-lower",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {keys: [{name: a, key: ''}]}}, respond: 204}\n",
        't.yaml:3:46: the secret is empty; write "${NAME}" to take it from the environment',
        id="secret-empty",
    ),
    pytest.param(
        ROUTES + "  - {auth: {api_keys: {keys: [{name: a, sha256: abc}]}}, respond: 204}\n",
        "t.yaml:3:49: this is not what belongs here; write 64 lower-case hexadecimal digits",
        id="sha",
    ),
    pytest.param(
        "routes:\n\t- respond: 204\n",
        "t.yaml:2:1: this cannot start a value (a tab, `%`, `@` or a backquote); indent with spaces, never with tabs",
        id="yaml-tab",
    ),
    pytest.param(
        """\
routes: [{respond: 204}
upstreams: {}
""",
        "t.yaml:2:1: not YAML: did not find expected ',' or ']'; close every { and [, and separate entries by commas",
        id="yaml-brace",
    ),
    pytest.param(
        ROUTES + "  - {upstream: http://a:${PORT}, x: ${Y}}\n",
        (
            "t.yaml:3:26: not YAML: did not find expected ',' or '}'; between { } or [ ], quote what has `${…}` "
            'in it: "${NAME}"'
        ),
        id="yaml-env",
    ),
    pytest.param(
        """\
routes: []
---
routes: []
""",
        "t.yaml:2:1: a second document begins here; keep one document a file; use `include:` for more files",
        id="yaml-two-docs",
    ),
    pytest.param(
        "routes: *x\n",
        "t.yaml:1:9: `*x` refers to nothing above; write `&x` before the value that is meant",
        id="yaml-alias",
    ),
    pytest.param(
        "routes: &x [*x]\n", "t.yaml:1:13: `*x` refers to what it is part of; write the value out", id="yaml-alias-self"
    ),
    pytest.param(
        "routes: !!python/object:os.system []\n",
        "t.yaml:1:9: the tag `!!python/object:os.system` means nothing here; leave it out",
        id="yaml-tag",
    ),
    pytest.param(
        """\
? [a]
: b
""",
        "t.yaml:1:3: a key is a text; quote it, or write `key: value`",
        id="yaml-key",
    ),
    pytest.param(
        "- a\n", "t.yaml:1:1: a configuration is a mapping; begin with `listeners:` or `routes:`", id="yaml-list-root"
    ),
    pytest.param(
        "hello\n",
        "t.yaml:1:1: a configuration is a mapping; begin with `listeners:` or `routes:`",
        id="yaml-scalar-root",
    ),
    pytest.param(
        ROUTES + "  - {<<: 5, respond: 204}\n",
        "t.yaml:3:6: `<<` takes a mapping or a list of mappings; write `<<: *anchor`",
        id="yaml-merge",
    ),
    pytest.param(
        "routes: \x01\n",
        't.yaml:1:9: a character that YAML does not allow; write it as "\\x07" in double quotes',
        id="yaml-control",
    ),
    pytest.param(
        """\
routes: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
""",
        "t.yaml:1:73: more than 64 levels deep; nothing in a configuration is nested so deep",
        id="yaml-deep",
    ),
    pytest.param(
        "a: %b\n",
        (
            "t.yaml:1:4: this cannot start a value (a tab, `%`, `@` or a backquote); check the indentation, and "
            "quote texts that have `: ` or ` #` in them"
        ),
        id="yaml-percent",
    ),
    pytest.param(
        """\
routes:
  - name: a: b
""",
        (
            "t.yaml:2:12: not YAML: mapping values are not allowed in this context; check the indentation, and "
            "quote texts that have `: ` or ` #` in them"
        ),
        id="yaml-colon",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_wrong_in_a_file_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(text) == expected
