"""Brings a database's schema to the newest migration."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from db.engine import Database


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration without an ini file: the folder of scripts and the database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", database_url.replace("%", "%%"))
    return config


def upgrade(database_url: str) -> None:
    """Runs every missing migration; call it outside an event loop."""
    command.upgrade(alembic_config(database_url), "head")


async def missing_migrations(database_url: str) -> list[str]:
    """The revisions that the database lacks, oldest first; none where its schema is newer.

    Raises:
        Unavailable: the database does not answer.
    """
    database = Database(database_url, pool_size=1)
    try:
        revision = await _read_revision(database)
    finally:
        await database.aclose()
    scripts = ScriptDirectory.from_config(alembic_config(database_url))
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    if revision is None:
        return revisions
    return revisions[revisions.index(revision) + 1 :] if revision in revisions else []


async def _read_revision(database: Database) -> str | None:
    """Reads the schema's revision; None where there is no schema yet."""
    table = text("SELECT to_regclass('alembic_version') IS NOT NULL")
    async with database.read() as session:
        if not (await session.exec(table)).scalar_one():  # type: ignore[call-overload]
            return None
        result = await session.exec(text("SELECT version_num FROM alembic_version"))  # type: ignore[call-overload]
        revision = result.scalar()
    return None if revision is None else str(revision)
