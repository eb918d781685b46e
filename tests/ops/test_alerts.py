"""Alerts and panels: their queries can be read, their labels exist, every alert has a runbook."""

import json
import re
import warnings
from typing import Any

import pytest
import yaml

from settings import PROJECT_ROOT
from tests.support.promql import read_query

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.util.metrics import Histogram, Metric

    from deployments.serve import metrics as module

RUNBOOK = PROJECT_ROOT / "docs" / "operations" / "alerts.md"
RAYS = {"WorkerId", "le"}
"""Labels that Ray adds to every series of a worker, and buckets have."""
PANELS = json.loads((PROJECT_ROOT / "ops" / "grafana.json").read_text())["panels"]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROJECT_ROOT / "ops" / "prometheus-rules.yaml").read_text())[
        "groups"
    ]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [rule["expr"] for rule in RULES]


def own_labels() -> dict[str, set[str]]:
    """The labels of each of the studio's metrics, by the names that Ray exports."""
    holders = [
        module.RequestMetrics(), module.BatchMetrics(), module.TryOnMetrics(),
        module.IndexMetrics(), module.GpuMetrics("TryOn"), module.DatabaseMetrics(),
        module.JobMetrics([]),
    ]  # fmt: skip
    values = [value for holder in holders for value in vars(holder).values()]
    values += [value.gauge for value in values if isinstance(value, module.LastingGauge)]
    metrics = [value for value in values if isinstance(value, Metric)]
    labels = {}
    for metric in metrics:
        endings = ["_bucket", "_sum", "_count"] if isinstance(metric, Histogram) else ["", "_total"]
        for ending in endings:
            labels[f"ray_{metric.info['name']}{ending}"] = set(metric.info["tag_keys"]) | RAYS
    return labels


@pytest.mark.parametrize("query", QUERIES)
def test_every_label_belongs_to_its_metric(query: str) -> None:
    declared = own_labels()
    for metric, labels in read_query(query).labels.items():
        if metric.startswith("ray_studio_"):
            assert labels <= declared[metric]


def test_recorded_series_exist() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    used = {name for query in QUERIES for name in read_query(query).labels if ":" in name}
    assert used <= recorded


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_leads_to_its_section(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["annotations"]["runbook"] == f"docs/operations/alerts.md#{alert.lower()}"
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    read = {label for labels in read_query(rule["expr"]).labels.values() for label in labels}
    assert used <= read | {"ip", "GpuIndex"}  # of Ray's agent, which adds them to every series


def test_every_section_belongs_to_an_alert() -> None:
    sections = re.findall(r"^## (Studio\w+)$", RUNBOOK.read_text(), re.M)
    assert sorted(sections) == sorted(ALERTS)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("rate(a)", "range"),
        ("sum by (le (rate(a[5m]))", "missing"),
        ("a{b=c}", "text"),
        ("histogram_quantile(0.9, sum by (route) (rate(a_bucket[5m])))", "le"),
        ("a > 1)", "left over"),
        ("a ? 1", "no PromQL"),
    ],
)
def test_a_broken_query_is_noticed(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_query(query)
