"""Configurations in several files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import told

from tidegate.load import load
from tidegate.lower import lower


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def test_lists_are_joined_and_mappings_are_joined_by_key() -> None:
    write("conf.d/b.yaml", "routes: [{name: b, respond: 204}]\nupstreams: {two: http://b}\nserver: {via: on}\n")
    write("conf.d/a.yaml", "routes: [{name: a, respond: 204}]\nserver: {trace: on}\n")
    write("t.yaml", "include: conf.d/*.yaml\nroutes: [{name: main, respond: 204}]\nupstreams: {one: http://a}\n")
    loaded = load("t.yaml", environ={})
    assert [route.name for route in loaded.config.routes] == ["main", "a", "b"]
    assert list(loaded.config.upstreams) == ["one", "two"]
    assert loaded.config.server.via
    assert loaded.config.server.trace
    assert loaded.files == [Path("t.yaml"), Path("conf.d/a.yaml"), Path("conf.d/b.yaml")]


def test_what_is_included_may_be_toml_and_may_include() -> None:
    write("conf.d/a.toml", 'include = ["deep/*.yaml"]\n[[routes]]\nname = "toml"\nrespond = 204\n')
    Path("conf.d/deep").mkdir()
    write("conf.d/deep/x.yaml", "routes: [{name: deep, respond: 204}]\n")
    write("t.yaml", "include: [conf.d/a.toml]\n")
    assert [route.name for route in load("t.yaml", environ={}).config.routes] == ["toml", "deep"]


def test_places_are_those_of_the_file_in_which_a_value_stands() -> None:
    write("conf.d/a.yaml", "routes:\n  - name: a\n    upstream: app\n")
    assert told('include: conf.d/*.yaml\nlisteners: [":1"]\n') == (
        "conf.d/a.yaml:3:15: no upstream is called `app`; add it: `upstreams: {app: http://HOST:PORT}`"
    )


def test_relative_names_start_from_the_file_in_which_they_stand(folder: Path) -> None:
    write("conf.d/a.yaml", "access_log: a.log\nroutes: [{upstream: 'unix:app.sock'}]\n")
    write("t.yaml", 'include: conf.d/*.yaml\nlisteners: [":1", "unix:edge.sock"]\nstate: state\n')
    loaded = load("t.yaml", environ={})
    plan = lower(loaded.config, loaded.where).plan
    assert plan.access_log is not None
    assert plan.access_log.sink.path == f"{folder}/conf.d/a.log"  # type: ignore[union-attr]
    assert plan.upstreams[0].endpoints[0].address.path == f"{folder}/conf.d/app.sock"  # type: ignore[union-attr]
    assert plan.listeners[1].address.path == f"{folder}/edge.sock"  # type: ignore[union-attr]
    assert loaded.config.state == f"{folder}/state"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("state: /b\n", "conf.d/a.yaml:1:1: `state` is already set at t.yaml:2:1; keep one of them"),
        (
            "server: {drain: 2s}\n",
            "conf.d/a.yaml:1:10: `drain` is already set at t.yaml:3:10; keep one of them",
        ),
        (
            "upstreams: {api: {slow_start: 0}}\n",
            "conf.d/a.yaml:1:13: `api` is already set at t.yaml:4:13; keep one of them",
        ),
        ("routes: {}\n", "conf.d/a.yaml:1:1: `routes` is already set at t.yaml:5:1; keep one of them"),
        (
            "include: ../t.yaml\n",
            "conf.d/a.yaml:1:10: conf.d/../t.yaml includes itself; leave it out",
        ),
        (
            "include: none.yaml\n",
            "conf.d/a.yaml:1:10: conf.d/none.yaml: there is no such file; check the name",
        ),
        ("include: [a: b]\n", "conf.d/a.yaml:1:11: `include` takes file names; write `include: [conf.d/*.yaml]`"),
        ("rutes: []\n", "conf.d/a.yaml:1:1: `rutes` is not a key here; did you mean `routes`?"),
    ],
)
def test_what_is_in_conflict_is_told_with_both_places(inner: str, expected: str) -> None:
    write("conf.d/a.yaml", inner)
    main = (
        "include: conf.d/*.yaml\nstate: /a\nserver: {drain: 1s}\nupstreams: {api: http://a}\nroutes: [{respond: 204}]\n"
    )
    assert told(main) == expected


def test_a_file_is_included_once() -> None:
    write("conf.d/a.yaml", "routes: []\n")
    assert told("include: [conf.d/*.yaml, conf.d/a.yaml]\n") == (
        "t.yaml:1:26: conf.d/a.yaml is included twice; include it once"
    )


def test_a_glob_that_finds_nothing_is_no_error() -> None:
    write("t.yaml", "include: conf.d/*.yaml\n")
    assert load("t.yaml", environ={}).files == [Path("t.yaml")]


def test_an_include_may_have_the_environment_in_it() -> None:
    write("conf.d/prod.yaml", "workers: 7\n")
    write("t.yaml", 'include: "conf.d/${STAGE:-prod}.yaml"\n')
    assert load("t.yaml", environ={}).config.workers == 7
    assert told("include: conf.d/${STAGE}.yaml\n") == (
        "t.yaml:1:17: the environment variable STAGE is not set; set it, or write `${STAGE:-default}`"
    )


def test_a_file_that_is_not_there_or_not_readable_is_told() -> None:
    assert told_of("none.yaml") == "none.yaml: there is no such file; name it with -c FILE"
    assert told_of("conf.d") == "conf.d: cannot be read: Is a directory; check its rights and its kind"
    Path("latin.yaml").write_bytes(b"a: b\nc: d\xff\n")
    assert told_of("latin.yaml") == "latin.yaml:2:5: this is not UTF-8; save the file as UTF-8 text"


def test_a_byte_order_mark_is_no_matter() -> None:
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbfworkers: 2\n")
    assert load("bom.yaml", environ={}).config.workers == 2


def told_of(name: str) -> str:
    from tidegate.errors import ConfigErrors

    with pytest.raises(ConfigErrors) as caught:
        load(name, environ={})
    return str(caught.value)
