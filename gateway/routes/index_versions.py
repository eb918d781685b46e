"""Routes for admins over index versions: which there are, which one answers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path

from db.index_versions import list_index_versions
from db.tables import IndexVersion
from gateway.deps import Admin, StudioDep
from gateway.paging import Cursor, PageDep, page_of
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


def position_of(row: IndexVersion) -> Cursor:
    """The position of a version in the list."""
    return Cursor(row.created_at, row.version)


@router.get("/versions")
async def read_versions(page: PageDep, _: Admin, studio: StudioDep) -> Page[IndexVersionResponse]:
    """Newest first."""
    async with studio.database.read() as session:
        rows = await list_index_versions(session, limit=page.row_limit, after=page.after_name)
    return await page_of(rows, page, IndexVersionResponse.from_row, position=position_of)


@router.post("/versions/{version}/activate")
async def activate(version: VersionName, user: Admin, studio: StudioDep) -> ActivatedResponse:
    """Rolls the index forward or back; replicas swap without dropping a query."""
    await activate_version(studio, version, actor_id=user.id)
    return ActivatedResponse(version=version)
