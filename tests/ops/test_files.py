"""What operators import: dashboard and alerts name metrics that exist, the manifest the ingress."""

import json
import re
from typing import Any

import pytest
import yaml

from deployments.ingress import ingress_environment
from settings import PROJECT_ROOT

OPS = PROJECT_ROOT / "ops"


def own_metrics() -> set[str]:
    """As Ray exports them."""
    made = re.findall(
        r'(Counter|Gauge|Histogram)\(\s*"(studio_\w+)"',
        (PROJECT_ROOT / "deployments" / "metrics.py").read_text(),
    )
    endings = {"Counter": ["_total"], "Gauge": [""], "Histogram": ["_bucket", "_sum", "_count"]}
    return {f"ray_{name}{ending}" for kind, name in made for ending in endings[kind]}


@pytest.mark.parametrize("name", ["grafana.json", "prometheus-rules.yaml"])
def test_every_metric_that_is_asked_for_is_exported(name: str) -> None:
    asked = set(re.findall(r"\bray_studio_\w+(?![\w.]*\.py)", (OPS / name).read_text()))
    assert len(asked) > 5
    assert asked - {"ray_studio_"} <= own_metrics()


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
    return [one for group in groups for one in group["template"]["spec"]["containers"]]


def test_every_pod_has_the_environment_of_the_ingress() -> None:
    service, balancer = yaml.safe_load_all((OPS / "kuberay.yaml").read_text())
    wanted = ingress_environment(8000)
    assert len(containers(service)) == 3
    for container in containers(service):
        given = {one["name"]: one.get("value") for one in container["env"]}
        assert wanted.items() <= given.items()
    assert balancer["spec"]["ports"] == [{"port": 80, "targetPort": 8000}]
