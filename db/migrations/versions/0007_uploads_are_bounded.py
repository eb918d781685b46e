"""Uploads: one check at a time, a rejected upload is not checked again; results have a size."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import online, replace_index

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RESULTS = ("segmentation_result", "tryon_job", "prediction")


def upgrade() -> None:
    with online():
        where = sa.text("status <> 'ready'")
        replace_index("ix_files_unfinished", "files", ["created_at"], postgresql_where=where)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_files_pending")
    allow_statuses("'pending', 'ready', 'failed'")
    op.add_column("files", sa.Column("failure", sa.Text(), nullable=True))
    op.add_column("files", sa.Column("check_ends_at", sa.DateTime(timezone=True), nullable=True))
    for table in RESULTS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS stored_bytes BIGINT")


def downgrade() -> None:
    with online():
        where = sa.text("status = 'pending'")
        replace_index("ix_files_pending", "files", ["created_at"], postgresql_where=where)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_files_unfinished")
    op.execute("DELETE FROM files WHERE status = 'failed'")
    allow_statuses("'pending', 'ready'")
    for table in RESULTS:
        op.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS stored_bytes")
    op.drop_column("files", "check_ends_at")
    op.drop_column("files", "failure")


def allow_statuses(names: str) -> None:
    """The rows are validated in a separate step, so that others can read and write meanwhile."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE files DROP CONSTRAINT IF EXISTS new_status")
        op.execute(
            f"ALTER TABLE files ADD CONSTRAINT new_status CHECK (status IN ({names})) NOT VALID"
        )
        op.execute("ALTER TABLE files VALIDATE CONSTRAINT new_status")
    op.drop_constraint(op.f("ck_files_status"), "files", type_="check")
    op.execute("ALTER TABLE files RENAME CONSTRAINT new_status TO ck_files_status")
