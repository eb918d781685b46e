"""Queries over the search log."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.statement import run_statement
from db.tables import SearchLog, User


async def insert_searches(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts many rows in one statement; their keys are the columns of `SearchLog`.

    Rows of accounts that have been deleted are left out. The other accounts are locked against
    deletion until the transaction ends.
    """
    user_ids = {row["user_id"] for row in rows if row.get("user_id") is not None}
    live = set[Any]()
    if user_ids:
        query = select(User.id).where(col(User.id).in_(user_ids))
        live = set((await session.exec(query.with_for_update(key_share=True, read=True))).all())
    valid = [row for row in rows if row.get("user_id") is None or row["user_id"] in live]
    if valid:
        await session.exec(insert(SearchLog), params=valid)


POPULAR_QUERIES = """
SELECT query, count(DISTINCT client) AS clients
FROM (
    SELECT lower(btrim(params ->> 'query')) AS query, params ->> 'client' AS client
    FROM search_log
    WHERE type = 'text' AND at > now() - make_interval(days => :days)
        AND jsonb_array_length(results) > 0
        AND NOT params ? 'is_next_page'
    ORDER BY at DESC LIMIT :rows) AS recent
WHERE client IS NOT NULL
GROUP BY query HAVING count(DISTINCT client) >= :clients
ORDER BY clients DESC, query LIMIT :limit
"""


async def list_popular_queries(
    session: AsyncSession, *, days: int, rows: int, clients: int, limit: int
) -> dict[str, int]:
    """Query in small letters -> how many networks searched for it and got products, most first.

    Only the newest `rows` searches of the last days are read.
    """
    counts = await run_statement(
        session, POPULAR_QUERIES, days=days, rows=rows, clients=clients, limit=limit
    )
    return {str(query): int(count) for query, count in counts}
