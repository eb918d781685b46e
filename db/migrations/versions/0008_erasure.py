"""Deletions are recorded, and blobs of deleted rows are removed until they are gone."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from db.migrations.steps import online, replace_index

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXES: dict[str, tuple[str, ...]] = {
    "segmentation_result": ("input_key", "mask_key"),
    "tryon_job": ("person_key", "garment_key", "mask_key", "output_key"),
    "prediction": ("input_key", "heatmap_key"),
    "audit_log": ("subject",),
    "refresh_token": ("expires_at",),
    "webhook_event": ("received_at",),
}
PARTIAL = (
    ("ix_product_deleted_at", "product", "deleted_at", "deleted_at IS NOT NULL"),
    ("ix_refresh_token_revoked_at", "refresh_token", "revoked_at", "revoked_at IS NOT NULL"),
    (
        "ix_search_log_personal",
        "search_log",
        "at",
        "user_id IS NOT NULL OR params ?| ARRAY['query'::text, 'image_url'::text, 'file_id'::text]",
    ),
    ("ix_users_ended_at", "users", "ended_at", "ended_at IS NOT NULL"),
)
NULLABLE = (("payment", "user_id"), ("product", "owner_id"), ("tryon_job", "garment_key"))


def upgrade() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('file', 'tryon', 'product', 'account')", name=op.f("ck_erasure_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        if_not_exists=True,
    )
    op.create_index("ix_erasure_at", "erasure", ["at"], if_not_exists=True)
    op.create_table(
        "doomed_blob",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("key", "due_at", name=op.f("pk_doomed_blob")),
        if_not_exists=True,
    )
    op.create_index("ix_doomed_blob_due_at", "doomed_blob", ["due_at"], if_not_exists=True)
    op.create_table(
        "mention",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.Column("stage", sa.Text(), server_default="search_log", nullable=False),
        sa.Column("after_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("after_id", sa.Uuid(), nullable=True),
        sa.Column("is_running", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("stage IN ('search_log', 'job')", name=op.f("ck_mention_stage")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mention")),
        if_not_exists=True,
    )
    op.create_index("ix_mention_due_at", "mention", ["due_at"], if_not_exists=True)
    ended_at = sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True)
    op.add_column("users", ended_at, if_not_exists=True)
    for table, column in NULLABLE:
        op.alter_column(table, column, nullable=True)
    with online():
        for table, columns in INDEXES.items():
            for column in columns:
                replace_index(f"ix_{table}_{column}", table, [column])
        replace_index("ix_search_log_user_id_at", "search_log", ["user_id", "at", "id"])
        for name, table, column, where in PARTIAL:
            replace_index(name, table, [column], postgresql_where=sa.text(where))


def downgrade() -> None:
    """Deletes the rows that the old schema can't hold: those without an owner or a garment."""
    for name, table, _, _ in PARTIAL:
        op.drop_index(name, table_name=table)
    for table, columns in INDEXES.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{column}", table_name=table)
    op.drop_index("ix_search_log_user_id_at", table_name="search_log")
    op.execute("DELETE FROM tryon_job WHERE garment_key IS NULL")
    op.execute("DELETE FROM product WHERE owner_id IS NULL")
    op.execute("DELETE FROM payment WHERE user_id IS NULL")
    for table, column in NULLABLE:
        op.alter_column(table, column, nullable=False)
    op.drop_column("users", "ended_at")
    op.drop_table("mention")
    op.drop_table("doomed_blob")
    op.drop_table("erasure")
