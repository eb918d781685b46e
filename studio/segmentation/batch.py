"""The job `segment-batch`: masks of many pictures; a bad picture does not fail the others."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from errors import DeadlinePassed, Invalid, StudioError, Unavailable
from models.segmenter.shapes import SegmentPrompt, Target
from studio.files.files import require_picture
from studio.forms import in_camel_case
from studio.job_types import JobRun, JobType, Outcome, read_payload
from studio.ports import Studio
from studio.segmentation.forms import SegmentBatchForm, StoredBatch
from studio.segmentation.segmentation import segment, segmentation_document

AT_ONCE = 4


async def check_batch(studio: Studio, owner_id: UUID, form: SegmentBatchForm) -> None:
    """Checks that the user may use each stored picture that the form names.

    Raises:
        NotFound: there is no such picture, or it belongs to another account.
        Conflict: the upload of a picture is not completed.
    """
    for file_id in form.file_ids:
        await require_picture(studio, owner_id, file_id=file_id)
    for image_url in form.image_urls:
        await require_picture(studio, owner_id, image_url=image_url)


SEGMENT_BATCH = JobType(
    "segment-batch", role="merchant", form=SegmentBatchForm, check=check_batch, max_open=20,
    limit_class="cv",
)  # fmt: skip


@dataclass(frozen=True)
class BatchPicture:
    """One picture of a batch: its place, and its file's id or its URL; None if it was deleted.

    name: the field of the results that identifies the picture, `fileId` or `imageUrl`.
    """

    place: int
    name: str
    value: UUID | str | None


async def segment_batch(studio: Studio, run: JobRun) -> Outcome:
    """Segments all pictures, starting where the last attempt stopped.

    The id of a picture's result is derived from the job's id, so a repetition adds no second row.

    Raises:
        Invalid: the job has no owner.
        Unavailable: a part of the studio is down; the next attempt continues after the last report.
        JobStopped: another worker has the job, or it was cancelled.
    """
    form = read_payload(StoredBatch, run.payload)
    if run.owner_id is None:
        raise Invalid("a batch needs an owner")
    pictures = _pictures_of(form)
    results = {
        result["at"]: result for past in await run.past() for result in past.get("pictures", ())
    }
    for start in range(run.done, len(pictures), AT_ONCE):
        chunk = pictures[start : start + AT_ONCE]
        answers = await asyncio.gather(
            *(_segment_one(studio, run, run.owner_id, form.target, picture) for picture in chunk),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        fresh = [answer for answer in answers if isinstance(answer, dict)]
        results |= {answer["at"]: answer for answer in fresh}
        await run.progress(start + len(chunk), len(pictures), "pictures cut out", pictures=fresh)
    return Outcome(_document([results[place] for place in sorted(results)], len(pictures)))


def _pictures_of(form: StoredBatch) -> list[BatchPicture]:
    values: list[tuple[str, UUID | str | None]] = [("fileId", value) for value in form.file_ids]
    values += [("imageUrl", value) for value in form.image_urls]
    return [BatchPicture(place, name, value) for place, (name, value) in enumerate(values)]


def _document(results: list[dict[str, Any]], total: int) -> dict[str, Any]:
    """The job's result: counts, and every picture's result in the order of the payload."""
    failed = sum("error" in result for result in results)
    return {
        "total": total, "segmented": total - failed, "failed": failed,
        "results": [
            {name: value for name, value in result.items() if name != "at"} for result in results
        ],
    }  # fmt: skip


async def _segment_one(
    studio: Studio, run: JobRun, owner_id: UUID, target: Target, picture: BatchPicture
) -> dict[str, Any]:
    """Segments one picture. Returns its result, or its error."""
    if picture.value is None:
        return {"at": picture.place, picture.name: None, "error": "the picture was deleted"}
    result: dict[str, Any] = {
        "at": picture.place, picture.name: str(picture.value).split("?")[0],
    }  # fmt: skip
    is_file = isinstance(picture.value, UUID)
    try:
        segmentation = await segment(
            studio, owner_id, SegmentPrompt(target),
            **{"file_id" if is_file else "image_url": picture.value},  # type: ignore[arg-type]
            result_id=uuid5(run.job_id, str(picture.place)), guard=run.guard,
        )  # fmt: skip
    except (Unavailable, DeadlinePassed):  # a failure of the studio, not of the picture
        raise
    except StudioError as error:
        return result | {"error": error.detail}
    document = segmentation_document(segmentation.mask_key, segmentation.answer)
    result |= in_camel_case(document)
    return result
