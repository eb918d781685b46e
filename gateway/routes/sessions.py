"""Routes of the caller's open sessions."""

from datetime import datetime
from functools import partial
from typing import Self
from uuid import UUID

from fastapi import APIRouter, Response

from gateway.deps import ClientAddressDep, SignedIn, StudioDep
from gateway.paging import PageDep, page_of
from gateway.wire import Page, WireResponse
from studio.accounts.sessions import OpenSession, close_own_session, list_sessions

router = APIRouter(prefix="/api/auth/sessions", tags=["auth"])


class OpenSessionResponse(WireResponse):
    """A session as its owner sees it.

    `lastUsedAt` is the last sign-in or refresh. `network` (an IPv4 address or an IPv6 /64) and
    `userAgent` are those of the sign-in. `isCurrent` marks the session of the request.
    """

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    network: str | None
    user_agent: str | None
    is_current: bool

    @classmethod
    def of(cls, current_id: UUID, session: OpenSession) -> Self:
        """Compares the session with that of the request."""
        return cls.from_row(session, is_current=session.id == current_id)


@router.get("")
async def list_own_sessions(
    user: SignedIn, studio: StudioDep, page: PageDep
) -> Page[OpenSessionResponse]:
    """Lists the caller's open sessions, newest first."""
    rows = await list_sessions(studio, user.id, limit=page.row_limit, after=page.after_key)
    return await page_of(rows, page, partial(OpenSessionResponse.of, user.session_id))


@router.delete("/{session_id}", status_code=204, response_class=Response)
async def end_session(
    session_id: UUID, user: SignedIn, studio: StudioDep, ip: ClientAddressDep
) -> None:
    """Ends a session; its access and refresh tokens are refused from the next request on."""
    await close_own_session(studio, session_id, user.id, ip=ip)
