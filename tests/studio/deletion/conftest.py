"""A studio whose rows end after 20 days, and an account in it."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from db.tables import User
from studio.ports import Studio
from tests.studio.deletion.rows import OWNER, add, insert_owner
from tests.support.fakes import make_settings, open_studio


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    settings = make_settings(
        database_url, redis_url, tmp_path / "blobs", search_log_days=20, search_personal_days=10,
        audit_days=20, webhook_event_days=20,
    )  # fmt: skip
    async with open_studio(settings) as opened:
        yield opened


@pytest.fixture
async def account(studio: Studio) -> None:
    """An account without files."""
    await add(studio, User(id=OWNER, email="a@example.com", password_hash="x"))


@pytest.fixture
async def owner(studio: Studio) -> UUID:
    """An account with a selfie and a mask of it."""
    return await insert_owner(studio)
