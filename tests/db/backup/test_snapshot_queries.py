"""Queries of backups find blob keys in columns and documents, and nothing that resembles one."""

import json

from sqlalchemy import text

from db.backup.snapshot_queries import BLOB_PREFIXES, json_keys, quoted, text_keys
from db.engine import Database

KEYS = [f"{prefix}/a-1/b_2.png" for prefix in BLOB_PREFIXES]
OTHERS = ["exports/a.png", "uploads", "https://x.example/uploads/a.png", "uploads/a b.png", ""]


async def find_keys(database: Database, table: str, query: str, rows: list[str]) -> list[str]:
    async with database.transaction() as session:
        await session.exec(text(table))  # type: ignore[call-overload]
        for row in rows:
            insert = text("INSERT INTO held VALUES (:row)")
            await session.exec(insert, params={"row": row})  # type: ignore[call-overload]
        result = await session.exec(text(query))  # type: ignore[call-overload]
        return sorted(str(row[0]) for row in result)


async def test_keys_in_a_text_column(database: Database) -> None:
    table = "CREATE TEMP TABLE held (key text) ON COMMIT DROP"
    rows = [*KEYS, *OTHERS]
    assert await find_keys(database, table, text_keys("held", "key"), rows) == sorted(KEYS)


async def test_keys_anywhere_in_a_document(database: Database) -> None:
    table = "CREATE TEMP TABLE held (document text) ON COMMIT DROP"
    documents = [{"a": KEYS[0], "b": [{"c": KEYS[1:3]}, *OTHERS], "d": 7, KEYS[3]: None}, KEYS[4]]
    query = json_keys("(SELECT document::jsonb AS document FROM held) AS rows", "document")
    rows = [json.dumps(document) for document in documents]
    assert await find_keys(database, table, query, rows) == sorted([*KEYS[:3], KEYS[4]])


async def test_a_name_is_quoted(database: Database) -> None:
    name = 'a "strange"; name'
    async with database.transaction() as session:
        row = await session.exec(text(f"SELECT 1 AS {quoted(name)}"))  # type: ignore[call-overload]
        assert list(row.keys()) == [name]
