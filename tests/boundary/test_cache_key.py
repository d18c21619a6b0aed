"""The key of a cached answer: Python's is the engine's, for whatever a URL, headers and options may be."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidegate import _engine
from tidegate.cachekey import Asked, hashed, key_text
from tidegate.load import load
from tidegate.lower import lower

OPTIONS = {
    "plain": "{}",
    "no-host": "{host: off, scheme: off}",
    "sorted": "{query: {sort: on}}",
    "kept": "{query: {keep: [a, 'b*']}}",
    "dropped": "{query: {drop: [utm_*, x], sort: on}}",
    "no-query": "{query: off}",
    "headers": "{headers: [X-Tenant, Accept], cookies: [theme, s]}",
    "template": (
        '{template: "${header:X-Device}|${cookie:theme}|${query:a}|${path}|${host}|${route}${dollar}", space: y}'
    ),
    "target": '{template: "${scheme} ${authority} ${query} ${request_uri}"}',
}
TARGETS = [
    "/",
    "/a",
    "/a/",
    "/a%20b",
    "/%C3%A4",
    "/a//b",
    "/a/../b",
    "/a/./b",
    "/a?",
    "/a?b=2&a=1&b=1",
    "/a?a=1&utm_source=x&x=3&xx=4",
    "/a?&&a=1&",
    "/a?a",
    "/a?a=%20+c&b=%zz",
    "/a?b=1=2&bb=?",
    "/a;v=1?q=/x:y@z",
    "/~x!$'()*,:@",
]
FIELDS: list[list[tuple[str, str]]] = [
    [],
    [("X-Tenant", "a"), ("x-tenant", "b"), ("X-Device", "phone")],
    [("Cookie", "theme=dark; s=1"), ("Cookie", "s=2"), ("Accept", "text/html, */*;q=0.1")],
    [("X-Tenant", ""), ("Cookie", "theme; a=b=c;theme=x")],
    [("Host", "Other.Test:8443")],
]
HOSTS = ["http://a.test", "https://A.test:8443", "http://[::1]:80", "http://127.0.0.1"]


def lowered(folder: Path, route: str) -> Any:
    file = folder / "tidegate.yaml"
    file.write_text(f"listeners: [':8080']\nroutes:\n  - name: r\n    upstream: http://127.0.0.1:3000\n{route}")
    loaded = load(str(file))
    return lower(loaded.config, loaded.where)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_key_in_python_is_the_key_in_the_engine(tmp_path: Path, options: str) -> None:
    made = lowered(tmp_path, f"    cache: {{key: {options}}}\n")
    rules = made.plan.routes[0].cache
    assert rules is not None
    for host, target, fields in itertools.product(HOSTS, TARGETS, FIELDS):
        told = msgspec.json.decode(_engine.explain(made.bytes, 0, "GET", host + target, fields))
        assert told["refused"] is None, (host, target, fields)
        scheme, _, authority = host.partition("://")
        authority = next((value for name, value in fields if name == "Host"), authority)
        asked = Asked(scheme, authority, told["host"], target, told["path"], "r", [("Host", authority), *fields])
        assert key_text(rules.key, asked).decode() == told["cache_key"], (host, target, fields)


def test_a_hash_is_xxh3_of_128_bits() -> None:
    assert hashed(b"") == "99aa06d3014798d86001c324468d497f"


def test_a_route_without_a_cache_has_no_key(tmp_path: Path) -> None:
    made = lowered(tmp_path, "")
    assert "cache_key" not in msgspec.json.decode(_engine.explain(made.bytes, 0, "GET", "http://a/", []))
