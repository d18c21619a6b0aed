"""The Helm chart and the kustomize bases: rendered by the real programs, and right by Kubernetes' own schemas."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.conftest import ROOT

pytestmark = pytest.mark.timeout(900)  # the first run builds the programs
CHART = ROOT / "deploy/kubernetes/chart"
KUBERNETES = "1.31"
MODES = {"deployment": "Deployment", "daemonset": "DaemonSet", "sidecar": "Deployment"}
Objects = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def programs() -> Path:
    """Where helm and kustomize are."""
    done = subprocess.run([str(ROOT / "tools/gotools")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Path(done.stdout.strip())


def rendered(programs: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(programs / "helm"), "template", "r", str(CHART), "--kube-version", f"{KUBERNETES}.0"]
    return subprocess.run([*command, *settings], capture_output=True, text=True, check=False)


def objects(text: str) -> Objects:
    """Of each kind the one; each is right by Kubernetes' schema, strictly."""
    validate = pytest.importorskip("kubernetes_validate")
    found: Objects = {}
    for one in yaml.safe_load_all(text):
        if one is not None:
            validate.validate(one, KUBERNETES, strict=True)
            assert one["kind"] not in found
            found[one["kind"]] = one
    return found


def pod(found: Objects, kind: str) -> dict[str, Any]:
    return dict(found[kind]["spec"]["template"]["spec"])


def tidegate_of(spec: dict[str, Any]) -> dict[str, Any]:
    (container,) = [one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == "tidegate"]
    return dict(container)


@pytest.mark.parametrize("mode", MODES)
def test_the_chart_renders_in_every_mode(mode: str, programs: Path) -> None:
    more = ["--set", "app.image=app:1"] if mode == "sidecar" else []
    done = rendered(programs, "--set", f"mode={mode}", *more)
    assert done.returncode == 0, done.stderr
    found = objects(done.stdout)
    scaled = {"HorizontalPodAutoscaler", "PodDisruptionBudget"} if mode != "daemonset" else set()
    assert set(found) == {MODES[mode], "ServiceAccount", "ConfigMap", "Service", "NetworkPolicy"} | scaled
    spec = pod(found, MODES[mode])
    container = tidegate_of(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > waits + 30, "there is time to drain behind the wait"
    (config,) = [one for one in container["volumeMounts"] if one["name"] == "config"]
    assert "subPath" not in config, "a file that is mounted alone never changes"
    if mode == "sidecar":
        assert container in spec["initContainers"]
        assert container["restartPolicy"] == "Always"


def test_the_charts_names_point_at_each_other(programs: Path) -> None:
    found = objects(rendered(programs).stdout)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    assert "replicas" not in found["Deployment"]["spec"], "the autoscaler's, which an upgrade must not set back"
    (volume,) = [one for one in pod(found, "Deployment")["volumes"] if "configMap" in one]
    assert volume["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]


def test_the_charts_configuration_is_right(programs: Path, binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "tidegate.yaml"
    config.write_text(objects(rendered(programs).stdout)["ConfigMap"]["data"]["tidegate.yaml"])
    done = subprocess.run([str(binary), "check", "-c", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"(.*whoever reaches `:9640` sees.*\n)?", done.stderr), (
        "the kubelet must reach it; a NetworkPolicy guards it"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["--set", "mode=statefulset"], "must be deployment, daemonset or sidecar"),
        (["--set", "mode=sidecar"], "app.image must say what it stands in front of"),
    ],
)
def test_what_the_chart_can_not_do_it_says(settings: list[str], said: str, programs: Path) -> None:
    done = rendered(programs, *settings)
    assert done.returncode != 0
    assert said in done.stderr


def test_helm_finds_nothing_wrong_with_the_chart(programs: Path) -> None:
    command = [str(programs / "helm"), "lint", "--strict", "--kube-version", f"{KUBERNETES}.0", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bases_are_what_the_chart_renders(programs: Path, tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "tools/kubernetes"), str(tmp_path)], check=True, capture_output=True)
    for base in ("gateway", "edge"):
        committed = (ROOT / "deploy/kubernetes" / base / "tidegate.yaml").read_text()
        assert committed == (tmp_path / base / "tidegate.yaml").read_text(), "run tools/kubernetes"


@pytest.mark.parametrize("base", ["gateway", "edge"])
def test_kustomize_builds_a_base(base: str, programs: Path) -> None:
    command = [str(programs / "kustomize"), "build", str(ROOT / "deploy/kubernetes" / base)]
    found = objects(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert {"Service", "ConfigMap", "NetworkPolicy"} <= set(found)


def test_the_sidecar_component_puts_tidegate_into_a_labelled_deployment_alone(
    programs: Path, tmp_path: Path, binary: Path
) -> None:
    deployments = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
                },
            },
        }
        for name, labels in (("with", {"tidegate": "sidecar"}), ("without", {}))
    ]
    (tmp_path / "apps.yaml").write_text("---\n".join(json.dumps(one) + "\n" for one in deployments))
    component = tmp_path / "sidecar"
    component.mkdir()
    for file in (ROOT / "deploy/kubernetes/sidecar").iterdir():
        (component / file.name).write_text(file.read_text())
    (tmp_path / "kustomization.yaml").write_text("resources: [apps.yaml]\ncomponents: [sidecar]\n")
    command = [str(programs / "kustomize"), "build", str(tmp_path)]
    built = list(yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    by_name = {one["metadata"]["name"]: one for one in built}
    for one in built:
        objects(json.dumps(one))
    container = tidegate_of(by_name["with"]["spec"]["template"]["spec"])
    assert container["restartPolicy"] == "Always"
    assert "initContainers" not in by_name["without"]["spec"]["template"]["spec"]
    config = tmp_path / "tidegate.yaml"
    config.write_text(by_name["tidegate-sidecar"]["data"]["tidegate.yaml"])
    done = subprocess.run([str(binary), "check", "-c", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"(.*whoever reaches `:9640` sees.*\n)?", done.stderr), (
        "the kubelet must reach it; a NetworkPolicy guards it"
    )
