"""Sessions belong to a version of their account; responses to idempotency keys are stored."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from db.migrations.steps import online, replace_index

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RECEIPTS = ("tryon_job", "segmentation_result")


def upgrade() -> None:
    version = sa.Column("version", sa.Integer(), server_default="0", nullable=False)
    add_column("refresh_token", version)
    add_column("refresh_token", sa.Column("network", sa.Text(), nullable=True))
    op.execute(
        "UPDATE refresh_token SET version = users.token_version FROM users"
        " WHERE users.id = refresh_token.user_id AND users.token_version <> 0"
    )
    for table in RECEIPTS:
        add_column(table, sa.Column("idempotency_key", sa.Text(), nullable=True))
        add_column(table, sa.Column("receipt", JSONB(astext_type=sa.Text()), nullable=True))
    with online():
        replace_index(
            "ix_refresh_token_network", "refresh_token", ["user_id", "network"],
            postgresql_where=sa.text("network IS NOT NULL"),
        )  # fmt: skip
        for table in RECEIPTS:
            replace_index(
                f"uq_{table}_user_id_idempotency_key", table, ["user_id", "idempotency_key"],
                unique=True, postgresql_where=sa.text("idempotency_key IS NOT NULL"),
            )  # fmt: skip


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Adds the column unless an interrupted run has added it."""
    op.add_column(table, column, if_not_exists=True)


def downgrade() -> None:
    for table in RECEIPTS:
        op.drop_index(f"uq_{table}_user_id_idempotency_key", table)
        op.drop_column(table, "receipt")
        op.drop_column(table, "idempotency_key")
    op.drop_index("ix_refresh_token_network", "refresh_token")
    op.drop_column("refresh_token", "network")
    op.drop_column("refresh_token", "version")
