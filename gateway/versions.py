"""The wire shapes and the paging that index versions and regressor versions share."""

from typing import Annotated

from fastapi import Path

from db.tables import IndexVersion, RegressorVersion
from gateway.paging import Cursor
from gateway.wire import WireResponse
from studio.forms import Storable

VersionName = Annotated[Storable, Path(max_length=200)]


class ActivatedVersion(WireResponse):
    """The version that is active from now on."""

    version: str


def position_of(row: IndexVersion | RegressorVersion) -> Cursor:
    """The position of a version in the list."""
    return Cursor(row.created_at, row.version)
