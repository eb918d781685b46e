"""Jobs whose payload lost what was deleted since: they go on by place, or fail with a reason."""

from typing import Any
from uuid import uuid4

import pytest

from db.tables import Job
from errors import Unavailable
from studio.deletion.mentions import without
from studio.jobs.jobs import retry_job
from studio.ports import Studio
from tests.jobs.test_segment_batch import make_merchant, put_file, rows_of
from tests.jobs.working import dispatching, put_job, until_state
from tests.support.fakes import FakeSegmenter, picture


def test_texts_in_lists_leave_their_place_and_objects_leave_the_document() -> None:
    first, second, other = (str(uuid4()) for _ in range(3))
    names = frozenset({first, second})
    urls = [f"https://x/{first}.png"]
    batch = {"fileIds": [first, other, second], "imageUrls": urls, "target": "x"}
    assert without(batch, names) == {
        "fileIds": [None, other, None], "imageUrls": [None], "target": "x",
    }  # fmt: skip
    assert without({"fileId": first}, names) == {}
    results = [{"fileId": first}, {"fileId": other, "at": [[second]]}]
    assert without({"results": results}, names) == {"results": [{"fileId": other, "at": [[None]]}]}


async def test_a_retried_batch_goes_on_at_its_place(studio: Studio) -> None:
    """The first four were done; one of them, and one that was not, are deleted before the retry."""
    owner = await make_merchant(studio)
    files = [await put_file(studio, owner, picture()) for _ in range(7)]
    segmenter = studio.segmenter
    assert isinstance(segmenter, FakeSegmenter)
    plain, calls = segmenter.segment, 0

    async def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise Unavailable("out of order")
        return await plain(*args)

    segmenter.segment = failing  # type: ignore[method-assign, assignment]
    async with dispatching(studio):
        payload = {"fileIds": files}
        job = await put_job(studio, "segment-batch", payload, owner_id=owner, max_attempts=1)
        assert (await until_state(studio, job)).state == "failed"
    async with studio.database.transaction() as session:
        row = await session.get(Job, job)
        assert row is not None
        row.payload = without(row.payload, frozenset({files[1], files[5]}))
        session.add(row)
    segmenter.segment = plain  # type: ignore[method-assign]
    await retry_job(studio.database, job)
    async with dispatching(studio):
        done = await until_state(studio, job)
    assert (done.state, done.error) == ("succeeded", None)
    assert done.result is not None
    results = {one["fileId"]: one for one in done.result["results"][4:]}
    assert list(results) == [files[4], None, files[6]]
    assert results[None] == {"fileId": None, "error": "the picture was deleted"}
    assert len(await rows_of(studio, owner)) == 6


KEYED = {"person_key": "uploads/a/b.png", "category": None, "quality": "balanced", "seed": 1}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("import-catalog", {}),
        ("train-regressor", {}),
        ("segment-batch", {"target": "upper", "unknown": 1}),
        ("tryon", {"garmentUrl": "https://example.com/a.png"}),
        ("tryon", KEYED | {"mask_key": "masks/a/b.png"}),
        ("tryon", KEYED | {"garment_key": "uploads/a/c.png"}),
    ],
)
async def test_a_stripped_payload_ends_in_words(
    studio: Studio, kind: str, payload: dict[str, Any]
) -> None:
    owner = await make_merchant(studio)
    async with dispatching(studio):
        job = await put_job(studio, kind, payload, owner_id=owner)
        done = await until_state(studio, job)
    assert (done.state, done.attempts) == ("failed", 1), done.error
    assert done.error is not None
    assert "deleted" in done.error
