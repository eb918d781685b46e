"""Moves a database's schema to the revision of a backup; its rows are lost."""

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from db.migrate import alembic_config
from errors import SetupError


def require_revision(database_url: str, revision: str) -> None:
    """Requires that a migration of this studio has the revision.

    Raises:
        SetupError: no migration has it.
    """
    scripts = ScriptDirectory.from_config(alembic_config(database_url))
    try:
        scripts.get_revision(revision)
    except CommandError:
        raise SetupError(
            f"the schema {revision} is unknown to this studio: a newer one wrote it, use that one"
        ) from None


def move_schema(database_url: str, present: str | None, revision: str) -> None:
    """Moves an empty database, or one without rows, to a revision; not inside an event loop."""
    config = alembic_config(database_url)
    if present not in (None, revision):
        command.downgrade(config, "base")
    if present != revision:
        command.upgrade(config, revision)
