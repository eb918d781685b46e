"""accounts may sign in by an OpenID provider: issuer and subject, which are unique together."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNIQUE = "uq_users_oidc_issuer_oidc_subject"


def upgrade() -> None:
    op.add_column("users", sa.Column("oidc_issuer", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("oidc_subject", sa.Text(), nullable=True))
    op.create_unique_constraint(UNIQUE, "users", ["oidc_issuer", "oidc_subject"])


def downgrade() -> None:
    op.drop_constraint(UNIQUE, "users", type_="unique")
    op.drop_column("users", "oidc_subject")
    op.drop_column("users", "oidc_issuer")
