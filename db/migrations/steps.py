"""Steps of migrations that run while callers write, and again after they failed half way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op

LOCK_TIMEOUT = "5s"
"""A migration that waits longer for a table would hold up every request that comes after it."""


@contextmanager
def online() -> Iterator[None]:
    """Leaves the transaction for statements `CONCURRENTLY`, which wait for every older one.

    They let others read and write while they wait, so they may wait as long as a backup takes.
    What comes before the block is committed by it: it must bear to be run again.
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
    """An index, built anew: an interrupted run leaves an invalid one behind. Inside of `online`.

    Args:
        options: as `op.create_index` takes them, `unique` or `postgresql_where`.
    """
    op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
    op.create_index(name, table, columns, postgresql_concurrently=True, **options)
