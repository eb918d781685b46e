"""Routes of the caller's own account: its deletion, and an export of its data."""

from fastapi import APIRouter, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.deps import ClientAddressDep, PlacesDep, SignedIn, StudioDep
from studio.accounts.export import ExportStream, begin_export
from studio.accounts.forms import DeletionForm
from studio.accounts.removal import delete_own_account

router = APIRouter(prefix="/api/auth/me", tags=["auth"])

ARCHIVE_TYPE = "application/octet-stream"
"""The only type of binary answers that generators of clients know; the file's name says ".zip"."""
ARCHIVE = {"Content-Disposition": 'attachment; filename="studio-export.zip"'}


class ExportResponse(StreamingResponse):
    """Streams the archive and releases the export, also where the client has gone before."""

    def __init__(self, export: ExportStream) -> None:
        super().__init__(export.pieces, media_type=ARCHIVE_TYPE, headers=ARCHIVE)
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._export.release()


@router.delete("", status_code=204, response_class=Response)
async def delete_account(
    user: SignedIn, studio: StudioDep, places: PlacesDep, ip: ClientAddressDep,
    body: DeletionForm,
) -> None:  # fmt: skip
    """Deletes the account with its uploads and everything that was created from them.

    Accounts that sign in by OpenID send `{}` within five minutes of a sign-in. Payments and audit
    entries stay, without personal columns.
    """
    async with places.deletions.place(user.id):
        await delete_own_account(studio, user.id, body, session_id=user.session_id, ip=ip)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {ARCHIVE_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def export_account(
    user: SignedIn, studio: StudioDep, ip: ClientAddressDep
) -> StreamingResponse:
    """Returns a ZIP with the account's rows of every table as JSON, and its pictures."""
    return ExportResponse(await begin_export(studio, user.id, ip=ip))
