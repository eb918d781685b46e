"""One request in the logs, spans and metrics of every process."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from drawing.draw import Garment, draw_garment
from drawing.people.people import draw_person
from local.client import encode, search, sign_in, upload
from local.cluster import log_folder
from settings import PROJECT_ROOT
from tests.support.cluster import WholeStudio
from tests.support.collector import Span
from tests.support.promql import read_query


def wait_for(what: Callable[[], Any], timeout_s: float = 30) -> Any:
    """Calls the function until its result is true, and returns the result."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := what()):
        assert time.monotonic() < deadline_s
        time.sleep(0.3)
    return value


def import_one(http: httpx.Client, request_id: str) -> None:
    """Imports a file with one bad line, which changes nothing, and waits for the job."""
    headers = sign_in(http)
    extra = {"X-Request-ID": request_id, "content-type": "text/csv"}
    rows = b"id,title,category,price,currency,inStock,imageUrl\nx,,dress,-1,EUR,true,nothing"
    answer = http.post("/api/catalog/import", content=rows, headers=headers | extra)
    assert answer.status_code == 202, answer.text
    path = f"/api/jobs/{answer.json()['jobId']}"
    ended = {"succeeded", "failed"}
    wait_for(lambda: http.get(path, headers=headers).json()["state"] in ended, 60)


def dress_one(http: httpx.Client) -> None:
    """One try-on, which has phases."""
    headers = sign_in(http, "shopper@demo.studio")
    worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
    person = draw_person(11, worn, (512, 384), full_figure=True).image
    urls = []
    for picture in (person, draw_garment(Garment("shirt", "green", "striped", 4), 320)):
        _, done = upload(http, headers, encode(picture, "PNG"), "image/png")
        urls.append(done.json()["readUrl"])
    body = {"personUrl": urls[0], "garmentUrl": urls[1], "category": "upper", "mode": "sync"}
    answer = http.post("/api/cv/tryon", json=body, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def followed(whole_studio: WholeStudio) -> tuple[str, str]:
    """The ids of a search and of the request behind a job."""
    searched, imported = f"search-{uuid4().hex[:12]}", f"job-{uuid4().hex[:12]}"
    with httpx.Client(base_url=whole_studio.url, timeout=60) as http:
        search(http, "text", query=f"never asked {searched}", headers={"X-Request-ID": searched})
        import_one(http, imported)
        dress_one(http)
    return searched, imported


def test_log_lines_of_every_process_carry_the_request(
    whole_studio: WholeStudio, followed: tuple[str, str]
) -> None:
    searched, imported = (f'"request_id": "{one}"' for one in followed)

    def loggers(request: str) -> set[str]:
        lines = whole_studio.log_lines(request)
        return {line.split('"logger": "')[1].split('"')[0] for line in lines}

    wait_for(lambda: loggers(searched) >= {"studio.access", "studio.embedder", "studio.index"})
    wait_for(lambda: loggers(imported) >= {"studio.access", "studio.jobs"})


def test_the_collector_of_a_pod_gets_the_lines(
    whole_studio: WholeStudio, followed: tuple[str, str], tmp_path: Path
) -> None:
    """As the sidecar of a pod runs it, on the folder of a real Ray."""
    folder, output = log_folder(whole_studio.data_dir).parent.parent, tmp_path / "stdout"
    with output.open("wb") as stdout:
        tail = subprocess.Popen(
            [sys.executable, "-m", "ops.log_tail", "--folder", str(folder)],
            cwd=PROJECT_ROOT, stdout=stdout,
        )  # fmt: skip

    def loggers() -> set[str]:
        lines = [json.loads(line) for line in output.read_bytes().splitlines(keepends=False)[:-1]]
        return {line["logger"] for line in lines if line.get("request_id") == followed[0]}

    try:
        wait_for(lambda: loggers() >= {"studio.access", "studio.embedder", "studio.index"})
    finally:
        tail.terminate()
        assert tail.wait(20) == 0
    assert all(isinstance(json.loads(line), dict) for line in output.read_bytes().splitlines())


def roots(trace: list[Span]) -> list[Span]:
    """The spans whose parent is not in the trace."""
    ids = {one.span_id for one in trace}
    return [one for one in trace if one.parent_id not in ids]


def test_spans_of_every_process_make_one_trace(
    whole_studio: WholeStudio, followed: tuple[str, str]
) -> None:
    searched, imported = followed
    collector = whole_studio.collector

    def names(request_id: str) -> set[str]:
        return {one.name for one in collector.trace_of(request_id)}

    expected = {"POST /api/search/text", "Embedder.search", "Index.search"}
    wait_for(lambda: names(searched) >= expected)
    wait_for(lambda: len(roots(collector.trace_of(searched))) == 1)  # parents end last
    assert len({one.trace_id for one in collector.trace_of(searched)}) == 1
    wait_for(lambda: names(imported) >= {"POST /api/catalog/import", "job import-catalog"})
    assert len({one.trace_id for one in collector.trace_of(imported)}) == 1


def test_admins_see_what_routes_take(http: httpx.Client, followed: tuple[str, str]) -> None:
    answer = http.get("/api/admin/latency", headers=sign_in(http, "admin@demo.studio")).json()
    (text,) = [one for one in answer["routes"] if one["route"] == "/api/search/text"]
    assert text["requests"] >= 1 and 0 < text["p50"] <= text["p95"] <= text["p99"]


METRICS = (
    'studio_http_requests_total{.*route="/api/search/text".*status="200"',
    'studio_http_request_seconds_bucket{.*route="/api/search/text"',
    'studio_batch_size_count{.*batcher="texts"',
    'studio_batch_waiting{.*batcher="texts"',
    'studio_batch_seconds_count{.*batcher="searches"',
    'studio_batch_wait_seconds_count{.*batcher="pictures"',
    'studio_tryon_phase_seconds_count{.*phase="queue"',
    'studio_tryon_phase_seconds_count{.*phase="warp"',
    'component_rss_bytes{.*Component="gcs"',
    'component_rss_bytes{.*Component="ray::ServeController',
    'studio_index_version{.*version="2',
    "studio_index_products{",
    'studio_jobs{.*type="import-catalog"',
    'studio_jobs_queued{.*type="rebuild-index"',
)


# Slow: Ray exports metrics every few seconds.
def test_prometheus_reads_the_studio_through_ray(
    whole_studio: WholeStudio, followed: tuple[str, str]
) -> None:
    def missing() -> list[str]:
        names = whole_studio.metrics()
        patterns = [re.compile(f"ray_{one}") for one in METRICS]
        return [one.pattern for one in patterns if not any(one.match(name) for name in names)]

    wait_for(lambda: not missing(), 60)


def queries() -> Iterator[str]:
    """The expressions of all panels and rules."""
    ops = PROJECT_ROOT / "ops"
    for panel in json.loads((ops / "grafana.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in yaml.safe_load((ops / "prometheus-rules.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


NOT_HERE = {
    "ray_node_gpus_utilization", "ray_node_gram_used", "ray_node_gram_available",
    "ray_component_gpu_percentage", "ray_studio_gpu_memory_bytes",  # of machines with a GPU
    "ray_studio_tryon_step_seconds_bucket",  # of a diffusion painter
    "ray_studio_regressor_coverage",  # of merchants that have trained
}  # fmt: skip
"""Metrics that this studio does not export; `tests/ops/test_alerts.py` knows their labels."""


# Slow: Ray exports metrics every few seconds.
def test_what_dashboard_and_alerts_ask_for_is_exported(
    whole_studio: WholeStudio, followed: tuple[str, str]
) -> None:
    labels: dict[str, set[str]] = {}
    for query in queries():
        for metric, its_labels in read_query(query).labels.items():
            labels.setdefault(metric, set()).update(its_labels)
    expected = {metric for metric in labels if metric.startswith("ray_")} - NOT_HERE
    assert len(expected) > 25

    def missing() -> set[str]:
        exported: dict[str, set[str]] = {}
        for series in whole_studio.metrics():
            metric, _, rest = series.partition("{")
            exported.setdefault(metric, set()).update(re.findall(r'(\w+)="', rest))
        return {
            f"{metric} {sorted(labels[metric])}"
            for metric in expected
            if metric not in exported or labels[metric] - exported[metric]
        }

    with suppress(AssertionError):
        wait_for(lambda: not missing(), 60)
    assert missing() == set()
