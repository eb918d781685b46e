"""The route of a job's server-sent events; a stream resumes after `Last-Event-ID`."""

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from db.tables import JobEvent
from errors import NotFound, StudioError
from gateway.auth import Credentials, bearer_token
from gateway.deps import AccountsDep, CredentialsDep, Customer, JobWatchDep, StudioDep, find_user
from gateway.routes.jobs.jobs import visible_owner
from studio.accounts.accounts import OpenAccounts
from studio.jobs.jobs import FINAL, KEEP_ALIVE_S, find_job, has_events_after
from studio.jobs.watch import EventStream, StreamOver

LONGEST_S = 3600.0
CHECK_S = 60.0
"""How often a stream checks that its reader may still read it."""
RETRY_MS = 1000
MAX_ID = 2**63 - 1
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

LastEventId = Annotated[str | None, Header(max_length=32)]


def read_event_id(text: str | None) -> int:
    """The id of the last event that the client received; 0 where the text is not an id."""
    if text is None or not (text.isascii() and text.isdigit()):
        return 0
    return min(int(text), MAX_ID)


def write_event(event: JobEvent) -> str:
    """Formats one event for the protocol."""
    at = event.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    data = {"state": event.state, "progress": event.progress, "at": at}
    return f"id: {event.id}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


@dataclass(frozen=True)
class StreamReader:
    """The reader of a stream, identified by the bearer token of its request."""

    token: str
    credentials: Credentials
    accounts: OpenAccounts

    async def check(self, owner_id: UUID | None) -> None:
        """Checks that the reader may still read a job of this owner.

        Raises:
            NotAuthenticated: the token, its session or the API key has ended.
            NotFound: the reader may not read the job any more.
        """
        user = await find_user(self.accounts, await self.credentials.identify(self.token))
        if user is None or visible_owner(user) not in (None, owner_id):
            raise NotFound("no such job")


async def write_stream(
    stream: EventStream, reader: StreamReader, owner_id: UUID | None
) -> AsyncIterator[str]:
    """The text of a stream; it ends early if the server, the database or the session ends.

    The client then reconnects and continues after the last event id that it received.
    """
    yield f"retry: {RETRY_MS}\n\n"
    until_s = time.monotonic() + LONGEST_S
    check_s = time.monotonic() + CHECK_S
    try:
        while (now_s := time.monotonic()) < until_s:
            if now_s >= check_s:
                await reader.check(owner_id)
                check_s = now_s + CHECK_S
            event = await stream.next(min(KEEP_ALIVE_S, check_s - now_s))
            yield ": keep-alive\n\n" if event is None else write_event(event)
    except StreamOver:
        return
    except StudioError as error:
        yield f": {error.detail}\n\n"


class EventStreamResponse(StreamingResponse):
    """Sends a stream and closes it afterwards, also where the client left before the first byte."""

    def __init__(self, text: AsyncIterator[str], close: Callable[[], None]) -> None:
        super().__init__(text, media_type="text/event-stream", headers=HEADERS)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, 204: {"description": "no more"}},
)
async def stream_job_events(
    request: Request,
    job_id: UUID,
    user: Customer,
    studio: StudioDep,
    credentials: CredentialsDep,
    accounts: AccountsDep,
    watch: JobWatchDep,
    last_event_id: LastEventId = None,
) -> Response:
    """Streams every change of state and progress, from the first or after `Last-Event-ID`."""
    job = await find_job(studio.database, job_id, visible_owner(user))
    after = read_event_id(last_event_id)
    if after and job.state in FINAL and not await has_events_after(studio.database, job_id, after):
        return Response(status_code=204, headers=HEADERS)  # tells an EventSource to stop
    reader = StreamReader(bearer_token(request.scope) or "", credentials, accounts)
    stream = watch.open(user.id, job_id, after)
    text = write_stream(stream, reader, job.owner_id)
    return EventStreamResponse(text, partial(watch.close, stream))
