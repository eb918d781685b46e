"""A merchant's own regressor on the whole studio: training, evaluation and roll-back under load."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest

from local.client import sign_in
from tests.acceptance.test_jobs import read, watch

SOLD = 160
DEARER = {"red": 30.0, "black": 20.0, "navy": 12.0}
"""Units sold by colour; other colours sell 4."""


def list_product_ids(http: httpx.Client) -> list[str]:
    """Product ids of the demo catalogue, whose pictures are embedded already."""
    ids: list[str] = []
    cursor: str | None = None
    while len(ids) < SOLD:
        page = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        answer = http.get("/api/catalog/products", params=page).json()
        ids += [one["id"] for one in answer["items"] if one["id"].startswith("demo-")]
        cursor = answer["nextCursor"]
    return ids[:SOLD]


def sales_csv(ids: list[str]) -> bytes:
    """A CSV file with two lines for each product; the units depend on its colour."""
    random = np.random.default_rng(5)
    lines = ["productId,date,units"]
    for turn, product_id in enumerate(ids):
        for month in (1, 7):
            units = round(DEARER.get(product_id.split("-")[2], 4.0) * random.uniform(0.9, 1.1))
            lines.append(f"{product_id},2025-{month:02}-{turn % 28 + 1:02},{units}")
    return "\n".join(lines).encode()


def upload_csv(http: httpx.Client, headers: dict[str, str], data: bytes) -> str:
    announced = {
        "filename": "sales.csv", "contentType": "text/csv", "sizeBytes": len(data),
        "purpose": "dataset",
    }  # fmt: skip
    ticket = http.post("/api/files/presign", json=announced, headers=headers).json()
    httpx.put(ticket["url"], content=data, headers=ticket["headers"], timeout=60).raise_for_status()
    done = http.post(f"/api/files/{ticket['fileId']}/complete", headers=headers)
    assert done.status_code == 200, done.text
    return str(ticket["fileId"])


@contextmanager
def asking(url: str, headers: dict[str, str], product_id: str) -> Iterator[list[dict[str, Any]]]:
    """Requests predictions without a pause while the block runs; collects the answers in order."""
    answers: list[dict[str, Any]] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            while not ended.is_set():
                answer = http.post("/api/analytics/predict", json={"productId": product_id})
                answers.append({"status": answer.status_code} | answer.json())

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


def train(http: httpx.Client, headers: dict[str, str], data: bytes) -> dict[str, Any]:
    """Trains a version, follows the events of the job to the end, and returns the job."""
    file_id = upload_csv(http, headers, data)
    answer = http.post("/api/analytics/train", json={"fileId": file_id}, headers=headers)
    assert answer.status_code == 202, answer.text
    events = [event for _, event in watch(http, headers, answer.json()["jobId"])]
    messages = [event["progress"]["message"] for event in events]
    job = read(http, headers, answer.json()["jobId"])
    assert job["state"] == "succeeded", job
    assert any("lines read" in one for one in messages), messages
    return job


@pytest.fixture
def headers(http: httpx.Client) -> Iterator[dict[str, str]]:
    """Headers of the demo merchant; the starter regressor is active before and after the test."""
    signed_in = sign_in(http)
    path = "/api/analytics/versions/starter/activate"
    assert http.post(path, headers=signed_in).status_code == 200
    yield signed_in
    assert http.post(path, headers=signed_in).status_code == 200


# Slow: two regressors are trained, each in a new Ray worker.
def test_training_activation_and_rolling_back_drop_no_request(
    http: httpx.Client, studio_url: str, headers: dict[str, str]
) -> None:
    ids = list_product_ids(http)

    def now() -> str:
        body = {"productId": ids[0]}
        answer = http.post("/api/analytics/predict", json=body, headers=headers)
        return str(answer.json()["modelVersion"])

    def activate(version: str) -> None:
        path = f"/api/analytics/versions/{version}/activate"
        assert http.post(path, headers=headers).status_code == 200
        assert now() == (starter if version == "starter" else version)

    starter = now()
    with asking(studio_url, headers, ids[0]) as answers:
        champion = train(http, headers, sales_csv(ids))["result"]
        assert champion["live"] and champion["metrics"]["champion"] == starter
        assert now() == champion["version"]
        challenger = train(http, headers, sales_csv(ids))["result"]  # the same can't be better
        assert challenger["metrics"]["champion"] == champion["version"]
        assert not challenger["live"] and now() == champion["version"]
        for version in ("starter", champion["version"], challenger["version"], "starter"):
            activate(version)
    assert {one["status"] for one in answers} == {200}, answers[-1]
    assert all(one["errLow"] <= one["score"] <= one["errHigh"] for one in answers)
    order = [one["modelVersion"] for one in answers]
    changes = [at for at in range(1, len(order)) if order[at] != order[at - 1]]
    versions = [order[0], *(order[at] for at in changes)]
    assert versions[:2] == [starter, champion["version"]], versions
    listed = http.get("/api/analytics/versions", headers=headers).json()["items"]
    assert {champion["version"], challenger["version"]} <= {one["version"] for one in listed}
