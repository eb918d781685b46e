"""Routes of one's own account: its end, and a copy of all that is kept about it."""

from fastapi import APIRouter, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from gateway.deps import ClientAddressDep, Customer, StudioDep
from gateway.wire import WireRequest
from studio.account_export import begin_export
from studio.account_removal import delete_own_account

router = APIRouter(prefix="/api/auth/me", tags=["auth"])

ARCHIVE = {"Content-Disposition": 'attachment; filename="studio-export.zip"'}


class DeleteAccountRequest(WireRequest):
    """The account's password; none where it signs in by OpenID."""

    password: str | None = Field(default=None, max_length=1000)


@router.delete("", status_code=204, response_class=Response)
async def delete_me(
    user: Customer, studio: StudioDep, ip: ClientAddressDep, body: DeleteAccountRequest
) -> None:
    """Removes the account with all it uploaded and all that was made of it.

    Accounts that sign in by OpenID give `{}` within five minutes of a sign-in. Payments and audit
    lines stay, without personal columns.
    """
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
    pieces = await begin_export(studio, user.id, ip=ip)
    return StreamingResponse(pieces, media_type="application/zip", headers=ARCHIVE)
