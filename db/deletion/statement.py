"""Runs a statement that is written as SQL text."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession


async def run_statement(session: AsyncSession, statement: str, **params: Any) -> Any:
    """Runs the statement with these bound parameters and returns its result."""
    return await session.exec(text(statement), params=params)  # type: ignore[call-overload]
