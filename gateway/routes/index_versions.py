"""Routes for admins: index versions, and which one answers searches."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path

from gateway.deps import Admin, StudioDep
from gateway.paging import Cursor, PageDep
from gateway.wire import Page, Storable, WireResponse
from studio.index.versions import activate_version, list_versions

router = APIRouter(prefix="/api/admin/index", tags=["admin"])

VersionName = Annotated[Storable, Path(max_length=200)]


class IndexVersionResponse(WireResponse):
    """One immutable index of the catalogue."""

    version: str
    status: str
    embedder_version: str
    count: int
    created_at: datetime
    activated_at: datetime | None
    error: str | None


class IndexActivatedResponse(WireResponse):
    """The version that answers searches from now on."""

    version: str


@router.get("/versions")
async def read_versions(page: PageDep, _: Admin, studio: StudioDep) -> Page[IndexVersionResponse]:
    """Newest first."""
    after = (page.after.at, page.after.id) if page.after else None
    rows = await list_versions(studio, limit=page.limit + 1, after=after)
    items = rows[: page.limit]
    has_more = len(rows) > page.limit
    return Page(
        items=[
            IndexVersionResponse(
                **{name: getattr(row, name) for name in IndexVersionResponse.model_fields}
            )
            for row in items
        ],
        next_cursor=Cursor(items[-1].created_at, items[-1].version).encode() if has_more else None,
    )


@router.post("/versions/{version}/activate")
async def activate(version: VersionName, user: Admin, studio: StudioDep) -> IndexActivatedResponse:
    """Rolls the index forward or back; replicas swap without dropping a query."""
    await activate_version(studio, version, actor_id=user.id)
    return IndexActivatedResponse(version=version)
