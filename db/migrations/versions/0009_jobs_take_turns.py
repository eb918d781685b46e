"""jobs take turns by owner: due jobs are found by owner, and keep their last claim."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

QUEUED = sa.text("state = 'queued'")
CLAIMED = sa.text("claimed_at IS NOT NULL")
ACCOUNT = sa.text("COALESCE(owner_id, '00000000-0000-0000-0000-000000000000'::uuid)")
TURNS: list[str | sa.TextClause] = ["type", ACCOUNT, sa.text("priority DESC"), "run_at", "id"]
OLDEST: list[str | sa.TextClause] = [sa.text("priority DESC"), "run_at", "id"]


def upgrade() -> None:
    op.execute("ALTER TABLE job ADD COLUMN IF NOT EXISTS claimed_at timestamptz")
    with op.get_context().autocommit_block():
        replace_index("ix_job_turns", TURNS, QUEUED)
        replace_index("ix_job_claimed", [ACCOUNT, "claimed_at"], CLAIMED)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_job_queued")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        replace_index("ix_job_queued", OLDEST, QUEUED)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_job_turns")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_job_claimed")
    op.drop_column("job", "claimed_at")


def replace_index(name: str, columns: Sequence[str | sa.TextClause], where: sa.TextClause) -> None:
    """Built while jobs go on; one that an interrupted run has left invalid is built again."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.create_index(name, "job", columns, postgresql_where=where, postgresql_concurrently=True)
