"""Texts with variables."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import plan
from tidegate.lower.template import VARIABLES, Captures, Wrong, captures_of, parse, show

GROUPS = Captures(2, frozenset({"id", "host"}))


def test_a_text_without_variables_is_one_part() -> None:
    assert parse("plain $5 {x}") == (plan.Text(value="plain $5 {x}"),)
    assert parse("") == ()


def test_variables_and_texts_alternate() -> None:
    assert parse("a${client_ip}${host}b") == (
        plan.Text(value="a"),
        plan.Variable(name="client_ip"),
        plan.Variable(name="host"),
        plan.Text(value="b"),
    )


def test_fields_parameters_and_cookies_are_named_behind_a_colon() -> None:
    assert parse("${header:X-A}${query:a b}${cookie:s}") == (
        plan.HeaderValue(name="X-A"),
        plan.QueryValue(name="a b"),
        plan.CookieValue(name="s"),
    )


def test_an_escaped_brace_stands_for_itself() -> None:
    assert parse("$${client_ip} $$${host}") == (plan.Text(value="${client_ip} $${host}"),)


def test_captures_are_those_of_the_route() -> None:
    assert parse("${1}${02}${id}${capture:host}", GROUPS) == (
        plan.Capture(name="1"),
        plan.Capture(name="2"),
        plan.Capture(name="id"),
        plan.Capture(name="host"),
    )
    assert parse("${host}", GROUPS) == (plan.Variable(name="host"),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${clientip}", "`${clientip}` is not a variable; did you mean `${client_ip}`?"),
        ("${remote_addr}", "`${remote_addr}` is not a variable; write `${client_ip}`"),
        ("${http_user_agent}", "`${http_user_agent}` is not a variable; write `${header:user-agent}`"),
        ("${arg_page}", "`${arg_page}` is not a variable; write `${query:page}`"),
        ("${cookie_sid}", "`${cookie_sid}` is not a variable; write `${cookie:sid}`"),
        (
            "${zzz}",
            (
                "`${zzz}` is not a variable; write `${client_ip}`, `${host}`, `${path}` …, or `$${` for a `${` "
                "as it stands"
            ),
        ),
        (
            "${}",
            "`${}` is not a variable; write `${client_ip}`, `${host}`, `${path}` …, or `$${` for a `${` as it stands",
        ),
        ("${3}", "`${3}`: the route captures 2; capture by `match: {regex: …}` with ( )"),
        ("${idd}", "`${idd}` is not a variable; did you mean `${id}`?"),
        ("${header:}", "`${header:}` names no header; write `${header:NAME}`"),
        ("${header:X Y}", "`${header:X Y}` names no header; write `${header:NAME}`"),
        ("${query:}", "`${query:}` names no query; write `${query:NAME}`"),
        ("${foo:bar}", "`${foo:bar}` is not a variable; write `${header:NAME}`, `${query:NAME}`, `${cookie:NAME}`"),
        ("x${host", "`${host` is not closed; write the closing `}`"),
        ("a\nb", "a line end or NUL would split the head; write it in one line"),
        ("a\0b", "a line end or NUL would split the head; write it in one line"),
    ],
)
def test_what_is_no_variable_is_told(text: str, told: str) -> None:
    with pytest.raises(Wrong) as caught:
        parse(text, GROUPS)
    assert f"{caught.value.what}; {caught.value.right}" == told


def test_without_a_pattern_nothing_is_captured() -> None:
    with pytest.raises(Wrong, match="nothing is captured here"):
        parse("${1}")


def test_bodies_may_have_lines_and_no_nul() -> None:
    assert parse("a\nb", lines=True) == (plan.Text(value="a\nb"),)
    with pytest.raises(Wrong):
        parse("a\0b", lines=True)


@pytest.mark.parametrize(
    ("pattern", "groups", "names"),
    [
        ("^/x$", 0, set()),
        ("(a)(b(c))", 3, set()),
        (r"\(a\)(b)", 1, set()),
        ("(?:a)(?i)(?i:b)(c)", 1, set()),
        ("(?<id>a)(?P<name>b)(c)", 3, {"id", "name"}),
        ("[(](a)", 1, set()),
        ("[](](a)[^](](b)", 2, set()),
        ("[[:alpha:](](a)", 1, set()),
        (r"[\]()](a)", 1, set()),
        ("(a", 1, set()),
        ("[", 0, set()),
        ("\\", 0, set()),
    ],
)
def test_groups_are_counted_as_the_engine_counts_them(pattern: str, groups: int, names: set[str]) -> None:
    assert captures_of(pattern, wildcard_host=False) == Captures(groups, frozenset(names))


def test_a_wildcard_host_is_a_group() -> None:
    assert captures_of(None, wildcard_host=True) == Captures(0, frozenset({"host"}))
    assert captures_of("(?<id>x)", wildcard_host=True) == Captures(1, frozenset({"host", "id"}))


SAFE = st.one_of(
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.text(st.sampled_from("${}a"), min_size=1, max_size=4),
)
NAMES = st.from_regex(r"[A-Za-z0-9-]{1,8}", fullmatch=True)
PARTS: st.SearchStrategy[plan.TemplatePart] = st.one_of(
    SAFE.map(lambda value: plan.Text(value=value)),
    st.sampled_from(sorted(VARIABLES)).map(lambda name: plan.Variable(name=name)),  # type: ignore[arg-type]
    NAMES.map(lambda name: plan.HeaderValue(name=name)),
    NAMES.map(lambda name: plan.QueryValue(name=name)),
    NAMES.map(lambda name: plan.CookieValue(name=name)),
    st.sampled_from(["1", "2", "id", "host"]).map(lambda name: plan.Capture(name=name)),
)


@given(st.lists(PARTS, max_size=6))
def test_a_shown_template_reads_back(parts: plan.Template) -> None:
    assert rendered(parse(show(merge(parts)), GROUPS)) == rendered(parts)


@given(st.text(st.sampled_from("${}:a1_hostp \n"), max_size=16))
def test_any_text_is_parsed_or_told(text: str) -> None:
    try:
        parts = parse(text, GROUPS)
    except Wrong as wrong:
        assert wrong.what
        assert wrong.find in text
    else:
        assert re.search(r"[\n]", text) is None
        assert rendered(parse(show(list(parts)), GROUPS)) == rendered(parts)


def merge(parts: Sequence[plan.TemplatePart]) -> plan.Template:
    """Neighbouring texts become one, as `parse` makes them."""
    merged: plan.Template = []
    for part in parts:
        if isinstance(part, plan.Text) and merged and isinstance(merged[-1], plan.Text):
            merged[-1] = plan.Text(value=merged[-1].value + part.value)
        else:
            merged.append(part)
    return merged


def rendered(parts: Sequence[plan.TemplatePart]) -> plan.Template:
    """What the parts render to, a dollar sign being one however it was written."""
    dollar = plan.Variable(name="dollar")
    return merge([plan.Text(value="$") if part == dollar else part for part in parts])
