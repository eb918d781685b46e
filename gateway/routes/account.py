"""Routes of one's own account: its end, and a copy of all that is kept about it."""

from fastapi import APIRouter, Response
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.deps import ClientAddressDep, Customer, StudioDep, TurnsDep
from gateway.wire import WireRequest
from studio.accounts.export import ExportStream, begin_export
from studio.accounts.removal import delete_own_account

router = APIRouter(prefix="/api/auth/me", tags=["auth"])

ARCHIVE = {"Content-Disposition": 'attachment; filename="studio-export.zip"'}


class DeleteAccountRequest(WireRequest):
    """The account's password; none where it signs in by OpenID."""

    password: str | None = Field(default=None, max_length=1000)


class ExportResponse(StreamingResponse):
    """Ends the export when it is sent, and when its caller has gone before the first piece."""

    def __init__(self, export: ExportStream) -> None:
        super().__init__(export.pieces, media_type="application/zip", headers=ARCHIVE)
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._export.release()


@router.delete("", status_code=204, response_class=Response)
async def delete_me(
    user: Customer, studio: StudioDep, turns: TurnsDep, ip: ClientAddressDep,
    body: DeleteAccountRequest,
) -> None:  # fmt: skip
    """Removes the account with all it uploaded and all that was made of it.

    Accounts that sign in by OpenID give `{}` within five minutes of a sign-in. Payments and audit
    lines stay, without personal columns.
    """
    async with turns.place(user.id):
        await delete_own_account(
            studio, user.id, password=body.password, session_id=user.session_id, ip=ip
        )


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def export_me(user: Customer, studio: StudioDep, ip: ClientAddressDep) -> StreamingResponse:
    """A ZIP with a JSON file of every table's rows about the account, and its pictures."""
    return ExportResponse(await begin_export(studio, user.id, ip=ip))
