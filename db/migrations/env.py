"""Alembic's entry point: runs migrations on the URL of `db.migrate` or `STUDIO_DATABASE_URL`."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import db.tables  # noqa: F401  (fills the metadata)
from db.engine import make_engine
from db.migrations.steps import LOCK_TIMEOUT

URL = context.config.get_main_option("sqlalchemy.url") or os.environ["STUDIO_DATABASE_URL"]


def migrate(connection: Connection) -> None:
    """Runs each migration in a transaction of its own, so that a failed one changes nothing.

    A migration may leave its transaction to build an index beside writers: `db.migrations.steps`.
    """
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()


async def connect() -> None:
    """Opens one connection and migrates on it."""
    engine = make_engine(URL, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(connect())
