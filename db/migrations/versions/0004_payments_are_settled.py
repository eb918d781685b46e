"""payments are settled: the time of the next check at PayPal; refunds; idempotency keys."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATUSES = (
    "'CREATING', 'FAILED', 'CREATED', 'APPROVED', 'CAPTURING', 'VOIDED', 'PENDING', "
    "'DECLINED', 'COMPLETED', 'PARTIALLY_REFUNDED', 'REFUNDED'"
)


def upgrade() -> None:
    empty = sa.text("'{}'::jsonb")
    moment = sa.DateTime(timezone=True)
    for column in (
        sa.Column("refunds", postgresql.JSONB(), server_default=empty, nullable=False),
        sa.Column("approval_url", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("check_at", moment, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
    ):
        op.add_column("payment", column)
    op.create_unique_constraint(
        "uq_payment_user_id_idempotency_key", "payment", ["user_id", "idempotency_key"]
    )
    op.create_check_constraint(
        op.f("ck_payment_refunded"), "payment", "refunded >= 0 AND refunded <= amount"
    )
    op.create_check_constraint(op.f("ck_payment_status"), "payment", f"status IN ({STATUSES})")
    op.create_index("ix_payment_created_at", "payment", ["created_at", "id"])
    op.create_index(
        "ix_payment_check_at",
        "payment",
        ["check_at"],
        postgresql_where=sa.text("check_at IS NOT NULL"),
    )
    op.add_column(
        "webhook_event",
        sa.Column("retry_at", moment, server_default=sa.text("now()"), nullable=False),
    )
    op.create_index(
        "ix_webhook_event_retry_at",
        "webhook_event",
        ["retry_at"],
        postgresql_where=sa.text("applied_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_event_retry_at", table_name="webhook_event")
    op.drop_column("webhook_event", "retry_at")
    op.drop_index("ix_payment_check_at", table_name="payment")
    op.drop_index("ix_payment_created_at", table_name="payment")
    op.drop_constraint(op.f("ck_payment_status"), "payment")
    op.drop_constraint(op.f("ck_payment_refunded"), "payment")
    op.drop_constraint("uq_payment_user_id_idempotency_key", "payment")
    names = ("fingerprint", "idempotency_key", "check_at", "attempt", "approval_url", "refunds")
    for name in names:
        op.drop_column("payment", name)
