"""POST /api/cv/segmentation: the mask, the row that is left, and what is refused."""

import io
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import Image
from sqlmodel import select

from db.tables import SegmentationResult
from errors import Unavailable
from studio.ports import Studio
from tests.gateway.resources import Account, open_account, upload
from tests.support.fakes import FakeSegmenter
from tests.support.servers import empty_cache

URL = "/api/cv/segmentation"


def lying_square() -> bytes:
    """A dark square of 40 x 30 at (20, 10) on light ground."""
    image = Image.new("RGB", (100, 60), (240, 240, 240))
    image.paste((40, 40, 90), (20, 10, 60, 40))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def account(client: httpx.AsyncClient, studio: Studio) -> Account:
    return await open_account(client, studio, "customer")


@pytest.fixture
async def file(client: httpx.AsyncClient, account: Account) -> dict[str, str]:
    return await upload(client, account, lying_square(), contentType="image/png", filename="a.png")


async def rows(studio: Studio) -> list[SegmentationResult]:
    async with studio.database.transaction() as session:
        return list((await session.exec(select(SegmentationResult))).all())


async def test_a_mask_and_its_row(
    client: httpx.AsyncClient, studio: Studio, account: Account, file: dict[str, str]
) -> None:
    body = {"fileId": file["id"], "target": "garment"}
    answer = await client.post(URL, json=body, headers=account.headers)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["bbox"] == {"x": 20, "y": 10, "width": 40, "height": 30}
    assert (result["width"], result["height"], result["area"]) == (100, 60, 1200)
    mask = Image.open(io.BytesIO((await client.get(result["maskUrl"])).content))
    assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (100, 60))
    assert set(np.unique(np.asarray(mask))) == {0, 255}
    assert int((np.asarray(mask) == 255).sum()) == result["area"]
    row = next(one for one in await rows(studio) if one.user_id == account.id)
    assert (row.label, row.area, row.score) == (result["label"], result["area"], result["score"])
    assert row.bbox == result["bbox"]
    assert row.params == {"target": "garment"}
    assert row.model_version == "fake-segmenter"
    assert row.request_id == answer.headers["x-request-id"]
    assert row.mask_key.startswith("masks/")


async def test_a_mask_is_its_makers_and_may_be_used_again(
    client: httpx.AsyncClient, studio: Studio, account: Account, file: dict[str, str]
) -> None:
    body = {"fileId": file["id"]}
    mask_url = (await client.post(URL, json=body, headers=account.headers)).json()["maskUrl"]
    own = await client.post(URL, json={"imageUrl": mask_url}, headers=account.headers)
    assert own.status_code == 200
    stranger = await open_account(client, studio, "customer")
    foreign = await client.post(URL, json={"imageUrl": mask_url}, headers=stranger.headers)
    assert foreign.status_code == 404


async def test_one_key_makes_one_mask(
    client: httpx.AsyncClient, studio: Studio, account: Account, file: dict[str, str]
) -> None:
    headers = account.headers | {"Idempotency-Key": "once"}
    first = await client.post(URL, json={"fileId": file["id"]}, headers=headers)
    empty_cache(studio.settings.required("redis_url"))
    again = await client.post(URL, json={"fileId": file["id"]}, headers=headers)
    assert first.json()["maskUrl"].split("?")[0] == again.json()["maskUrl"].split("?")[0]
    assert len([one for one in await rows(studio) if one.user_id == account.id]) == 1
    other = {"fileId": file["id"], "target": "upper"}
    empty_cache(studio.settings.required("redis_url"))
    assert (await client.post(URL, json=other, headers=headers)).status_code == 409
    assert first.json() | {"maskUrl": ""} == again.json() | {"maskUrl": ""}


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [[30, 20]]},
        {"points": [{"x": 30, "y": 20, "label": 1}, {"x": 1, "y": 1, "label": 0}]},
        {"points": [[30, 20, 1]], "box": [20, 10, 60, 40]},
        {"box": {"x": 20, "y": 10, "width": 40, "height": 30}},
    ],
)
async def test_ways_to_say_a_prompt(
    client: httpx.AsyncClient, account: Account, file: dict[str, str], prompt: dict[str, Any]
) -> None:
    body = {"fileId": file["id"]} | prompt
    answer = await client.post(URL, json=body, headers=account.headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("prompt", "path"),
    [
        ({"target": "hat"}, "/target"),
        ({"points": []}, "/points"),
        ({"points": [[1]]}, "/points/0"),
        ({"points": [[1, 2, 3]]}, "/points/0/label"),
        ({"points": [["a", 2]]}, "/points/0/x"),
        ({"box": [1, 2, 3]}, "/box"),
        ({"box": {"x": 1}}, "/box"),
        ({"box": {"x": 1, "y": 1, "width": 1, "height": 1, "depth": 1}}, "/box"),
        ({"other": 1}, "/other"),
        ({"imageUrl": "https://example.com/a.jpg"}, ""),
    ],
)
async def test_prompts_that_say_nothing(
    client: httpx.AsyncClient, account: Account, file: dict[str, str], prompt: dict[str, Any],
    path: str,
) -> None:  # fmt: skip
    body = {"fileId": file["id"]} | prompt
    answer = await client.post(URL, json=body, headers=account.headers)
    assert answer.status_code == 422, answer.text
    assert any(error["path"].startswith(path) for error in answer.json()["errors"])


async def test_what_fails_leaves_no_row(
    client: httpx.AsyncClient, studio: Studio, account: Account, file: dict[str, str]
) -> None:
    headers = account.headers
    person = {"fileId": file["id"], "target": "person"}
    answer = await client.post(URL, json=person, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "there is no person in the picture"
    absent = await client.post(URL, json={"fileId": str(uuid4())}, headers=headers)
    assert absent.status_code == 404
    assert isinstance(studio.segmenter, FakeSegmenter)
    studio.segmenter.failure = Unavailable("Segmenter is saturated")
    busy = await client.post(URL, json={"fileId": file["id"]}, headers=headers)
    assert busy.status_code == 503
    assert busy.headers["retry-after"]
    assert (await client.post(URL, json={"fileId": file["id"]})).status_code == 401
    assert not [one for one in await rows(studio) if one.user_id == account.id]


async def test_a_strangers_picture_is_not_there(
    client: httpx.AsyncClient, studio: Studio, file: dict[str, str]
) -> None:
    stranger = await open_account(client, studio, "merchant")
    body = {"fileId": file["id"]}
    assert (await client.post(URL, json=body, headers=stranger.headers)).status_code == 404
