"""Routes for admins over index versions: which there are, which one answers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path

from db.index_versions import list_index_versions
from gateway.deps import Admin, StudioDep
from gateway.paging import Cursor, PageDep
from gateway.wire import Page, Storable, WireResponse
from studio.index.versions import activate_version

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


class ActivatedResponse(WireResponse):
    """The version that answers from now on."""

    version: str


@router.get("/versions")
async def read_versions(page: PageDep, _: Admin, studio: StudioDep) -> Page[IndexVersionResponse]:
    """Newest first."""
    after = (page.after.at, page.after.id) if page.after else None
    async with studio.database.transaction() as session:
        found = await list_index_versions(session, limit=page.limit + 1, after=after)
    shown = found[: page.limit]
    more = len(found) > page.limit
    return Page(
        items=[
            IndexVersionResponse(
                **{name: getattr(row, name) for name in IndexVersionResponse.model_fields}
            )
            for row in shown
        ],
        next_cursor=Cursor(shown[-1].created_at, shown[-1].version).encode() if more else None,
    )


@router.post("/versions/{version}/activate")
async def activate(version: VersionName, user: Admin, studio: StudioDep) -> ActivatedResponse:
    """Rolls the index forward or back; replicas swap without dropping a query."""
    await activate_version(studio, version, actor_id=user.id)
    return ActivatedResponse(version=version)
