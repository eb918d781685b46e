"""The sweep compares rows with blobs in the order of the keys' bytes, as stores list them."""

from db.deletion.strays import list_recorded_keys, stream_required
from db.engine import Database

KEYS = ["masks/B.png", "masks/a.png", "masks/é.png", "masks/Z/a.png", "masks/_.png"]
ROWS = "SELECT key AS id, key FROM unnest(ARRAY{keys}) AS key"
RECORDED = "SELECT key FROM unnest(CAST(:keys AS text[])) AS key WHERE key LIKE '%a%'"


async def test_keys_are_in_the_order_of_their_bytes(database: Database) -> None:
    async with database.transaction() as session:  # which a streamed query needs
        pairs = [pair async for pair in stream_required(session, ROWS.format(keys=KEYS))]
    assert [key for _, key in pairs] == sorted(KEYS, key=str.encode)
    assert all(row_id == key for row_id, key in pairs)


async def test_only_recorded_keys_are_listed(database: Database) -> None:
    async with database.read() as session:
        listed = await list_recorded_keys(session, RECORDED, ["a", "b", "ba", "a"])
        assert listed == {"a", "ba"}
        assert await list_recorded_keys(session, RECORDED, []) == set()
