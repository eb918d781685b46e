"""A product refers to no upload of another merchant, so that its owner can delete the upload."""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Removes the references; each product keeps its own public copy of the picture."""
    op.execute(
        "UPDATE product SET file_id = NULL FROM files "
        "WHERE files.id = product.file_id AND files.owner_id <> product.owner_id"
    )


def downgrade() -> None:
    """Does nothing: the removed references are not known any more."""
