"""An index of product ids by their bytes, so that a rebuild reads the catalogue in key ranges."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from db.migrations.steps import online, replace_index

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with online():
        replace_index("ix_product_id_bytes", "product", [sa.text('id COLLATE "C"')])


def downgrade() -> None:
    with online():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_product_id_bytes")
