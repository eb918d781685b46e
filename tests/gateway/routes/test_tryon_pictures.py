"""Pictures of try-ons: others' uploads stay theirs, copies from outside tell nothing and end."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from PIL import Image
from sqlmodel import select

from db.tables import SegmentationResult, TryonJob
from errors import Invalid, NotFound, Unavailable
from integrations.fair_semaphore import Caller
from integrations.fetch import Fetcher
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from models.tryon.shapes import TryOnOrder, TryOnResult, TryOnStep, TryOnTicket
from settings import Settings
from studio.ports import Studio
from tests.gateway.full_account import (
    GARMENT,
    PASSWORD,
    SELFIE,
    FullAccount,
    blobs_of,
    open_full_account,
    tables_naming,
)
from tests.jobs.working import dispatching
from tests.support.fakes import FakeSegmenter, FakeTryOn, open_studio

GPS = 0x8825
ADDRESS = "https://pictures.example/a.jpg"


def photograph() -> bytes:
    """A JPEG that says where it was taken, and lies on its side."""
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "Ada at home"
    exif.get_ifd(GPS)[1] = "N"
    Image.new("RGB", (96, 64), "blue").save(out, "JPEG", exif=exif, comment=b"Ada at home")
    return out.getvalue()


class Outside:
    """What the guarded fetcher brings, without a network."""

    async def fetch_image(self, url: str, caller: Caller, *, is_patient: bool = False) -> bytes:
        return photograph()

    async def aclose(self) -> None:
        pass


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_studio(settings, fetcher=cast(Fetcher, Outside())) as opened:
        yield opened


@pytest.fixture
async def owner(client: httpx.AsyncClient, studio: Studio) -> FullAccount:
    return await open_full_account(client, studio)


def fetched(keys: set[str]) -> set[str]:
    return {key for key in keys if "/fetched/" in key}


async def test_anothers_upload_on_sale_is_used_as_its_public_copy(
    client: httpx.AsyncClient, studio: Studio, owner: FullAccount
) -> None:
    upload = await owner.upload(photograph(), "product", "image/jpeg")
    product = {
        "title": "x", "category": "x", "price": "1", "currency": "EUR", "fileId": upload["id"],
    }  # fmt: skip
    await owner.ask("PUT", "/api/catalog/products/p-1", product, 201)
    shopper = await open_full_account(client, studio, "customer")
    selfie = await shopper.upload(SELFIE, "selfie")
    unsigned = upload["readUrl"].partition("?")[0]
    tryon = await shopper.try_on(selfie, unsigned)
    await shopper.ask("POST", "/api/cv/segmentation", {"fileId": upload["id"]})
    record = await shopper.ask("GET", f"/api/cv/tryons/{tryon['tryonId']}")
    assert "/products/" in record["garmentUrl"]
    async with studio.database.read() as session:
        inputs = (await session.exec(select(SegmentationResult.input_key))).all()
    assert all(key.startswith("products/") for key in inputs)
    async with studio.database.transaction() as session:  # as rows of before had it
        row = (await session.exec(select(TryonJob))).one()
        row.garment_key = studio.blobs.key_of(unsigned)
        session.add(row)
    record = await shopper.ask("GET", f"/api/cv/tryons/{tryon['tryonId']}")
    assert record["garmentUrl"] is None and record["personUrl"]


async def test_a_copy_from_outside_tells_nothing_and_ends_with_its_try_on(
    owner: FullAccount,
) -> None:
    garment = await owner.upload(GARMENT, "garment")
    before = await blobs_of(owner.studio)
    tryon = await owner.try_on({"readUrl": ADDRESS}, garment["readUrl"])
    (key,) = fetched(await blobs_of(owner.studio))
    data = await owner.studio.blobs.get(key)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (64, 96) and not image.getexif()
    assert b"Ada" not in data
    await owner.ask("DELETE", f"/api/cv/tryons/{tryon['tryonId']}", status=204)
    assert await blobs_of(owner.studio) == before


async def test_a_request_that_fails_leaves_no_copy(owner: FullAccount) -> None:
    garment = await owner.upload(GARMENT, "garment")
    before = await blobs_of(owner.studio)
    body = {"personUrl": ADDRESS, "garmentUrl": garment["readUrl"], "mode": "sync"}
    await owner.ask("POST", "/api/cv/tryon", body | {"maskUrl": ADDRESS}, 422)
    tryon = cast(FakeTryOn, owner.studio.tryon)
    tryon.failure = Unavailable("TryOn is down")
    await owner.ask("POST", "/api/cv/tryon", body, 503)
    cast(FakeSegmenter, owner.studio.segmenter).failure = Invalid("there is no garment in it")
    await owner.ask("POST", "/api/cv/tryon", body, 422)
    await owner.ask("POST", "/api/cv/segmentation", {"imageUrl": ADDRESS}, 422)
    job = {"type": "tryon", "payload": {"personUrl": ADDRESS, "garmentUrl": ADDRESS}}
    await owner.ask("POST", "/api/jobs", job, 202)
    assert await blobs_of(owner.studio) == before
    assert set(await tables_naming(owner.studio, [garment["id"]])) == {"files"}


async def test_a_mask_of_a_picture_from_outside_keeps_no_copy(owner: FullAccount) -> None:
    await owner.ask("POST", "/api/cv/segmentation", {"imageUrl": f"{ADDRESS}?secret=1"})
    assert {key.partition("/")[0] for key in await blobs_of(owner.studio)} == {"masks"}
    async with owner.studio.database.read() as session:
        row = (await session.exec(select(SegmentationResult))).one()
    assert row.input_key == ADDRESS


class SlowSegmenter(FakeSegmenter):
    """Writes the mask, then waits to be let go."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio.blobs)
        self.written, self.go_on = asyncio.Event(), asyncio.Event()

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        answer = await super().segment(image_key, prompt, mask_key)
        self.written.set()
        await self.go_on.wait()
        return answer


class SlowTryOn(FakeTryOn):
    """Writes the output, then waits to be let go."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio.blobs)
        self.written, self.go_on = asyncio.Event(), asyncio.Event()

    async def dress(
        self, order: TryOnOrder, ticket: TryOnTicket
    ) -> AsyncIterator[TryOnStep | TryOnResult]:
        async for update in super().dress(order, ticket):
            if isinstance(update, TryOnResult):
                self.written.set()
                await self.go_on.wait()
            yield update


@pytest.mark.parametrize("what", ["mask", "try-on"])
async def test_what_is_made_while_its_picture_is_deleted_is_not_kept(
    owner: FullAccount, what: str
) -> None:
    selfie, garment = [await owner.upload(data, "selfie") for data in (SELFIE, GARMENT)]
    slow: Any = SlowSegmenter(owner.studio) if what == "mask" else SlowTryOn(owner.studio)
    name = "segmenter" if what == "mask" else "tryon"
    object.__setattr__(owner.studio, name, slow)
    if what == "mask":
        work = owner.ask("POST", "/api/cv/segmentation", {"fileId": selfie["id"]}, 404)
    else:
        body = {"personUrl": selfie["readUrl"], "garmentUrl": garment["readUrl"], "mode": "sync"}
        work = owner.ask("POST", "/api/cv/tryon", body, 404)
    task = asyncio.create_task(work)
    await slow.written.wait()
    await owner.ask("DELETE", f"/api/files/{selfie['id']}", status=204)
    slow.go_on.set()
    await task
    assert not {key for key in await blobs_of(owner.studio) if key.startswith(("tryon", "masks"))}
    named = await tables_naming(owner.studio, [selfie["id"]])
    assert set(named) == {"audit_log", "erasure"}


async def test_a_running_job_of_a_deleted_account_leaves_nothing(owner: FullAccount) -> None:
    selfie, garment = [await owner.upload(data, "selfie") for data in (SELFIE, GARMENT)]
    slow = SlowTryOn(owner.studio)
    object.__setattr__(owner.studio, "tryon", slow)
    order = {"personUrl": selfie["readUrl"], "garmentUrl": garment["readUrl"], "mode": "queued"}
    job = await owner.ask("POST", "/api/cv/tryon", order, 202)
    async with dispatching(owner.studio) as dispatcher:
        await slow.written.wait()
        await owner.ask("DELETE", "/api/auth/me", {"password": PASSWORD}, 204)
        slow.go_on.set()
        while dispatcher.running:  # noqa: ASYNC110 - it says nothing when it ends
            await asyncio.sleep(0.01)
    assert await blobs_of(owner.studio) == set()
    named = await tables_naming(owner.studio, [owner.email, job["jobId"]])
    assert set(named) == {"doomed_blob"}  # looked at again once no worker can write it any more


async def test_anothers_try_on_is_not_deleted(
    client: httpx.AsyncClient, studio: Studio, owner: FullAccount
) -> None:
    selfie, garment = [await owner.upload(data, "selfie") for data in (SELFIE, GARMENT)]
    tryon = await owner.try_on(selfie, garment["readUrl"])
    stranger = await open_full_account(client, studio, "admin")
    await stranger.ask("DELETE", f"/api/cv/tryons/{tryon['tryonId']}", status=404)
    assert await studio.blobs.get(f"tryon/{tryon['tryonId']}.png")
    with pytest.raises(NotFound):
        await studio.blobs.get("tryon/none.png")
