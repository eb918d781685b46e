"""jobs are claimed by lease: highest priority first; renewing a lease touches no index."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

QUEUED = sa.text("state = 'queued'")
RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.drop_index("ix_job_running", table_name="job", postgresql_where=RUNNING)
    op.drop_index("ix_job_queued", table_name="job", postgresql_where=QUEUED)
    columns: list[str | sa.TextClause] = [sa.text("priority DESC"), "run_at", "id"]
    op.create_index("ix_job_queued", "job", columns, unique=False, postgresql_where=QUEUED)
    op.create_index("ix_job_running", "job", ["type"], unique=False, postgresql_where=RUNNING)
    op.drop_index("ix_job_event_job_id", table_name="job_event")
    op.create_index("ix_job_event_job_id", "job_event", ["job_id", "id"], unique=False)
    # Room for the new versions of a row beside it: leases and progress change often.
    op.execute("ALTER TABLE job SET (fillfactor = 70)")


def downgrade() -> None:
    op.execute("ALTER TABLE job RESET (fillfactor)")
    op.drop_index("ix_job_event_job_id", table_name="job_event")
    op.create_index("ix_job_event_job_id", "job_event", ["job_id"], unique=False)
    op.drop_index("ix_job_running", table_name="job", postgresql_where=RUNNING)
    op.drop_index("ix_job_queued", table_name="job", postgresql_where=QUEUED)
    op.create_index(
        "ix_job_queued", "job", ["priority", "run_at", "id"], unique=False, postgresql_where=QUEUED
    )
    op.create_index(
        "ix_job_running", "job", ["lease_until"], unique=False, postgresql_where=RUNNING
    )
