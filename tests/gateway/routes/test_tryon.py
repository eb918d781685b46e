"""Try-ons over HTTP: at once, queued, remembered, refused; the same picture and rows either way."""

import asyncio
import io
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sqlmodel import func, select
from starlette.requests import ClientDisconnect, Request

from db.tables import Job, TryonJob
from errors import Invalid, Unavailable
from gateway.deadline import HEADER
from gateway.routes.tryon import unless_gone
from jobs.inline import InlineExecutor
from studio.ports import Studio
from tests.gateway.routes.test_files import ready
from tests.jobs.working import SOON, dispatching, events_of, until_state
from tests.support.fakes import FakeSegmenter, FakeTryOn, picture, sign_in
from tests.support.servers import empty_cache


def mask_png(size: tuple[int, int] = (32, 24)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0]), 255, np.uint8)).save(out, "PNG")
    return out.getvalue()


async def until(is_so: Callable[[], bool]) -> None:
    """Looks often; a test's own time limit ends what never comes."""
    while not is_so():  # noqa: ASYNC110 - others change it
        await asyncio.sleep(0.005)


class Shopper:
    """A customer with a selfie, a garment and its mask."""

    def __init__(self, client: httpx.AsyncClient, studio: Studio, headers: dict[str, str]) -> None:
        self.client, self.studio, self.headers = client, studio, headers
        self.body: dict[str, Any] = {}

    async def prepare(self) -> "Shopper":
        self.body = {
            "personUrl": await self.url(picture("blue", (64, 96), "PNG")),
            "garmentUrl": await self.url(picture("red", (32, 24), "PNG")),
            "maskUrl": await self.url(mask_png()),
            "seed": 5,
        }
        return self

    async def url(self, data: bytes) -> str:
        file = await ready(self.client, self.headers, data, contentType="image/png")
        return str(file["readUrl"])

    async def ask(self, **changes: Any) -> httpx.Response:
        headers = self.headers | changes.pop("headers", {})
        return await self.client.post("/api/cv/tryon", json=self.body | changes, headers=headers)

    async def finish(self, answer: httpx.Response) -> dict[str, Any]:
        """The job's own answer, once it has ended."""
        assert answer.status_code == 202, answer.text
        job_id = UUID(answer.json()["jobId"])
        async with dispatching(self.studio):
            await until_state(self.studio, job_id)
        return await self.get(f"/api/jobs/{job_id}")

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.client.get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def pixels(self, url: str) -> NDArray[np.uint8]:
        answer = await self.client.get(url)
        assert answer.headers["content-type"] == "image/png"
        return np.asarray(Image.open(io.BytesIO(answer.content)))

    async def rows(self) -> tuple[int, int]:
        """How many try-ons and jobs there are."""
        async with self.studio.database.read() as session:
            counts = [
                (await session.exec(select(func.count()).select_from(table))).one()
                for table in (TryonJob, Job)
            ]
        return counts[0], counts[1]


@pytest.fixture
async def shopper(client: httpx.AsyncClient, studio: Studio) -> Shopper:
    headers = await sign_in(client, studio)
    return await Shopper(client, studio, headers).prepare()


@pytest.fixture
def model(studio: Studio) -> FakeTryOn:
    return cast(FakeTryOn, studio.tryon)


async def test_direct_and_queued_make_the_same_picture_and_the_same_row(shopper: Shopper) -> None:
    direct = (await shopper.ask(mode="sync")).json()
    job = await shopper.finish(await shopper.ask(mode="queued"))
    pictures = [await shopper.pixels(one["outputUrl"]) for one in (direct, job["result"])]
    assert pictures[0].shape == (96, 64, 3)
    np.testing.assert_array_equal(pictures[0], pictures[1])
    queued, done = (await shopper.get("/api/cv/tryons"))["items"]
    assert (queued["jobId"], done["jobId"]) == (job["id"], None)
    assert (queued["id"], done["id"]) == (job["result"]["tryonId"], direct["tryonId"])
    ours = ("state", "seed", "params", "modelVersion", "error")
    assert [queued[name] for name in ours] == [done[name] for name in ours]
    assert queued["state"] == "succeeded" and set(queued["timings"]) == set(done["timings"])
    assert direct["seed"] == 5 and direct["steps"] == ["paste"]


async def test_a_job_asked_for_as_a_job_makes_the_same_picture_and_row(shopper: Shopper) -> None:
    direct = (await shopper.ask(mode="sync")).json()
    order = {"type": "tryon", "payload": shopper.body}
    answer = await shopper.client.post("/api/jobs", json=order, headers=shopper.headers)
    job = await shopper.finish(answer)
    pictures = [await shopper.pixels(one["outputUrl"]) for one in (direct, job["result"])]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    row = await shopper.get(f"/api/cv/tryons/{job['id']}")
    assert (row["state"], row["jobId"], row["seed"]) == ("succeeded", job["id"], 5)


async def test_auto_makes_a_job_of_what_is_large_or_meets_a_queue(
    shopper: Shopper, model: FakeTryOn
) -> None:
    assert (await shopper.ask()).status_code == 200
    model.direct_pixels = 64 * 96 - 1
    assert (await shopper.ask()).status_code == 202
    model.direct_pixels, model.pause_s = 10**6, 1.0
    first, second = (asyncio.create_task(shopper.ask(mode="sync")) for _ in range(2))
    await until(lambda: model.waiting == 2)
    assert (await shopper.ask()).status_code == 202
    assert [(await one).status_code for one in (first, second)] == [200, 200]


async def test_requests_of_an_account_are_served_in_order(
    shopper: Shopper, model: FakeTryOn
) -> None:
    model.pause_s = 0.15
    requests = []
    for seed in range(3):
        requests.append(asyncio.create_task(shopper.ask(mode="sync", seed=seed)))
        await until(lambda: model.waiting + model.ended > seed)  # noqa: B023 - used at once
    assert [(await one).status_code for one in requests] == [200] * 3
    assert [order.seed for order in model.orders] == [0, 1, 2]


async def test_sync_requests_of_an_account_take_only_a_part_of_the_queue(
    shopper: Shopper, model: FakeTryOn, client: httpx.AsyncClient, studio: Studio
) -> None:
    """A free account's sync try-ons filled the queue of everybody, and were served before all."""
    other = await Shopper(client, studio, await sign_in(client, studio)).prepare()
    model.pause_s = 0.3
    requests = []
    for seed in range(3):
        requests.append(asyncio.create_task(shopper.ask(mode="sync", seed=seed)))
        await until(lambda: model.waiting + model.ended > seed)  # noqa: B023 - used at once
    refused = await shopper.ask(mode="sync", seed=9)
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    requests.append(asyncio.create_task(other.ask(mode="sync", seed=7)))
    assert [(await one).status_code for one in requests] == [200] * 4
    assert len({ticket.owner for ticket in model.tickets}) == 2
    assert {ticket.network for ticket in model.tickets} == {"192.0.2.1"}


async def test_a_full_queue_is_a_503_that_leaves_nothing(
    shopper: Shopper, model: FakeTryOn
) -> None:
    model.failure = Unavailable("8 try-ons wait already")
    answer = await shopper.ask(mode="sync")
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert await shopper.rows() == (0, 0)
    answer = await shopper.ask(mode="auto")
    assert answer.status_code == 202 and await shopper.rows() == (1, 1)


async def test_a_job_that_fails_or_is_cancelled_takes_its_try_on_along(
    shopper: Shopper, model: FakeTryOn
) -> None:
    model.failure = Invalid("no person was found in the picture").about("person")
    job = await shopper.finish(await shopper.ask(mode="queued"))
    row = await shopper.get(f"/api/cv/tryons/{job['id']}")
    assert (row["state"], row["error"]) == (
        "failed",
        "personUrl: no person was found in the picture",
    )
    waiting = (await shopper.ask(mode="queued")).json()["jobId"]
    await shopper.client.delete(f"/api/jobs/{waiting}", headers=shopper.headers)
    assert (await shopper.get(f"/api/cv/tryons/{waiting}"))["state"] == "cancelled"


async def test_a_running_job_stops_between_steps(shopper: Shopper, model: FakeTryOn) -> None:
    model.pause_s = 30.0
    job_id = UUID((await shopper.ask(mode="queued")).json()["jobId"])
    executor = InlineExecutor(shopper.studio, SOON)
    async with dispatching(shopper.studio, executor=executor):
        await until(lambda: bool(model.orders))
        await shopper.client.delete(f"/api/jobs/{job_id}", headers=shopper.headers)
        executor.cancel_all()
        assert (await until_state(shopper.studio, job_id)).state == "cancelled"
    assert model.ended == 0
    messages = [event.progress["message"] for event in await events_of(shopper.studio, job_id)]
    assert "painting" in messages
    assert (await shopper.get(f"/api/cv/tryons/{job_id}"))["state"] == "cancelled"


async def test_work_ends_when_its_caller_leaves() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await unless_gone(Request({"type": "http"}, receive), work())
    assert ended.is_set()


async def test_a_late_try_on_leaves_nothing(shopper: Shopper, model: FakeTryOn) -> None:
    model.pause_s = 30.0
    answer = await shopper.ask(mode="sync", headers={HEADER: "1000"})
    assert answer.status_code == 504, answer.text
    assert await shopper.rows() == (0, 0) and (model.waiting, model.ended) == (0, 0)
    assert [key async for key in shopper.studio.blobs.list("tryon/")] == []


async def test_one_key_one_try_on(shopper: Shopper) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first = (await shopper.ask(headers=key)).json()
    again = (await shopper.ask(headers=key)).json()
    assert first["tryonId"] == again["tryonId"] and await shopper.rows() == (1, 0)
    assert (await shopper.ask(headers=key, seed=6)).status_code == 409


@pytest.mark.parametrize("mode", ["sync", "queued"])
async def test_a_key_outlives_the_cache(shopper: Shopper, mode: str) -> None:
    key, url = {"Idempotency-Key": uuid4().hex}, shopper.studio.settings.required("redis_url")
    del shopper.body["seed"]
    first = await shopper.ask(headers=key, mode=mode)
    rows = await shopper.rows()
    empty_cache(url)
    again = await shopper.ask(headers=key, mode=mode)
    assert (again.status_code, answer_of(again)) == (first.status_code, answer_of(first))
    assert await shopper.rows() == rows == (1, int(mode == "queued"))
    empty_cache(url)
    assert (await shopper.ask(headers=key, mode=mode, seed=6)).status_code == 409
    stranger = await Shopper(
        shopper.client, shopper.studio, await sign_in(shopper.client, shopper.studio)
    ).prepare()
    assert answer_of(await stranger.ask(headers=key, mode=mode)) != answer_of(first)


@pytest.mark.parametrize("mode", ["sync", "queued"])
async def test_twins_that_both_work_get_one_answer(
    shopper: Shopper, model: FakeTryOn, mode: str
) -> None:
    """The cache forgets that the first one works; one row, one picture, one job are left."""
    key, model.pause_s = {"Idempotency-Key": uuid4().hex}, 0.2
    del shopper.body["seed"]
    twins = []
    for _ in range(2):
        twins.append(asyncio.create_task(shopper.ask(headers=key, mode=mode)))
        await asyncio.sleep(0.1)
        empty_cache(shopper.studio.settings.required("redis_url"))
    first, second = await asyncio.gather(*twins)
    assert answer_of(first) == answer_of(second)
    assert await shopper.rows() == (1, int(mode == "queued"))
    pictures = [name async for name in shopper.studio.blobs.list("tryon/")]
    assert len(pictures) == (mode == "sync")


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The answer, without signatures, which are made anew."""
    body: dict[str, Any] = response.json()
    return body | {"outputUrl": body.get("outputUrl", "").partition("?")[0]}


async def test_the_seed_of_a_job_is_told_and_survives_its_retries(shopper: Shopper) -> None:
    del shopper.body["seed"]
    job = await shopper.finish(await shopper.ask(mode="queued"))
    row = await shopper.get(f"/api/cv/tryons/{job['id']}")
    assert row["seed"] == job["result"]["seed"]


async def test_what_is_wrong_is_named(shopper: Shopper) -> None:
    other = await shopper.url(mask_png((30, 24)))
    answer = await shopper.ask(maskUrl=other)
    assert answer.status_code == 422
    assert "maskUrl: the mask has 30 x 24 pixels, the garment 32 x 24" in answer.json()["detail"]
    for changes, place in (
        ({"category": "shoes"}, "/category"), ({"mode": "later"}, "/mode"), ({"seed": -1}, "/seed"),
        ({"steps": 0}, "/steps"), ({"garmentUrl": ""}, "/garmentUrl"),
    ):  # fmt: skip
        answer = await shopper.ask(**changes)
        assert answer.status_code == 422 and answer.json()["errors"][0]["path"] == place
    gone = shopper.body["personUrl"].replace("/blobs/", "/blobs/x")
    assert (await shopper.ask(personUrl=gone)).status_code in (404, 422)
    assert await shopper.rows() == (0, 0)


async def test_without_a_mask_the_garment_is_segmented_first(
    shopper: Shopper, model: FakeTryOn
) -> None:
    mask = shopper.body.pop("maskUrl")
    tryon = (await shopper.ask()).json()
    assert model.orders[0].mask_key.startswith("masks/") and model.orders[0].category == "upper"
    assert tryon["timings"]["segmentMs"] > 0
    row = await shopper.get(f"/api/cv/tryons/{tryon['tryonId']}")
    again = await shopper.ask(maskUrl=row["maskUrl"])
    assert again.status_code == 200 and mask
    cast(FakeSegmenter, shopper.studio.segmenter).failure = Invalid("there is no garment in it")
    answer = await shopper.ask()
    assert answer.status_code == 422
    assert answer.json()["detail"] == "garmentUrl: there is no garment in it"


async def test_what_the_segmenter_says_of_the_garment_reaches_try_on(
    shopper: Shopper, model: FakeTryOn
) -> None:
    await shopper.ask()
    assert model.orders[0].category_shares is None  # the mask is the caller's
    del shopper.body["maskUrl"]
    await shopper.ask()
    await shopper.finish(await shopper.ask(mode="queued"))
    shares = {"upper": 1.0, "lower": 0.0, "dress": 0.0}
    assert [order.category_shares for order in model.orders[1:]] == [shares, shares]


async def test_others_neither_use_nor_see_it(shopper: Shopper) -> None:
    tryon = (await shopper.ask()).json()
    stranger = await sign_in(shopper.client, shopper.studio)
    answer = await shopper.ask(headers=stranger)
    assert answer.status_code == 404 and "personUrl" in answer.json()["detail"]
    path = f"/api/cv/tryons/{tryon['tryonId']}"
    assert (await shopper.client.get(path, headers=stranger)).status_code == 404
    listed = await shopper.client.get("/api/cv/tryons", headers=stranger)
    assert listed.json()["items"] == []


async def test_a_result_can_be_dressed_again(shopper: Shopper) -> None:
    first = (await shopper.ask()).json()
    second = await shopper.ask(personUrl=first["outputUrl"])
    assert second.status_code == 200


async def test_the_history_comes_in_pages(shopper: Shopper) -> None:
    ids = [(await shopper.ask(seed=seed)).json()["tryonId"] for seed in range(3)]
    page = await shopper.get("/api/cv/tryons?limit=2")
    rest = await shopper.get(f"/api/cv/tryons?limit=2&cursor={page['nextCursor']}")
    assert [one["id"] for one in page["items"] + rest["items"]] == ids[::-1]
    assert rest["nextCursor"] is None
