"""A job's changes as server-sent events: they resume by `Last-Event-ID` and end with the job."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from db.tables import JobEvent
from errors import StudioError
from gateway.deps import Customer, StudioDep
from gateway.routes.jobs import whose
from studio.jobs import FINAL, find_job, follow_job
from studio.ports import Studio

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

LONGEST_S = 3600.0
RETRY_MS = 1000
MAX_ID = 2**63 - 1
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

LastEventId = Annotated[str | None, Header(max_length=32)]


def read_event_id(text: str | None) -> int:
    """The last event that the client saw; whatever is none of ours means from the start."""
    if text is None or not (text.isascii() and text.isdigit()):
        return 0
    return min(int(text), MAX_ID)


def write_event(event: JobEvent) -> str:
    """One event as the protocol spells it."""
    at = event.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    data = {"state": event.state, "progress": event.progress, "at": at}
    return f"id: {event.id}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


async def write_stream(
    studio: Studio, job_id: UUID, after: int, draining: asyncio.Event
) -> AsyncIterator[str]:
    """The stream's text; it ends early where the server or the database goes away.

    The client comes back then, and goes on after the last id that it saw.
    """
    yield f"retry: {RETRY_MS}\n\n"
    try:
        async for event in follow_job(
            studio.database, job_id, after=after, limit_s=LONGEST_S, until=draining
        ):
            yield ": still here\n\n" if event is None else write_event(event)
    except StudioError as error:
        yield f": {error.detail}\n\n"


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, 204: {"description": "no more"}},
)
async def read_events(
    request: Request,
    job_id: UUID,
    user: Customer,
    studio: StudioDep,
    last_event_id: LastEventId = None,
) -> Response:
    """Every state and progress change, from the first or after `Last-Event-ID`."""
    job = await find_job(studio.database, job_id, whose(user))
    after = read_event_id(last_event_id)
    if after and job.state in FINAL:
        rest = follow_job(studio.database, job_id, after=after)
        if not [event async for event in rest]:
            return Response(status_code=204, headers=HEADERS)  # tells an EventSource to stop
    stream = write_stream(studio, job_id, after, request.app.state.draining)
    return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)
