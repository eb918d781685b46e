"""Jobs take turns by owner: an index of due jobs by owner, and the time of the last claim."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import online, replace_index

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
    with online():
        replace_index("ix_job_turns", "job", TURNS, postgresql_where=QUEUED)
        replace_index("ix_job_claimed", "job", [ACCOUNT, "claimed_at"], postgresql_where=CLAIMED)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_job_queued")


def downgrade() -> None:
    with online():
        replace_index("ix_job_queued", "job", OLDEST, postgresql_where=QUEUED)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_job_turns")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_job_claimed")
    op.drop_column("job", "claimed_at")
