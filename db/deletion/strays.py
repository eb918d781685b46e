"""Queries of the sweep, which compares rows with the keys of blobs."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

PAGE = 1000


async def list_recorded_keys(session: AsyncSession, query: str, keys: Sequence[str]) -> set[str]:
    """The subset of the keys that the query selects; the query has a parameter `:keys`."""
    rows = await session.exec(text(query), params={"keys": list(keys)})  # type: ignore[call-overload]
    return {str(row[0]) for row in rows}


async def stream_required(session: AsyncSession, query: str) -> AsyncIterator[tuple[str, str]]:
    """The (id, key) pairs that the query selects, in the order of the keys' bytes."""
    ordered = f'SELECT id, key FROM ({query}) AS rows ORDER BY key COLLATE "C"'  # noqa: S608
    statement = text(ordered).execution_options(yield_per=PAGE)
    async for page in (await session.stream(statement)).partitions():
        for row in page:
            yield str(row[0]), str(row[1])
