"""`segment-batch`: one result for each picture; bad ones fail alone, retries repeat nothing."""

from typing import Any
from uuid import UUID, uuid4

from sqlmodel import select

from db.tables import File, SegmentationResult
from errors import Unavailable
from studio.accounts.accounts import create_user
from studio.jobs.jobs import signed_result
from studio.ports import Studio
from tests.jobs.working import dispatching, put_job, until_state
from tests.support.fakes import PASSWORD, FakeSegmenter, picture


async def make_merchant(studio: Studio) -> UUID:
    email = f"m-{uuid4().hex}@example.com"
    user = await create_user(studio.database, email=email, password=PASSWORD, role="merchant")
    return user.id


async def put_file(studio: Studio, owner_id: UUID, data: bytes) -> str:
    key = f"uploads/{owner_id}/{uuid4()}.jpg"
    await studio.blobs.put(key, data, "image/jpeg")
    file = File(
        owner_id=owner_id, purpose="garment", filename="a.jpg", content_type="image/jpeg",
        size_bytes=len(data), blob_key=key, status="ready",
    )  # fmt: skip
    async with studio.database.transaction() as session:
        session.add(file)
    return str(file.id)


async def rows_of(studio: Studio, owner_id: UUID) -> list[SegmentationResult]:
    async with studio.database.transaction() as session:
        query = select(SegmentationResult).where(SegmentationResult.user_id == owner_id)
        return list((await session.exec(query)).all())


async def test_good_and_bad_pictures(studio: Studio) -> None:
    owner = await make_merchant(studio)
    files = [await put_file(studio, owner, picture(colour)) for colour in ("red", "blue") * 3]
    files.insert(2, await put_file(studio, owner, b"no picture"))
    async with dispatching(studio):
        payload: dict[str, Any] = {"fileIds": files, "target": "upper"}
        job = await put_job(studio, "segment-batch", payload, owner_id=owner)
        done = await until_state(studio, job)
    assert done.state == "succeeded", done.error
    assert done.result is not None
    counts = {name: done.result[name] for name in ("total", "segmented", "failed")}
    assert counts == {"total": 7, "segmented": 6, "failed": 1}
    assert [one["fileId"] for one in done.result["results"]] == files
    assert "error" in done.result["results"][2]
    assert "maskUrl" not in str(done.result)  # rows hold no URLs, which would end some day
    result = await signed_result(studio, done.result)
    assert result is not None
    assert [studio.blobs.key_of(one.get("maskUrl", "")) for one in result["results"]] == [
        one.get("maskKey") for one in done.result["results"]
    ]
    assert sum("maskUrl" in one for one in result["results"]) == 6
    assert not any("maskKey" in one for one in result["results"])
    assert len(await rows_of(studio, owner)) == 6


async def test_a_repeated_attempt_leaves_every_row_once(studio: Studio) -> None:
    owner = await make_merchant(studio)
    files = [await put_file(studio, owner, picture()) for _ in range(6)]
    segmenter = studio.segmenter
    assert isinstance(segmenter, FakeSegmenter)
    plain, calls = segmenter.segment, 0

    async def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise Unavailable("in the middle")
        return await plain(*args)

    segmenter.segment = failing  # type: ignore[method-assign, assignment]
    async with dispatching(studio):
        job = await put_job(studio, "segment-batch", {"fileIds": files}, owner_id=owner)
        done = await until_state(studio, job)
    assert done.state == "succeeded", done.error
    assert done.attempts == 2
    assert done.result is not None
    assert done.result["segmented"] == 6
    assert len(await rows_of(studio, owner)) == 6
