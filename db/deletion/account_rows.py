"""Queries over all rows about one account, a table at a time, by the caller's conditions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import Job, RefreshToken, RegressorVersion


async def _run(session: AsyncSession, statement: str, user_id: UUID, **params: Any) -> Any:
    params |= {"user": user_id, "subject": str(user_id)}
    bound = {name: value for name, value in params.items() if f":{name}" in statement}
    return await session.exec(text(statement), params=bound)  # type: ignore[call-overload]


async def delete_owned(
    session: AsyncSession, table: str, owned: str, key: str, columns: Sequence[str],
    user_id: UUID, *, limit: int,
) -> tuple[int, set[str]]:  # fmt: skip
    """Deletes some of the rows. Returns how many, and the blob keys in these columns."""
    returned = ", ".join(columns) or key
    statement = f"""
    DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {owned} LIMIT :limit)
    RETURNING {returned}
    """  # noqa: S608
    rows = (await _run(session, statement, user_id, limit=limit)).all()
    keys = {str(value) for row in rows for value in row if value} if columns else set[str]()
    return len(rows), keys


async def clear_owned(
    session: AsyncSession, table: str, owned: str, key: str, cleared: Mapping[str, str],
    user_id: UUID, *, limit: int,
) -> int:  # fmt: skip
    """Sets columns of some of the rows to their cleared values. Returns how many rows changed."""
    values = ", ".join(f"{column} = {value}" for column, value in cleared.items())
    is_uncleared = " OR ".join(
        f"{column} IS DISTINCT FROM {value}" for column, value in cleared.items()
    )
    rows = f"SELECT {key} FROM {table} WHERE ({owned}) AND ({is_uncleared}) LIMIT :limit"  # noqa: S608
    statement = f"UPDATE {table} SET {values} WHERE {key} IN ({rows})"  # noqa: S608
    return int((await _run(session, statement, user_id, limit=limit)).rowcount)


async def list_own_versions(session: AsyncSession, user_id: UUID) -> list[str]:
    """The versions of regressors that the account has trained, in order."""
    query = select(RegressorVersion.version).where(RegressorVersion.owner_id == user_id)
    return sorted((await session.exec(query)).all())


async def list_owned(
    session: AsyncSession, table: str, owned: str, key: str, user_id: UUID,
    *, withheld: Sequence[str], after: Any, limit: int,
) -> list[tuple[Any, dict[str, Any]]]:  # fmt: skip
    """A page of the rows as (key, JSON), in the order of the key."""
    beyond = "" if after is None else f"AND {key} > :after"
    statement = f"""
    SELECT {key}, to_jsonb({table}) - CAST(:withheld AS text[]) FROM {table}
    WHERE ({owned}) {beyond} ORDER BY {key} LIMIT :limit
    """  # noqa: S608
    rows = await _run(
        session, statement, user_id, withheld=list(withheld), after=after, limit=limit
    )
    return [(row[0], row[1]) for row in rows]


async def lock_own_jobs(session: AsyncSession, user_id: UUID, *, limit: int) -> list[Job]:
    """Some jobs of the account, in the order of their ids, locked until the transaction ends."""
    query = select(Job).where(Job.owner_id == user_id).order_by(col(Job.id)).limit(limit)
    return list((await session.exec(query.with_for_update())).all())


async def get_session_start(session: AsyncSession, family_id: UUID) -> datetime | None:
    """When a session began, which is the time of its first token."""
    query = select(func.min(col(RefreshToken.issued_at)))
    return (await session.exec(query.where(RefreshToken.family_id == family_id))).one()
