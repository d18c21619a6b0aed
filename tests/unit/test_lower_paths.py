"""From the engine's refusals, and from flags, back to where something was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import lowered

from tidegate.errors import ConfigErrors, Place
from tidegate.load import from_flags, load
from tidegate.lower import Lowered, lower, verify

TEXT = """\
listeners:
  - 127.0.0.1:8080
  - {address: ":8443", name: b}
server: {head_timeout: 5s}
access_log: {format: json, path: stdout}
routes:
  - name: one
    match:
      regex: "^/(a$"
      headers: {X-A: {regex: "("}}
    limit: [{key: route, rate: 1/s, burst: 5}]
    retry: {attempts: 3}
    upstream: http://a
  - name: two
    match: {path: /two}
    hook: "a:b"
    upstream: api
upstreams:
  api:
    endpoints: [http://a, {url: http://b, weight: 5}]
    pool: {idle: 5s}
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lowered:
    monkeypatch.chdir(tmp_path)
    return lowered(TEXT)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", (1, 1)),
        ("schema", (1, 1)),
        ("server.head_timeout_ms", (4, 24)),
        ("server.via", (4, 9)),
        ("access_log.sink.path", (5, 34)),
        ("listeners[0].address", (2, 5)),
        ("listeners[1].address", (3, 15)),
        ("listeners[1].address.port", (3, 15)),
        ("listeners[7]", (2, 3)),
        ("routes[0]", (7, 5)),
        ("routes[0].matches.path.value", (9, 14)),
        ("routes[0].matches.headers[0].test.value", (10, 16)),
        ("routes[0].limits", (11, 12)),
        ("routes[0].retry.attempts", (12, 23)),
        ("routes[0].action.upstream", (13, 15)),
        ("routes[0].timeouts.head_ms", (7, 5)),
        ("routes[1].hook", (16, 11)),
        ("routes[1].action", (17, 15)),
        ("routes[1].unheard.of", (14, 5)),
        ("limits[0].burst", (11, 44)),
        ("hooks[0].name", (16, 11)),
        ("upstreams[0].endpoints[1].weight", (20, 51)),
        ("upstreams[0].pool.idle_ms", (21, 18)),
        ("upstreams[1]", (13, 15)),
    ],
)
def test_a_path_of_the_plan_leads_to_its_place(path: str, place: tuple[int, int], made: Lowered) -> None:
    assert made.paths.place(path) == Place("t.yaml", *place)


def test_the_engines_refusal_is_told_with_the_place(made: Lowered) -> None:
    class PlanRejected(Exception):
        path = "routes[0].matches.path.value"
        why = "unclosed group"

    def refuse(data: bytes) -> None:
        assert data == made.bytes
        raise PlanRejected

    with pytest.raises(ConfigErrors) as caught:
        verify(made, refuse)
    assert str(caught.value) == "t.yaml:9:14: unclosed group"


def test_what_is_no_refusal_is_passed_on(made: Lowered) -> None:
    def fail(data: bytes) -> None:
        raise RuntimeError(len(data))

    with pytest.raises(RuntimeError):
        verify(made, fail)
    verify(made, lambda data: None)


def test_flags_make_a_whole_configuration() -> None:
    loaded = from_flags(["127.0.0.1:0", "unix:/run/a.sock"], "http://127.0.0.1:3000", "127.0.0.1:9640", 2)
    made = lower(loaded.config, loaded.where)
    assert loaded.config.workers == 2
    assert loaded.files == []
    assert [listener.name for listener in made.plan.listeners] == ["127.0.0.1:0", "unix:/run/a.sock", "127.0.0.1:9640"]
    assert [route.name for route in made.plan.routes][:2] == ["/", "admin:healthz"]
    assert made.plan.upstreams[0].name == "http://127.0.0.1:3000"
    assert made.warnings == []


def test_several_targets_are_one_upstream() -> None:
    loaded = from_flags(to=["http://a", "http://b"])
    made = lower(loaded.config, loaded.where)
    assert [listener.name for listener in made.plan.listeners] == [":8080"]
    assert len(made.plan.upstreams[0].endpoints) == 2


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"listen": ["nowhere"]}, "--listen: `nowhere` is not an address to listen on; write `nowhere:8080`"),
        ({"to": "3000"}, "--to: `3000` is not a URL; write `http://127.0.0.1:3000`"),
        (
            {"to": "ws://a"},
            "--to: `ws://` is not spoken to upstreams; write `http://a`, `https://a` or `unix:/path`",
        ),
        (
            {"admin": "x:1"},
            "--admin: `x` is not an IP address of this machine; write the IP address of x, or `:1` for all",
        ),
        ({"workers": 9999}, "--workers: 9999 is out of bounds; write 0 to 1024"),
        (
            {"listen": ["${HOST}:1"]},
            "--listen: `${HOST}` is not an IP address of this machine; "
            "write the IP address of ${HOST}, or `:1` for all",
        ),
    ],
)
def test_what_is_wrong_with_a_flag_is_told_by_its_name(flags: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        loaded = from_flags(**flags)  # type: ignore[arg-type]
        lower(loaded.config, loaded.where)
    assert str(caught.value) == expected


def test_flags_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(TEXT)
    loaded = load(file, listen=["127.0.0.1:1"], admin="127.0.0.1:2", workers=3, environ={})
    assert loaded.config.listeners == ["127.0.0.1:1"]
    assert (loaded.config.admin, loaded.config.workers) == ("127.0.0.1:2", 3)
    assert loaded.where.place(("listeners", 0)) == Place("--listen")
