"""Operators' files: the dashboard and alerts use existing metrics; production needs a token."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

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
