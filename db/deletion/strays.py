"""Queries that compare rows with the keys of blobs."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

PAGE = 1000


async def list_known(session: AsyncSession, known: str, keys: Sequence[str]) -> set[str]:
    """Of the keys those that `known` selects."""
    rows = await session.exec(text(known), params={"keys": list(keys)})  # type: ignore[call-overload]
    return {str(row[0]) for row in rows}


async def stream_required(session: AsyncSession, required: str) -> AsyncIterator[tuple[str, str]]:
    """(id, key) of what `required` selects, in the order of the keys' bytes."""
    ordered = f'SELECT id, key FROM ({required}) AS rows ORDER BY key COLLATE "C"'  # noqa: S608
    query = text(ordered).execution_options(yield_per=PAGE)
    async for page in (await session.stream(query)).partitions():
        for row in page:
            yield str(row[0]), str(row[1])
