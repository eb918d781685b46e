"""The job `segment-batch`: a mask for each of many pictures, bad pictures told from good ones."""

import asyncio
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from pydantic import Field, model_validator

from db.users import get_user
from errors import DeadlinePassed, Invalid, StudioError, Unavailable
from studio.files.files import require_picture
from studio.forms import Form
from studio.job_types import JobRun, JobType, Outcome, read_payload
from studio.ports import SegmentPrompt, Studio
from studio.segmentation.segmentation import bbox_document, segment

AT_ONCE = 4

Url = Annotated[str, Field(min_length=1, max_length=4096)]
Target = Literal["garment", "upper", "lower", "dress", "person"]


class SegmentBatchForm(Form):
    """Pictures by their files or URLs, and what to cut out of each."""

    file_ids: Annotated[list[UUID], Field(max_length=200, fail_fast=True)] = []
    image_urls: Annotated[list[Url], Field(max_length=200, fail_fast=True)] = []
    target: Target = "garment"

    @model_validator(mode="after")
    def require_a_picture(self) -> "SegmentBatchForm":
        """A job without work is a mistake."""
        if not self.file_ids and not self.image_urls:
            raise ValueError("give at least one picture in fileIds or imageUrls")
        return self


class StoredBatch(Form):
    """The payload of a job: null where a picture was deleted since, so that places stay."""

    file_ids: Annotated[list[UUID | None], Field(max_length=200, fail_fast=True)] = []
    image_urls: Annotated[list[Url | None], Field(max_length=200, fail_fast=True)] = []
    target: Target = "garment"


async def check_batch(studio: Studio, owner_id: UUID, form: SegmentBatchForm) -> None:
    """Raises:
    NotFound, Conflict: one of the studio's own pictures is absent, another's or not completed.
    """
    for file_id in form.file_ids:
        await require_picture(studio, owner_id, file_id=file_id)
    for image_url in form.image_urls:
        await require_picture(studio, owner_id, image_url=image_url)


SEGMENT_BATCH = JobType(
    "segment-batch", role="merchant", form=SegmentBatchForm, check=check_batch, max_open=20,
    limit_class="cv",
)  # fmt: skip


async def segment_batch(studio: Studio, run: JobRun) -> Outcome:
    """Goes on where the last attempt was; a picture's result has an id that follows from the job,
    so that doing one twice leaves it once.

    Raises:
        Unavailable: a part of the studio is down; the pictures after the last report come again.
        JobStopped: the job is another worker's, or nobody's any more.
    """
    form = read_payload(StoredBatch, run.payload)
    owner_id = await _owner_of(studio, run)
    pictures: list[tuple[str, Any]] = [("fileId", each) for each in form.file_ids]
    pictures += [("imageUrl", each) for each in form.image_urls]
    told = {one["at"]: one for past in await run.past() for one in past.get("pictures", ())}
    for start in range(run.done, len(pictures), AT_ONCE):
        chunk = range(start, min(start + AT_ONCE, len(pictures)))
        found = await asyncio.gather(
            *(_one(studio, run, owner_id, form.target, at, *pictures[at]) for at in chunk),
            return_exceptions=True,
        )
        for one in found:
            if isinstance(one, BaseException):
                raise one
        fresh = [one for one in found if isinstance(one, dict)]
        told |= {one["at"]: one for one in fresh}
        await run.progress(chunk[-1] + 1, len(pictures), "pictures cut out", pictures=fresh)
    results = [
        {name: value for name, value in told[at].items() if name != "at"} for at in sorted(told)
    ]
    failed = sum("error" in one for one in results)
    counts = {"total": len(pictures), "segmented": len(pictures) - failed, "failed": failed}
    return Outcome(counts | {"results": results})


async def _owner_of(studio: Studio, run: JobRun) -> UUID:
    """With the rights that the account has now."""
    async with studio.database.transaction() as session:
        user = await get_user(session, run.owner_id) if run.owner_id else None
    if user is None or user.role not in {"merchant", "admin"}:
        raise Invalid("the job's owner may not run such jobs any more")
    return user.id


async def _one(
    studio: Studio, run: JobRun, owner_id: UUID, target: str, at: int, name: str, value: Any
) -> dict[str, Any]:
    """One picture's result, or what is wrong with it."""
    if value is None:
        return {"at": at, name: None, "error": "the picture was deleted"}
    told: dict[str, Any] = {"at": at, name: str(value).split("?")[0]}
    source = {"file_id": value} if name == "fileId" else {"image_url": value}
    try:
        made = await segment(
            studio, owner_id, SegmentPrompt(target), result_id=uuid5(run.job_id, str(at)),
            guard=run.guard, **source,
        )  # fmt: skip
    except (Unavailable, DeadlinePassed):  # ours, not the picture's
        raise
    except StudioError as error:
        return told | {"error": error.detail}
    answer = made.answer
    return told | {
        "maskKey": made.mask_key, "width": answer.width, "height": answer.height,
        "area": answer.area, "bbox": bbox_document(answer), "score": answer.score,
        "label": answer.label,
    }  # fmt: skip
