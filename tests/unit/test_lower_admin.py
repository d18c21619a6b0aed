"""The admin listeners and their routes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, lowered

from tidegate import plan
from tidegate.load import from_flags, load
from tidegate.lower import lower


def test_admin_routes_are_served_by_admin_listeners_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text("admin: [127.0.0.1:9640, unix:/run/a.sock]\n" + ROUTES + "  - respond: 204\n")
    loaded = load("t.yaml", environ={})
    made = lower(loaded.config, loaded.where, control_socket="/run/c.sock").plan
    admins = {index for index, listener in enumerate(made.listeners) if listener.admin}
    assert admins == {1, 2, 3}
    for route in made.routes:
        assert set(route.listeners) == (admins if route.name.startswith("admin:") else {0})


def test_the_control_socket_is_there_without_any_configuration() -> None:
    loaded = from_flags(["127.0.0.1:0"], "http://127.0.0.1:1")
    made = lower(loaded.config, loaded.where, control_socket="/run/c.sock").plan
    assert made.listeners[1] == plan.Listener(
        name="control",
        address=plan.AddressUnix(path="/run/c.sock"),
        proxy_protocol=False,
        http2=True,
        admin=True,
        tls=None,
        tcp=None,
    )
    assert [route.name for route in made.routes] == ["/", "admin:healthz", "admin:readyz", "admin:metrics", "admin:api"]


def test_without_admin_listeners_there_are_no_admin_routes() -> None:
    loaded = from_flags(["127.0.0.1:0"], "http://127.0.0.1:1")
    made = lower(loaded.config, loaded.where).plan
    assert [route.name for route in made.routes] == ["/"]
    assert made.hooks == []


def test_the_admin_api_is_a_hook_with_the_body() -> None:
    loaded = from_flags(["127.0.0.1:0"], "http://127.0.0.1:1")
    made = lower(loaded.config, loaded.where, control_socket="/run/c.sock").plan
    api = made.routes[-1]
    assert api.hook is not None
    hook = made.hooks[api.hook]
    assert (hook.name, hook.body, hook.on_failure) == ("tidegate.admin:handle", True, "refuse")
    assert isinstance(api.action, plan.HookAction)
    assert not any(route.access_log for route in made.routes if route.name.startswith("admin:"))


def test_places_in_the_list_of_routes_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    routes = "".join(f"  - {{name: r{index}, match: {{path: /{index}}}, respond: 204}}\n" for index in range(20))
    made = lowered("admin: on\n" + ROUTES + routes).plan
    assert [route.name for route in made.routes[:20]] == [f"r{index}" for index in range(20)]
