"""Jobs on the whole studio: their events, and a job that survives its killed dispatcher."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from drawing.draw import Garment, draw_garment
from local.client import encode, sign_in, upload
from tests.acceptance.test_recovery import replica
from tests.support.cluster import WholeStudio

FINAL = {"succeeded", "failed", "cancelled"}


def watch(
    http: httpx.Client, headers: dict[str, str], job_id: str, after: str = "0"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The id and data of every event; a stream that breaks off is resumed, as browsers do."""
    state = "queued"
    while state not in FINAL:
        request_headers = headers | {"Last-Event-ID": after}
        with http.stream("GET", f"/api/jobs/{job_id}/events", headers=request_headers) as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("id: "):
                    after = line.removeprefix("id: ")
                if line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    state = data["state"]
                    yield after, data


def read(http: httpx.Client, headers: dict[str, str], job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = http.get(f"/api/jobs/{job_id}", headers=headers).json()
    return job


def test_an_import_is_watched_line_by_line(http: httpx.Client) -> None:
    headers = sign_in(http)
    picture = encode(draw_garment(Garment("dress", "green", "plain", style_seed=7), size=200))
    file_id, _ = upload(http, headers, picture)
    rows = ["id,title,category,price,currency,inStock,fileId"]
    rows += [f"job-{turn},Green,dress,9.50,EUR,true,{file_id}" for turn in range(12)]
    rows.insert(5, "job-bad,Green,dress,-1,EUR,true," + file_id)
    answer = http.post(
        "/api/catalog/import", content="\n".join(rows).encode(),
        headers=headers | {"content-type": "text/csv"},
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    events = list(watch(http, headers, answer.json()["jobId"]))
    ids = [int(event_id) for event_id, _ in events]
    assert ids == sorted(set(ids))
    assert events[0][1]["state"] == "queued" and events[-1][1]["state"] == "succeeded"
    bad_lines = [bad["line"] for _, data in events for bad in data["progress"].get("errors", [])]
    assert bad_lines == [6]
    job = read(http, headers, answer.json()["jobId"])
    assert (job["result"]["imported"], job["result"]["failed"]) == (12, 1)
    for turn in range(12):
        gone = http.delete(f"/api/catalog/products/job-{turn}", headers=headers)
        assert gone.status_code == 204


# Slow: a new dispatcher takes the job over when the lease of the killed one has ended.
def test_a_rebuild_is_done_though_its_dispatcher_is_killed(
    http: httpx.Client, whole_studio: WholeStudio
) -> None:
    admin = sign_in(http, "admin@demo.studio")
    body = {"type": "rebuild-index", "payload": {"full": True}}
    job_id = http.post("/api/jobs", json=body, headers=admin).json()["jobId"]
    killed = False
    for _, data in watch(http, admin, job_id):
        if data["progress"]["done"] and not killed:
            killed = True
            replica(whole_studio, "Dispatcher").kill()
        assert http.post("/api/search/text", json={"query": "red dress"}).status_code == 200
    job = read(http, admin, job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    versions = http.get("/api/admin/index/versions", headers=admin).json()["items"]
    (active,) = [one for one in versions if one["status"] == "active"]
    assert active["version"] == job["result"]["version"]
    assert http.get("/api/health/jobs").json()["status"] == "ok"
