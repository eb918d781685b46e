"""Steps of migrations that run beside writers, and that can be repeated after a failure."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op

LOCK_TIMEOUT = "5s"
"""While a migration waits for a table, all later requests for that table wait behind it."""


@contextmanager
def online() -> Iterator[None]:
    """Leaves the transaction, for statements with `CONCURRENTLY`.

    Such statements wait for all older transactions, but others can read and write meanwhile; so
    they may wait as long as a backup takes. Entering the block commits the statements before it:
    these must be safe to repeat.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def replace_index(
    name: str, table: str, columns: Sequence[str | sa.TextClause], **options: Any
) -> None:
    """Builds an index inside `online`; drops the invalid one that an interrupted run leaves.

    Args:
        options: other arguments of `op.create_index`, such as `unique` or `postgresql_where`.
    """
    op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
    op.create_index(name, table, columns, postgresql_concurrently=True, **options)
