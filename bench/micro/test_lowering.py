"""How long it takes from a file to a plan: 10, 1,000 and 10,000 routes.

Run with `pytest bench/micro/test_lowering.py`. 10,000 routes are to be lowered in less than a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidegate.load import Loaded, load
from tidegate.lower import lower

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ROUTE = """\
  - match: {{host: h{host}.example.com, path: /v{index}/, methods: [GET, POST]}}
    limit: {{key: client_ip, rate: 100/s, burst: 200}}
    headers: {{request: {{set: {{X-Team: core, X-Client: "${{client_ip}}"}}}}}}
    rewrite: {{prefix: /}}
    upstream: api
"""
SIZES = [10, 1_000, 10_000]


@pytest.fixture(params=SIZES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = tmp_path / "tidegate.yaml"
    routes = "".join(ROUTE.format(index=index, host=index % 500) for index in range(request.param))
    name.write_text(f"listeners: ['127.0.0.1:0']\nupstreams: {{api: http://127.0.0.1:3000}}\nroutes:\n{routes}")
    return name


def test_load(benchmark: BenchmarkFixture, file: Path) -> None:
    loaded = benchmark.pedantic(load, args=(file,), kwargs={"environ": {}}, rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert isinstance(loaded, Loaded)


def test_lower(benchmark: BenchmarkFixture, file: Path) -> None:
    loaded = load(file, environ={})
    made = benchmark.pedantic(lower, args=(loaded.config, loaded.where), rounds=3, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert len(made.plan.routes) == len(loaded.config.routes)
