"""a try-on follows its job: when the job ends, the row of the try-on gets the same state."""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Jobs end in many ways (a worker's finish, a reaper, a cancellation); one trigger sees all.
    op.execute(
        """
        CREATE FUNCTION tryon_follows_job() RETURNS trigger AS $$
        BEGIN
            UPDATE tryon_job
            SET state = NEW.state, error = NEW.error, finished_at = NEW.finished_at
            WHERE job_id = NEW.id;
            RETURN NULL;
        END $$ LANGUAGE plpgsql
        """
    )
    op.execute(
        """
        CREATE TRIGGER tryon_follows_job AFTER UPDATE OF state ON job
        FOR EACH ROW WHEN (NEW.type = 'tryon' AND OLD.state IS DISTINCT FROM NEW.state)
        EXECUTE FUNCTION tryon_follows_job()
        """
    )
    op.create_index("ix_tryon_job_job_id", "tryon_job", ["job_id"])
    op.create_index("ix_tryon_job_user_id_created_at", "tryon_job", ["user_id", "created_at", "id"])
    op.drop_index("ix_tryon_job_user_id", table_name="tryon_job")


def downgrade() -> None:
    op.execute("DROP TRIGGER tryon_follows_job ON job")
    op.execute("DROP FUNCTION tryon_follows_job")
    op.create_index("ix_tryon_job_user_id", "tryon_job", ["user_id"])
    op.drop_index("ix_tryon_job_user_id_created_at", table_name="tryon_job")
    op.drop_index("ix_tryon_job_job_id", table_name="tryon_job")
