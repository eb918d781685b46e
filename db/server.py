"""What the PostgreSQL server says about itself."""

from sqlmodel.ext.asyncio.session import AsyncSession

from db.job_claims import run_query

CONNECTIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL) AS connections,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS most
"""


async def count_connections(session: AsyncSession) -> tuple[int, int]:
    """The server's open connections, of all clients, and how many it allows ordinary users."""
    (row,) = await run_query(session, CONNECTIONS)
    return row["connections"], row["most"]
