"""An evaluation reads each picture once, and refuses inputs that are too large before reading."""

import asyncio
from collections.abc import Hashable

import httpx
import pytest

from errors import RateLimited
from studio.ports import Studio
from studio.sales import evaluate as sales_evaluation
from studio.sales.forms import EvaluationForm
from tests.gateway.routes.test_analytics import CSV, sales_csv, stock, whoami
from tests.gateway.routes.test_jobs import dataset
from tests.gateway.routes.test_search import upload
from tests.support.fakes import picture, sign_in


async def test_a_picture_of_many_observations_is_read_once(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await sign_in(client, studio, "merchant")
    files = [await upload(client, headers, picture(colour)) for colour in ("blue", "red")]
    observations = [
        {"fileId": files[at % 2], "units": 5 + at, "category": "dress"} for at in range(100)
    ]
    reads = list[str]()
    get = studio.blobs.get

    async def count(key: str) -> bytes:
        reads.append(key)
        return await get(key)

    monkeypatch.setattr(studio.blobs, "get", count)
    body = {"observations": observations}
    answer = await client.post("/api/analytics/eval", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["n"] == 100
    assert len(reads) == len(set(reads)) == 2


async def test_an_observation_of_anothers_file_is_named(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner, rival = [await sign_in(client, studio, "merchant") for _ in range(2)]
    file_id = await upload(client, owner, picture("blue"))
    body = {"observations": [{"fileId": file_id, "units": 1}]}
    answer = await client.post("/api/analytics/eval", json=body, headers=rival)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "/observations/0: no such picture"


async def test_a_header_of_many_columns_is_refused_in_few_words(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    names = (f"column-{at}" for at in range(8000))
    file_id = await dataset(client, headers, ",".join(names).encode() + b"\n", **CSV)
    answer = await client.post("/api/analytics/eval", json={"fileId": file_id}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the header has 8,000 columns; at most 100 are allowed"


async def test_a_file_that_is_too_large_is_not_fetched(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 3)
    file_id = await dataset(client, headers, sales_csv(ids).encode(), **CSV)
    monkeypatch.setattr(sales_evaluation, "MOST_FILE_BYTES", 10)
    answer = await client.post("/api/analytics/eval", json={"fileId": file_id}, headers=headers)
    assert answer.status_code == 413, answer.text


def test_the_first_wrong_observation_ends_the_judging() -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        EvaluationForm.model_validate({"observations": [{"units": -1, "productId": "a"}] * 2000})


async def test_two_evaluations_wait_for_their_pictures_and_blame_none(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account's eleventh concurrent download was once reported as an invalid picture."""
    places = studio.fetcher._callers

    async def fetch_image(url: str, caller: Hashable, *, is_patient: bool = False) -> bytes:
        async with places.place(caller, is_patient=is_patient):
            await asyncio.sleep(0.01)
            return picture("blue")

    monkeypatch.setattr(studio.fetcher, "fetch_image", fetch_image)
    headers = await sign_in(client, studio, "merchant")
    evaluations = [
        [
            {"imageUrl": f"https://{name}.example/{at}.jpg", "units": 5 + at, "category": "dress"}
            for at in range(20)
        ]
        for name in "ab"
    ]
    answers = await asyncio.gather(
        *(
            client.post("/api/analytics/eval", json={"observations": lines}, headers=headers)
            for lines in evaluations
        )
    )
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text


async def test_a_picture_that_nobody_may_fetch_now_is_not_a_bad_one(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch_image(url: str, caller: Hashable, *, is_patient: bool = False) -> bytes:
        raise RateLimited("the hosts of your earlier pictures are still being looked up")

    monkeypatch.setattr(studio.fetcher, "fetch_image", fetch_image)
    headers = await sign_in(client, studio, "merchant")
    lines = [{"imageUrl": "https://pictures.example/a.jpg", "units": 5}]
    body = {"observations": lines}
    answer = await client.post("/api/analytics/eval", json=body, headers=headers)
    assert answer.status_code == 429
    assert "observations" not in answer.json()["detail"]
