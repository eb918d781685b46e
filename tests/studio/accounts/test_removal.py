"""The removal of accounts: bounded transactions, which are continued after an interruption."""

from uuid import UUID

import pytest

from db.catalog import take_change_lock
from db.tables import Erasure, File, Job, Product, SearchLog, SegmentationResult, User
from studio.accounts.removal import end_account, remove_account, remove_ended
from studio.ports import Studio
from tests.studio.deletion.rows import OWNER, add, batch, insert_owner, mask_of, product, rows


@pytest.fixture
async def owner(studio: Studio) -> UUID:
    """An account with a selfie and a mask of it."""
    return await insert_owner(studio)


async def test_an_account_without_products_does_not_wait_for_the_catalogue(
    studio: Studio, owner: UUID
) -> None:
    async with studio.database.transaction() as session:
        await end_account(session, owner)
    async with studio.database.transaction() as session:
        await take_change_lock(session)
        await remove_account(studio.database, studio.blobs, owner)
    assert await rows(studio, User.id) == [] and await rows(studio, Erasure.subject) == [str(OWNER)]


async def test_a_removal_that_was_interrupted_is_carried_on(studio: Studio, owner: UUID) -> None:
    await add(studio, *(product(number) for number in range(1, 151)))
    await add(studio, *(batch("failed") for _ in range(1100)))
    await add(studio, *(mask_of("uploads/x") for _ in range(1100)))
    async with studio.database.transaction() as session:
        await end_account(session, owner)
    await remove_account(studio.database, studio.blobs, owner, steps=1)
    live = [row for row in await rows(studio, Product) if row.deleted_at is None]
    (user,) = await rows(studio, User)
    assert len(live) == 50 and user.ended_at and user.email != "a@example.com"
    await remove_account(studio.database, studio.blobs, owner, steps=3)
    assert await rows(studio, Job.id) == [] and len(await rows(studio, SegmentationResult.id)) > 0
    assert await remove_ended(studio.database, studio.blobs) == 1
    for column in (User.id, File.id, SegmentationResult.id, SearchLog.id):
        assert await rows(studio, column) == []
    assert {row.owner_id for row in await rows(studio, Product)} == {None}
    assert await remove_ended(studio.database, studio.blobs) == 0
