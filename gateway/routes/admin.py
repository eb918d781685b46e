"""Routes for admins: who is there, what was done, and who may do what."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from db.audit import list_audit
from db.tables import AuditLog
from db.users import list_users
from gateway.deps import Admin, ClientAddressDep, StudioDep
from gateway.documents import Document, show_rows
from gateway.paging import Cursor, PageDep
from gateway.wire import Page, Storable, WireRequest, WireResponse
from studio.accounts.accounts import change_role
from studio.accounts.sessions import close_all_sessions
from studio.telemetry.latency import WINDOW_S, LatencyLog

router = APIRouter(prefix="/api/admin", tags=["admin"])


class PingResponse(WireResponse):
    """That the caller is an admin."""

    status: str = "ok"


class AccountResponse(WireResponse):
    """An account as admins see it."""

    id: UUID
    email: str
    name: str | None
    role: str
    created_at: datetime | None = None


class RoleRequest(WireRequest):
    """The role an account gets."""

    role: Literal["customer", "merchant", "admin"]


class AuditResponse(WireResponse):
    """One line of the audit log."""

    id: UUID
    at: datetime
    actor_id: UUID | None
    action: str
    subject: str | None
    outcome: str
    ip: str | None
    detail: Document
    request_id: str | None


class RouteLatencyResponse(WireResponse):
    """One route; quantiles in milliseconds, within 5 %."""

    method: str
    route: str
    requests: int
    errors: int
    refused: int
    p50: float
    p95: float
    p99: float


class LatencyResponse(WireResponse):
    """Every route that was asked, busiest first."""

    window_s: int
    routes: list[RouteLatencyResponse]


@router.get("/ping")
async def ping(_: Admin) -> PingResponse:
    """Whether the caller is an admin."""
    return PingResponse()


@router.get("/latency")
async def get_latency(_: Admin, request: Request) -> LatencyResponse:
    """The last five minutes of every Gateway; `errors` are answers of 500 and above."""
    latency: LatencyLog = request.app.state.latency
    routes = [
        RouteLatencyResponse(
            method=one.method,
            route=one.route,
            requests=one.requests,
            errors=one.errors,
            refused=one.refused,
            p50=round(one.quantile(0.50), 2),
            p95=round(one.quantile(0.95), 2),
            p99=round(one.quantile(0.99), 2),
        )
        for one in await latency.read()
    ]
    return LatencyResponse(window_s=WINDOW_S, routes=routes)


@router.get("/users")
async def get_users(_: Admin, studio: StudioDep, page: PageDep) -> Page[AccountResponse]:
    """Every account, newest first."""
    async with studio.database.transaction() as session:
        rows = await list_users(session, limit=page.limit + 1, after=page.after_key)
    items = [
        AccountResponse(
            id=row.id, email=row.email, name=row.name, role=row.role, created_at=row.created_at
        )
        for row in rows[: page.limit]
    ]
    last = rows[page.limit - 1] if len(rows) > page.limit else None
    return Page(items=items, next_cursor=last and Cursor(last.created_at, str(last.id)).encode())


@router.patch("/users/{user_id}")
async def patch_user(
    user_id: UUID, body: RoleRequest, admin: Admin, studio: StudioDep, ip: ClientAddressDep
) -> AccountResponse:
    """Changes a role; it acts on the account's next request."""
    account = await change_role(studio, user_id, body.role, actor_id=admin.id, ip=ip)
    return AccountResponse(id=account.id, email=account.email, name=account.name, role=account.role)


@router.delete("/users/{user_id}/sessions", status_code=204, response_class=Response)
async def end_sessions(
    user_id: UUID, admin: Admin, studio: StudioDep, ip: ClientAddressDep
) -> None:
    """Signs an account out everywhere: none of its tokens works any more."""
    await close_all_sessions(studio, user_id, actor_id=admin.id, ip=ip)


async def to_audit(row: AuditLog) -> AuditResponse:
    """Row -> wire."""
    return AuditResponse.model_validate(row, from_attributes=True)


@router.get("/audit")
async def get_audit(
    _: Admin,
    studio: StudioDep,
    page: PageDep,
    action: Annotated[Storable | None, Query(max_length=100)] = None,
) -> Page[AuditResponse]:
    """What was done, newest first."""
    async with studio.database.transaction() as session:
        rows = await list_audit(session, limit=page.limit + 1, after=page.after_key, action=action)
    items = await show_rows(rows[: page.limit], to_audit)
    last = rows[page.limit - 1] if len(rows) > page.limit else None
    return Page(items=items, next_cursor=last and Cursor(last.at, str(last.id)).encode())
