"""Queries over all rows about one account, table by table, by conditions that the caller gives."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import RefreshToken


async def _run(session: AsyncSession, statement: str, user_id: UUID, **given: Any) -> Any:
    named = {"user": user_id, "subject": str(user_id)} | given
    bound = {name: value for name, value in named.items() if f":{name}" in statement}
    return await session.exec(text(statement), params=bound)  # type: ignore[call-overload]


async def delete_owned(session: AsyncSession, table: str, owned: str, user_id: UUID) -> None:
    """Removes the rows."""
    await _run(session, f"DELETE FROM {table} WHERE {owned}", user_id)  # noqa: S608


async def clear_owned(
    session: AsyncSession, table: str, owned: str, cleared: Mapping[str, str], user_id: UUID
) -> None:
    """Keeps the rows without what these columns said."""
    values = ", ".join(f"{column} = {value}" for column, value in cleared.items())
    await _run(session, f"UPDATE {table} SET {values} WHERE {owned}", user_id)  # noqa: S608


async def list_owned_keys(
    session: AsyncSession, table: str, owned: str, column: str, user_id: UUID
) -> set[str]:
    """The blobs that a column names."""
    statement = f"SELECT {column} FROM {table} WHERE ({owned}) AND {column} <> ''"  # noqa: S608
    return {str(row[0]) for row in await _run(session, statement, user_id)}


async def list_owned(
    session: AsyncSession, table: str, owned: str, key: str, user_id: UUID,
    *, withheld: Sequence[str], after: Any, limit: int,
) -> list[tuple[Any, dict[str, Any]]]:  # fmt: skip
    """A page of rows as (key, JSON), in the order of the key."""
    beyond = "" if after is None else f"AND {key} > :after"
    statement = f"""
    SELECT {key}, to_jsonb({table}) - CAST(:withheld AS text[]) FROM {table}
    WHERE ({owned}) {beyond} ORDER BY {key} LIMIT :limit
    """  # noqa: S608
    rows = await _run(
        session, statement, user_id, withheld=list(withheld), after=after, limit=limit
    )
    return [(row[0], row[1]) for row in rows]


async def get_session_start(session: AsyncSession, family_id: UUID) -> datetime | None:
    """When a session began: at its first token."""
    query = select(func.min(col(RefreshToken.issued_at)))
    return (await session.exec(query.where(RefreshToken.family_id == family_id))).one()
