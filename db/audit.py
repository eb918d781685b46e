"""Queries over the audit log; a row is written in the transaction of the action."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import AuditLog


def insert_audit(
    session: AsyncSession,
    action: str,
    *,
    actor_id: UUID | None,
    subject: str | None = None,
    outcome: str = "ok",
    ip: str | None = None,
    detail: dict[str, Any] | None = None,
    request_id: str | None = None,
) -> None:
    """Adds a row with the actor, the action and its subject."""
    session.add(
        AuditLog(
            action=action,
            actor_id=actor_id,
            subject=subject,
            outcome=outcome,
            ip=ip,
            detail=detail or {},
            request_id=request_id,
        )
    )


async def list_audit(
    session: AsyncSession,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
    action: str | None = None,
) -> list[AuditLog]:
    """A page of the audit log, newest first."""
    query = select(AuditLog).order_by(col(AuditLog.at).desc(), col(AuditLog.id).desc())
    if after is not None:
        query = query.where(tuple_(col(AuditLog.at), col(AuditLog.id)) < after)
    if action is not None:
        query = query.where(AuditLog.action == action)
    return list((await session.exec(query.limit(limit))).all())
