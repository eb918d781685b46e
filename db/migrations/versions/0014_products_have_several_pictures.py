"""Products have up to eight pictures, a SKU, a group of variants, a URL and a list price."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TEXTS = ("sku", "group_id", "url")


def upgrade() -> None:
    """Only adds, so it rewrites no row, and the code of the last release works beside it."""
    for name in TEXTS:
        op.add_column("product", sa.Column(name, sa.Text(), nullable=True), if_not_exists=True)
    list_price = sa.Column("list_price", sa.Numeric(), nullable=True)
    op.add_column("product", list_price, if_not_exists=True)
    op.create_table(
        "product_image",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=True),
        sa.Column("image_key", sa.Text(), nullable=False),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("image_sha256", sa.Text(), nullable=False),
        sa.CheckConstraint("position BETWEEN 1 AND 7", name=op.f("ck_product_image_position")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_product_image_product_id_product"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_product_image_file_id_files")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_image")),
        sa.UniqueConstraint(
            "product_id", "position", name=op.f("uq_product_image_product_id_position")
        ),
        if_not_exists=True,
    )  # fmt: skip
    for name in ("file_id", "image_key"):
        op.create_index(f"ix_product_image_{name}", "product_image", [name], if_not_exists=True)


def downgrade() -> None:
    op.drop_table("product_image")
    for name in ("list_price", *TEXTS):
        op.drop_column("product", name)
