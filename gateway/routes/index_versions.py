"""Routes for admins: index versions, and which one answers searches."""

from datetime import datetime

from fastapi import APIRouter

from gateway.deps import Admin, StudioDep
from gateway.paging import PageDep, page_of
from gateway.versions import ActivatedVersion, VersionName, position_of
from gateway.wire import Page, WireResponse
from studio.index.versions import activate_version, list_versions

router = APIRouter(prefix="/api/admin/index", tags=["admin"])


class IndexVersionResponse(WireResponse):
    """One immutable index of the catalogue."""

    version: str
    status: str
    embedder_version: str
    count: int
    created_at: datetime
    activated_at: datetime | None
    error: str | None


@router.get("/versions")
async def list_index_versions(
    page: PageDep, _: Admin, studio: StudioDep
) -> Page[IndexVersionResponse]:
    """Lists index versions, newest first."""
    rows = await list_versions(studio, limit=page.row_limit, after=page.after_name)
    return await page_of(rows, page, IndexVersionResponse.from_row, position=position_of)


@router.post("/versions/{version}/activate")
async def activate_index_version(
    version: VersionName, user: Admin, studio: StudioDep
) -> ActivatedVersion:
    """Activates an index version, newer or older; searches continue while replicas switch."""
    await activate_version(studio, version, actor_id=user.id)
    return ActivatedVersion(version=version)
