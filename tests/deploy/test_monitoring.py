"""The dashboard and the alert rules: Prometheus takes every expression, and all that they name is rendered."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/tidegate.rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/tidegate.json"
ADDED = {"job", "instance", "le"}
"""Labels that Prometheus adds, or that histograms have."""


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def rendered() -> str:
    files = (ROOT / "rust/engine/src/metrics").glob("*.rs")
    return "\n".join(file.read_text() for file in files if file.name != "tests.rs")


def promtool(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES), cwd=ROOT)


def test_prometheus_takes_the_dashboards_expressions(tmp_path: Path) -> None:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert len(found) >= 25
    rules = [
        {"record": f"panel:{at}", "expr": re.sub(r"\$__(rate_interval|range)", "5m", text).replace("$", "")}
        for at, text in enumerate(found)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file), cwd=tmp_path)


def test_every_metric_and_label_that_is_named_is_rendered_and_documented() -> None:
    literals = set(re.findall(r'"([a-z_]+)"', rendered()))
    documented = (ROOT / "docs/metrics.md").read_text()
    for text in expressions():
        for name in re.findall(r"\btidegate_[a-z0-9_]+", text):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert base in literals or name in literals, f"{text}: no metric {name}"
            assert f"`{base}`" in documented or f"`{name}`" in documented, f"{name} is not in docs/metrics.md"
        labels = {name for inner in re.findall(r"\{([^}]*)\}", text) for name in re.findall(r"(\w+)\s*[=!]", inner)}
        labels |= {name for inner in re.findall(r"by \(([^)]*)\)", text) for name in re.split(r",\s*", inner)}
        assert labels <= literals | ADDED, f"{text}: labels {labels - literals - ADDED}"


def test_the_dashboards_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    places: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & places, panel["title"]
        places |= cells
        assert max(x for x, _ in cells) < 24
    assert all(panel["description"] for panel in panels())


def test_alerts_fire_when_the_budget_burns_and_only_then(tmp_path: Path) -> None:
    failing = 'tidegate_requests_total{job="t", route="", class="5xx"}'
    right = 'tidegate_requests_total{job="t", route="", class="2xx"}'
    tests = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": failing, "values": f"0+{errors}x100"},
                    {"series": right, "values": "0+1000x100"},
                ],
                "alert_rule_test": [
                    {"eval_time": "90m", "alertname": "TidegateErrorBudgetBurnsFast", "exp_alerts": alerts}
                ],
            }
            for errors, alerts in (
                (1, []),
                (
                    20,
                    [
                        {
                            "exp_labels": {"job": "t", "severity": "page"},
                            "exp_annotations": {
                                "summary": "t: a month's errors are spent in two days",
                                "description": "1.961% of requests fail. "
                                "`tidegate status` and tidegate_refusals_total by reason say why.",
                            },
                        }
                    ],
                ),
            )
        ],
    }
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(file), cwd=tmp_path)
