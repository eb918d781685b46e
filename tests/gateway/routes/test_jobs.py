"""Jobs over HTTP: permissions, progress and cancelling."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from db.job_claims import finish_jobs
from db.tables import JobEvent
from jobs.claim import ClaimRequest, claim
from settings import Settings
from studio.ports import Studio
from tests.gateway.routes.test_search import product, upload
from tests.jobs.working import dispatching, until_state
from tests.support.fakes import picture, sign_in
from tests.support.live import open_live_studio


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


async def dataset(
    client: httpx.AsyncClient, headers: dict[str, str], data: bytes, *,
    name: str = "a.jsonl", kind: str = "application/x-ndjson",
) -> str:  # fmt: skip
    """Uploads a dataset, by default of JSON lines."""
    body = {
        "filename": name, "contentType": kind, "sizeBytes": len(data),
        "purpose": "dataset",
    }  # fmt: skip
    receipt = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    await client.put(receipt["url"], content=data, headers=receipt["headers"])
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == 200, done.text
    return str(receipt["fileId"])


def events_in(text: str) -> list[tuple[int, dict[str, object]]]:
    """The id and the data of each event of a stream."""
    ids = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            ids.append((int(fields["id"]), json.loads(fields["data"])))
    return ids


REBUILD = {"type": "rebuild-index", "payload": {"full": True}}


def days_ahead(days: int) -> str:
    """A time from now as JSON."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def fail_running(studio: Studio, job_id: str) -> None:
    """Claims the job and marks it as failed, as a worker does."""
    (one,) = await claim(
        studio.database, ClaimRequest(["rebuild-index"], 1), owner="t", lease_s=9,
        deadlines={"rebuild-index": 9},
    )  # fmt: skip
    assert str(one.id) == job_id
    async with studio.database.transaction() as session:
        await finish_jobs(session, [one.row | {"state": "failed", "error": "so it is"}])


async def test_a_rebuild_is_asked_for_watched_and_read(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    merchant = await sign_in(client, studio, "merchant")
    file_id = await upload(client, merchant, picture("red"))
    for turn in range(3):
        body = product(file_id, 0)
        await client.put(f"/api/catalog/products/p-{turn}", json=body, headers=merchant)
    headers = await sign_in(client, studio, "admin")
    accepted = await client.post("/api/jobs", json=REBUILD, headers=headers)
    assert accepted.status_code == 202, accepted.text
    path = f"/api/jobs/{accepted.json()['jobId']}"
    queued = (await client.get(path, headers=headers)).json()
    assert (queued["state"], queued["attempts"], queued["startedAt"]) == ("queued", 0, None)
    async with dispatching(studio):
        stream = await client.get(f"{path}/events", headers=headers)
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = events_in(stream.text)
    assert [event["state"] for _, event in events][:2] == ["queued", "running"]
    assert events[-1][1]["state"] == "succeeded"
    done = (await client.get(path, headers=headers)).json()
    assert (done["state"], done["result"]["embedded"]) == ("succeeded", 3)
    versions = (await client.get("/api/admin/index/versions", headers=headers)).json()["items"]
    (active,) = [one for one in versions if one["status"] == "active"]
    assert active["version"] == done["result"]["version"]
    ids = [event_id for event_id, _ in events]
    resumed = await client.get(f"{path}/events", headers=headers | {"Last-Event-ID": str(ids[1])})
    assert [event_id for event_id, _ in events_in(resumed.text)] == ids[2:]
    over = await client.get(f"{path}/events", headers=headers | {"Last-Event-ID": str(ids[-1])})
    assert over.status_code == 204


@pytest.mark.parametrize(
    ("body", "role", "status", "path"),
    [
        ({"type": "nothing"}, "admin", 422, "/type"),
        ({}, "customer", 422, "/type"),
        (REBUILD, "merchant", 403, None),
        ({"type": "import-catalog", "payload": {}}, "customer", 403, None),
        ({"type": "import-catalog", "payload": {}}, "merchant", 422, "/payload/fileId"),
        ({"type": "import-catalog", "payload": {"fileId": str(uuid4())}}, "merchant", 404, None),
        ({"type": "import-catalog", "payload": {"blobKey": "x"}}, "merchant", 422,
         "/payload/fileId"),
        (REBUILD | {"payload": {"full": "perhaps"}}, "admin", 422, "/payload/full"),
        (REBUILD | {"payload": {"extra": 1}}, "admin", 422, "/payload/extra"),
        (REBUILD | {"payload": []}, "admin", 422, "/payload"),
        (REBUILD | {"priority": 1000}, "admin", 422, "/priority"),
        (REBUILD | {"runAt": "2030-01-01T00:00:00"}, "admin", 422, "/runAt"),
        (REBUILD | {"runAt": days_ahead(31)}, "admin", 422, "/runAt"),
        (REBUILD | {"runAt": "9999-12-31T23:59:59Z"}, "admin", 422, "/runAt"),
        ({"type": "train-regressor", "payload": {"fileId": str(uuid4())}, "priority": 1},
         "merchant", 403, None),
        ({"type": "tryon", "payload": {}}, "customer", 422, "/payload/personUrl"),
        ({"type": "segment-batch"}, "customer", 403, None),
        ({"type": "segment-batch"}, "merchant", 422, "/payload"),
        ({"type": "segment-batch", "payload": {"fileIds": [1]}}, "merchant", 422,
         "/payload/fileIds/0"),
        ({"type": "train-regressor"}, "merchant", 422, "/payload/fileId"),
    ],
)  # fmt: skip
async def test_what_is_not_accepted(
    client: httpx.AsyncClient,
    studio: Studio,
    body: dict[str, object],
    role: str,
    status: int,
    path: str | None,
) -> None:
    headers = await sign_in(client, studio, role)
    answer = await client.post("/api/jobs", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    if path is not None:
        assert path in {error["path"] for error in answer.json()["errors"]}
    assert (await client.get("/api/jobs", headers=headers)).json()["items"] == []


async def test_one_key_is_one_job(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio, "admin") | {"Idempotency-Key": "once"}
    first = await client.post("/api/jobs", json=REBUILD, headers=headers)
    again = await client.post("/api/jobs", json=REBUILD, headers=headers)
    assert first.json() == again.json()
    other = await client.post("/api/jobs", json=REBUILD | {"payload": {}}, headers=headers)
    assert other.status_code == 409


async def test_jobs_are_cancelled_and_retried_by_those_whose_they_are(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "admin")
    stranger = await sign_in(client, studio, "merchant")
    options = {"runAt": days_ahead(29), "priority": 3}
    job_id = (await client.post("/api/jobs", json=REBUILD | options, headers=headers)).json()[
        "jobId"
    ]
    path = f"/api/jobs/{job_id}"
    for call in (client.get, client.delete):
        assert (await call(path, headers=stranger)).status_code == 404
    assert (await client.get(f"{path}/events", headers=stranger)).status_code == 404
    assert (await client.post(f"{path}/retry", headers=stranger)).status_code == 404
    assert (await client.post(f"{path}/retry", headers=headers)).status_code == 409
    cancelled = await client.delete(path, headers=headers)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (await client.delete(path, headers=headers)).status_code == 200
    failed = (await client.post("/api/jobs", json=REBUILD, headers=headers)).json()["jobId"]
    await fail_running(studio, failed)
    read = (await client.get(f"/api/jobs/{failed}", headers=headers)).json()
    assert (read["state"], read["error"]) == ("failed", "so it is")
    assert (await client.delete(f"/api/jobs/{failed}", headers=headers)).status_code == 409
    retried = await client.post(f"/api/jobs/{failed}/retry", headers=headers)
    assert (retried.status_code, retried.json()) == (202, {"jobId": failed})
    async with dispatching(studio):
        assert (await until_state(studio, UUID(failed))).state == "succeeded"


async def test_a_cancelled_import_leaves_no_file(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio, "merchant")
    csv = headers | {"content-type": "text/csv"}
    answer = await client.post("/api/catalog/import", content=b"title\nA thing\n", headers=csv)
    assert len([key async for key in studio.blobs.list("uploads/imports/")]) == 1
    await client.delete(f"/api/jobs/{answer.json()['jobId']}", headers=headers)
    assert [key async for key in studio.blobs.list("uploads/imports/")] == []


async def test_an_import_goes_on_after_its_worker_died_and_doubles_nothing(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    lines = [json.dumps(product(file_id, 0)) for _ in range(20)]
    lines[2] = "{broken"
    payload = {"fileId": await dataset(client, headers, "\n".join(lines).encode())}
    body = {"type": "import-catalog", "payload": payload}
    job_id = (await client.post("/api/jobs", json=body, headers=headers)).json()["jobId"]
    async with dispatching(studio):
        await until_state(studio, UUID(job_id))
    # As if the worker had died before it could write the end: all lines but the first 8 again.
    async with studio.database.transaction() as session:
        job = await session.get(type(await until_state(studio, UUID(job_id))), UUID(job_id))
        assert job is not None
        job.state, job.progress_done, job.result, job.finished_at = "queued", 8, None, None
        session.add(job)
        session.add(JobEvent(job_id=job.id, state="queued", progress={}))
    async with dispatching(studio):
        job = await until_state(studio, UUID(job_id))
    assert job.result is not None
    assert (job.result["imported"], job.result["failed"]) == (19, 1)
    assert [error["line"] for error in job.result["errors"]] == [3]
    listed = (await client.get("/api/catalog/products?limit=100")).json()["items"]
    assert len(listed) == 19
