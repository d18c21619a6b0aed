"""YAML without its surprises: what a scalar is, its key decides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import ConfigErrors, Place
from tidegate.load import load
from tidegate.load.decode import decode
from tidegate.load.problems import Problems
from tidegate.load.tree import Source, SourceMap
from tidegate.load.yaml_tree import parse
from tidegate.lower import lower
from tidegate.model import Config


def read(text: str) -> Config:
    problems = Problems()
    tree = parse(text, Source("t.yaml", "/", text), problems)
    assert tree is not None, problems.errors
    config = decode(tree, problems, {})
    problems.raise_if_any()
    assert config is not None
    return config


@pytest.mark.parametrize("text", ["on", "On", "yes", "true", "True", '"on"', "'true'"])
def test_a_switch_is_on(text: str) -> None:
    assert read(f"server: {{via: {text}}}").server.via is True


@pytest.mark.parametrize("text", ["off", "OFF", "no", "false", '"off"'])
def test_a_switch_is_off(text: str) -> None:
    assert read(f"server: {{merge_slashes: {text}}}").server.merge_slashes is False


@pytest.mark.parametrize(
    "text", ["on", "no", "null_", "0644", "0o17", "10:30", "1.10", "2026-11-21", "1e3", "0x1F", ".5", "y", "=", "12_3"]
)
def test_a_text_is_what_was_written(text: str) -> None:
    assert read(f"server: {{server_name: {text}}}").server.server_name == text
    assert read(f"server: {{server_name: '{text}'}}").server.server_name == text


@pytest.mark.parametrize(("text", "value"), [("7", 7), ('"7"', 7), ("1_000", 1000), ("0", 0)])
def test_a_number_is_decimal(text: str, value: int) -> None:
    assert read(f"workers: {text}").workers == value


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_nothing_stands_for_the_default(text: str) -> None:
    config = read(f"workers: {text}\nstate: {text}\nroutes: {text}\nserver: {text}\n")
    assert config == Config()


def test_a_key_may_look_like_a_switch_or_a_number() -> None:
    config = read("upstreams: {on: http://a, 10: http://b, no: http://c}\nroutes: [{retry: {on: [502]}}]")
    assert list(config.upstreams) == ["on", "10", "no"]
    assert config.routes[0].retry.on == ["502"]  # type: ignore[union-attr]


def test_an_empty_file_is_a_configuration() -> None:
    assert read("") == read("# nothing\n") == read("---\n...\n") == read("{}") == Config()


def test_merge_keys_take_the_nearest() -> None:
    config = read("""\
upstreams:
  a: &a {endpoints: http://a, slow_start: 1s, pool: {idle: 1s}}
  b: &b {endpoints: http://b, slow_start: 2s}
  c: {<<: [*b, *a], slow_start: 3s}
""")
    upstream = config.upstreams["c"]
    assert not isinstance(upstream, (str, list))
    assert (upstream.endpoints, upstream.slow_start, upstream.pool.idle) == ("http://b", "3s", "1s")


def test_lines_and_columns_count_characters_from_one() -> None:
    text = "server: {server_name: 'ü', drain: 5s}\n"
    tree = parse(text, Source("t.yaml", "/", text), Problems())
    assert tree is not None
    where = SourceMap(tree)
    assert where.place(("server", "drain")) == Place("t.yaml", 1, 35)
    assert where.key_place(("server", "drain")) == Place("t.yaml", 1, 28)
    assert where.place(("server", "via")) == Place("t.yaml", 1, 9)
    assert where.place(("server",), "drain") == Place("t.yaml", 1, 28)


def test_a_hundred_errors_are_enough() -> None:
    with pytest.raises(ConfigErrors) as caught:
        read("routes:\n" + "  - {respond: x}\n" * 500)
    assert len(caught.value.errors) == 100


WORDS = st.sampled_from(
    ["listeners", "routes", "upstreams", "match", "path", "host", "limit", "key", "rate", "respond", "upstream", "hook"]
)
LEAVES = st.one_of(
    st.sampled_from(["on", "off", "10s", "100/s", "/a", ":0", "http://a", "${X}", "${1}", "204", "", "a:b", "unix:x"]),
    st.text(max_size=6),
    st.none(),
    st.booleans(),
    st.integers(-5, 70000),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=20,
)


@settings(deadline=None)
@given(tree=st.dictionaries(WORDS, TREES, max_size=4))
def test_any_tree_is_lowered_or_told(tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    import yaml

    file = tmp_path_factory.getbasetemp() / "any-tree.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    lowered_or_told(file)


@settings(deadline=None)
@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#,?\n\t ${}\\"), max_size=40))
def test_any_text_is_loaded_or_told(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("any-text.yaml", "any-text.toml"):
        (folder / name).write_text(text, encoding="utf-8")
        lowered_or_told(folder / name)


def lowered_or_told(file: Path) -> None:
    try:
        loaded = load(file, environ={})
        lower(loaded.config, loaded.where)
    except ConfigErrors as errors:
        assert errors.errors
        for error in errors.errors:
            assert error.what
            assert error.right
            assert error.file
