"""jobs keep the span that submitted them; ended jobs and unfinished uploads are found by time."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    op.add_column("job", sa.Column("traceparent", sa.Text(), nullable=True))
    op.create_index("ix_job_finished_at", "job", ["finished_at"], unique=False)
    op.create_index(
        "ix_files_pending", "files", ["created_at"], unique=False, postgresql_where=PENDING
    )


def downgrade() -> None:
    op.drop_index("ix_files_pending", table_name="files", postgresql_where=PENDING)
    op.drop_index("ix_job_finished_at", table_name="job")
    op.drop_column("job", "traceparent")
