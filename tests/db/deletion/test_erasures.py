"""Doomed blobs are claimed by one process at a time."""

from datetime import UTC, datetime, timedelta

from db.deletion.erasures import (
    claim_doomed,
    delete_doomed,
    doom_blobs,
    insert_erasure,
    list_erasures,
    pieces,
    release_doomed,
)
from db.engine import Database

KEYS = ["masks/a.png", "masks/b.png"]


def test_items_in_pieces() -> None:
    assert [list(piece) for piece in pieces([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert list(pieces([])) == []


async def test_a_claim_excludes_others_until_it_is_released(database: Database) -> None:
    async with database.transaction() as session:
        await doom_blobs(session, [*KEYS, *KEYS])
        later = datetime.now(UTC) + timedelta(hours=1)
        await doom_blobs(session, ["masks/later.png"], due_at=later)
    async with database.transaction() as session:
        claim = await claim_doomed(session, limit=10)
        assert sorted(claim.keys) == KEYS
        assert (await claim_doomed(session, limit=10)).keys == []
        await release_doomed(session, claim)
    async with database.transaction() as session:
        claim = await claim_doomed(session, limit=10, keys=KEYS[:1])
        assert claim.keys == KEYS[:1]
        await delete_doomed(session, claim, claim.keys)
        await release_doomed(session, claim)
    async with database.transaction() as session:
        assert (await claim_doomed(session, limit=10)).keys == KEYS[1:]


async def test_erasures_are_listed_oldest_first(database: Database) -> None:
    start = datetime.now(UTC) - timedelta(minutes=1)
    for subject in ("first", "second"):
        async with database.transaction() as session:
            insert_erasure(session, "file", subject)
    async with database.read() as session:
        listed = await list_erasures(session, after=start)
        assert [row.subject for row in listed] == ["first", "second"]
        assert await list_erasures(session, after=datetime.now(UTC)) == []
