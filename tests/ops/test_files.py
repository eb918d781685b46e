"""Operators' files: the dashboard and alerts use existing metrics, the manifest the ingress."""

import json
import os
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import yaml

from deployments.serve.ingress import ingress_environment
from settings import PROJECT_ROOT

OPS = PROJECT_ROOT / "ops"


def own_metrics() -> set[str]:
    """The studio's metrics, by the names that Ray exports."""
    metrics = re.findall(
        r'(Counter|LastingGauge|Gauge|Histogram)\(\s*"(studio_\w+)"',
        (PROJECT_ROOT / "deployments" / "serve" / "metrics.py").read_text(),
    )
    endings = {
        "Counter": ["_total"],
        "Gauge": [""],
        "LastingGauge": [""],
        "Histogram": ["_bucket", "_sum", "_count"],
    }
    return {
        f"ray_{name}{ending}"
        for kind, name in metrics
        for ending in endings[kind.removeprefix("Lasting")]
    }


@pytest.mark.parametrize("name", ["grafana.json", "prometheus-rules.yaml"])
def test_every_metric_that_is_asked_for_is_exported(name: str) -> None:
    metrics = set(re.findall(r"\bray_studio_\w+(?![\w.]*\.py)", (OPS / name).read_text()))
    assert len(metrics) > 5
    assert metrics - {"ray_studio_"} <= own_metrics()


def test_the_dashboard_shows_every_metric() -> None:
    text = (OPS / "grafana.json").read_text()
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    stems = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in own_metrics()}
    assert all(stem in text for stem in stems)


def test_the_rules_are_rules() -> None:
    (group,) = yaml.safe_load((OPS / "prometheus-rules.yaml").read_text())["groups"]
    for rule in group["rules"]:
        assert rule["expr"] and ("record" in rule) != ("alert" in rule)
        assert "record" in rule or (rule["annotations"]["summary"] and rule["labels"]["severity"])


def containers(document: Any) -> list[dict[str, Any]]:
    cluster = document["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


def test_every_pod_has_the_environment_of_the_ingress() -> None:
    service, balancer, _ = yaml.safe_load_all((OPS / "kuberay.yaml").read_text())
    ingress = ingress_environment(8000)
    assert len(containers(service)) == 3
    for container in containers(service):
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert ingress.items() <= variables.items()
    assert balancer["spec"]["ports"] == [{"port": 80, "targetPort": 8000}]


def test_the_cluster_of_pods_is_closed() -> None:
    text = (OPS / "kuberay.yaml").read_text()
    service, _, policy = yaml.safe_load_all(text)
    assert service["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}
    assert "STUDIO_TRUSTED_PROXIES" not in text  # no proxy forwards there
    spec = policy["spec"]
    assert spec["podSelector"] == {"matchLabels": {"ray.io/is-ray-node": "yes"}}
    assert spec["policyTypes"] == ["Ingress"]
    open_to_all = [rule for rule in spec["ingress"] if "from" not in rule]
    assert [port["port"] for rule in open_to_all for port in rule["ports"]] == [8000]


def test_the_manifest_is_filled_by_the_command_it_names() -> None:
    lines = (OPS / "kuberay.yaml").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if "python -c" in line)
    command = "\n".join(line.removeprefix("#") for line in lines[start : start + 2])
    filled = subprocess.run(
        command.replace("python", shlex.quote(sys.executable), 1),
        shell=True, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    documents = list(yaml.safe_load_all(filled.stdout))
    assert [document["kind"] for document in documents] == [
        "RayService",
        "Service",
        "NetworkPolicy",
    ]
    assert yaml.safe_load(documents[0]["spec"]["serveConfigV2"])["applications"]


def test_every_node_of_the_virtual_machines_asks_for_a_token() -> None:
    cluster = yaml.safe_load((PROJECT_ROOT / "cluster.yaml").read_text())
    for kind in ("head", "worker"):
        (start,) = [line for line in cluster[f"{kind}_start_ray_commands"] if "ray start" in line]
        for setting in (
            "RAY_AUTH_MODE=token",
            "STUDIO_ENV=production",
            "STUDIO_PROFILE=production",
        ):
            assert start.index(setting) < start.index("ray start")


@pytest.mark.parametrize(("mode", "opens"), [("token", True), ("disabled", False)])
def test_production_starts_in_a_closed_cluster_only(mode: str, opens: bool) -> None:
    """In a process of its own: Ray reads its mode once."""
    check = (
        "from types import SimpleNamespace; from deployments.serve.preflight import *;"
        "require_closed_cluster(SimpleNamespace(env='production'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", check], cwd=PROJECT_ROOT, capture_output=True, text=True,
        env=os.environ | {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": "t" * 32}, check=False,
    )  # fmt: skip
    assert (ended.returncode == 0) == opens
    assert opens or "RAY_AUTH_MODE=token" in ended.stderr
