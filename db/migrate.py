"""Brings a database's schema to the newest migration."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration without an ini file: where the scripts are and which database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", database_url.replace("%", "%%"))
    return config


def upgrade(database_url: str) -> None:
    """Runs every missing migration; call it outside of an event loop."""
    command.upgrade(alembic_config(database_url), "head")
