"""Lists of all accounts and of the audit log, for admins."""

from datetime import datetime
from uuid import UUID

from db import audit, users
from db.engine import Database
from db.tables import AuditLog, User


async def list_accounts(
    database: Database, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[User]:
    """Reads accounts, newest first."""
    async with database.read() as session:
        return await users.list_users(session, limit=limit, after=after)


async def list_audit_log(
    database: Database, *, limit: int, after: tuple[datetime, UUID] | None, action: str | None
) -> list[AuditLog]:
    """Reads entries of the audit log, newest first; only those of one action if it is given."""
    async with database.read() as session:
        return await audit.list_audit(session, limit=limit, after=after, action=action)
