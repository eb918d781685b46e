"""Routes for admins: accounts and their roles, the audit log, and latencies."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query, Response

from db.tables import AuditLog
from gateway.deps import Admin, ClientAddressDep, LatencyDep, SessionOnly, StudioDep
from gateway.documents import Document
from gateway.paging import Cursor, PageDep, page_of
from gateway.wire import Page, WireResponse
from studio.accounts.accounts import change_role
from studio.accounts.directory import list_accounts, list_audit_log
from studio.accounts.forms import RoleForm
from studio.accounts.sessions import close_all_sessions
from studio.forms import Storable
from studio.telemetry.latency import WINDOW_S, RouteLatency

router = APIRouter(prefix="/api/admin", tags=["admin"])


class PingResponse(WireResponse):
    """The answer to an admin."""

    status: str = "ok"


class AccountResponse(WireResponse):
    """An account as admins see it."""

    id: UUID
    email: str
    name: str | None
    role: str
    created_at: datetime | None = None


class AuditResponse(WireResponse):
    """One entry of the audit log."""

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
    """The latency of one route; quantiles in milliseconds, within 5 %."""

    method: str
    route: str
    requests: int
    errors: int
    refused: int
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, route: RouteLatency) -> Self:
        """Adds the quantiles."""
        return cls.from_row(
            route,
            p50=round(route.quantile(0.50), 2),
            p95=round(route.quantile(0.95), 2),
            p99=round(route.quantile(0.99), 2),
        )


class LatencyResponse(WireResponse):
    """The latencies of all routes that had requests, busiest first."""

    window_s: int
    routes: list[RouteLatencyResponse]


@router.get("/ping")
async def ping_admin(_: Admin) -> PingResponse:
    """Answers admins only; a client can use it to test its token."""
    return PingResponse()


@router.get("/latency")
async def read_latency(_: Admin, latency: LatencyDep) -> LatencyResponse:
    """Returns the last five minutes of all Gateways; `errors` counts answers of 500 and above."""
    routes = [RouteLatencyResponse.of(route) for route in await latency.read()]
    return LatencyResponse(window_s=WINDOW_S, routes=routes)


@router.get("/users")
async def list_users(_: Admin, studio: StudioDep, page: PageDep) -> Page[AccountResponse]:
    """Lists all accounts, newest first."""
    rows = await list_accounts(studio.database, limit=page.row_limit, after=page.after_key)
    return await page_of(rows, page, AccountResponse.from_row)


@router.patch("/users/{user_id}", dependencies=[SessionOnly])
async def change_user_role(
    user_id: UUID, body: RoleForm, admin: Admin, studio: StudioDep, ip: ClientAddressDep
) -> AccountResponse:
    """Changes the role of an account, from its next request on."""
    account = await change_role(studio, user_id, body, actor_id=admin.id, ip=ip)
    return AccountResponse.from_row(account, created_at=None)


@router.delete(
    "/users/{user_id}/sessions", status_code=204, response_class=Response,
    dependencies=[SessionOnly],
)  # fmt: skip
async def end_sessions(
    user_id: UUID, admin: Admin, studio: StudioDep, ip: ClientAddressDep
) -> None:
    """Ends all sessions and API keys of an account; no token of it is valid afterwards."""
    await close_all_sessions(studio, user_id, actor_id=admin.id, ip=ip)


def position_of(entry: AuditLog) -> Cursor:
    """The position of an entry in the log, which is ordered by (at, id)."""
    return Cursor(entry.at, str(entry.id))


@router.get("/audit")
async def list_audit_entries(
    _: Admin,
    studio: StudioDep,
    page: PageDep,
    action: Annotated[Storable | None, Query(max_length=100)] = None,
) -> Page[AuditResponse]:
    """Lists the audit log, newest entry first; `action` selects the entries of one action."""
    rows = await list_audit_log(
        studio.database, limit=page.row_limit, after=page.after_key, action=action
    )
    return await page_of(rows, page, AuditResponse.from_row, position=position_of)
