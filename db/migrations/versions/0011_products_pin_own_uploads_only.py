"""A product names no upload of another merchant: the upload stays its owner's to delete."""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Each such product has its own public copy of the picture, and keeps it."""
    op.execute(
        "UPDATE product SET file_id = NULL FROM files "
        "WHERE files.id = product.file_id AND files.owner_id <> product.owner_id"
    )


def downgrade() -> None:
    """Which upload it was is not known any more."""
