"""The environment in values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.load import load
from tidegate.load.environment import EnvironmentError_, expand, unescape
from tidegate.lower.template import parse, show

ENVIRON = {"A": "one", "EMPTY": "", "TRICKY": "${B} $${c} ${client_ip}", "_X1": "x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("a ${A}${A} b", "a oneone b"),
        ("${_X1}", "x"),
        ("${EMPTY}", ""),
        ("${NONE:-two}", "two"),
        ("${EMPTY:-two}", "two"),
        ("${A:-two}", "one"),
        ("${NONE:-}", ""),
        ("${NONE:-a:b}", "a:b"),
        ("${NONE:-${ALSO:-${A}}}", "one"),
        ("${A:?must be set}", "one"),
        ("$A $ {A} ${", "$A $ {A} ${"),
        ("${client_ip} ${header:X} ${1} ${a}", "${client_ip} ${header:X} ${1} ${a}"),
        ("$${A}", "$${A}"),
        ("$$${A}", "$$${A}"),
        ("{$${A}}", "{$${A}}"),
    ],
)
def test_upper_case_names_are_the_environments_and_all_else_stays(text: str, value: str) -> None:
    assert expand(text, ENVIRON) == value


def test_what_comes_from_the_environment_is_not_read_again() -> None:
    value = expand("${TRICKY}", ENVIRON)
    assert unescape(value) == ENVIRON["TRICKY"]
    assert show(list(parse(value))) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x${NONE}", "the environment variable NONE is not set; set it, or write `${NONE:-default}`"),
        ("${NONE:?the port}", "the environment variable NONE is not set; the port"),
        ("${EMPTY:?the port of ${A}}", "the environment variable EMPTY is not set; the port of one"),
        ("${NONE:?}", "the environment variable NONE is not set; set it"),
        ("${NONE:-x", "`${NONE` is not closed; write the closing `}`"),
    ],
)
def test_what_is_not_there_is_told(text: str, told: str) -> None:
    with pytest.raises(EnvironmentError_) as caught:
        expand(text, ENVIRON)
    assert f"{caught.value.what}; {caught.value.right}" == told
    assert caught.value.find in text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_value_of_the_environment_arrives_as_it_is(value: str) -> None:
    assert unescape(expand("${V}", {"V": value})) == value


@given(st.text(st.sampled_from("${}:-?AB_a1"), max_size=20))
def test_any_text_is_expanded_or_told(text: str) -> None:
    try:
        expand(text, ENVIRON)
    except EnvironmentError_ as wrong:
        assert wrong.what


def test_numbers_switches_and_secrets_come_from_the_environment_too(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    with open("t.yaml", "w", encoding="utf-8") as file:
        file.write('workers: "${N}"\nserver: {via: "${ON}", drain: "${T}"}\n')
    config = load("t.yaml", environ={"N": "3", "ON": "on", "T": "5s"}).config
    assert (config.workers, config.server.via, config.server.drain) == (3, True, "5s")
