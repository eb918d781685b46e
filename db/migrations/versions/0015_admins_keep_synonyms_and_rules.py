"""Admins keep synonyms and merchandising rules of the search."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "search_setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "document", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("name IN ('synonyms', 'rules')", name=op.f("ck_search_setting_name")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_search_setting")),
        if_not_exists=True,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("search_setting")
