"""One request in the logs, spans and metrics of every process."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import search, sign_in
from settings import PROJECT_ROOT
from tests.support.cluster import WholeStudio
from tests.support.collector import Span


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


@pytest.fixture(scope="module")
def followed(whole_studio: WholeStudio) -> tuple[str, str]:
    """The ids of a search and of the request behind a job."""
    searched, imported = f"search-{uuid4().hex[:12]}", f"job-{uuid4().hex[:12]}"
    with httpx.Client(base_url=whole_studio.url, timeout=60) as http:
        search(http, "text", query=f"never asked {searched}", headers={"X-Request-ID": searched})
        import_one(http, imported)
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


# Slow: Ray exports metrics every few seconds.
def test_what_dashboard_and_alerts_ask_for_is_exported(
    whole_studio: WholeStudio, followed: tuple[str, str]
) -> None:
    names = {
        name
        for file in ("grafana.json", "prometheus-rules.yaml")
        for name in re.findall(r"\bray_[a-z_]+[a-z]\b", (PROJECT_ROOT / "ops" / file).read_text())
    } - {"ray_node_gpus_utilization", "ray_node_gram_used"}  # of machines that have a GPU
    assert len(names) > 12

    def missing() -> set[str]:
        return names - {name.partition("{")[0] for name in whole_studio.metrics()}

    with suppress(AssertionError):
        wait_for(lambda: not missing(), 60)
    assert missing() == set()
