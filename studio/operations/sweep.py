"""The sweep: finds blobs without a row and rows without their blob, and removes them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import pieces
from db.deletion.lineage import delete_predictions, delete_segmentations
from db.deletion.strays import list_recorded_keys, stream_required
from db.engine import Database
from db.files import delete_file, is_on_sale
from integrations.blobs.keys import BlobEntry
from studio.deletion.blob_removal import remove_blobs, remove_doomed
from studio.deletion.lifecycle import BLOBS, BlobRule, rule_of
from studio.deletion.lineage import delete_derived, delete_tryon_rows
from studio.ports import BlobStore

GRACE = timedelta(days=1)
"""A blob is written before its row; the row follows within this time."""
PAGE = 500
FEW = 20
"""Up to this many differences are removed without checking that store and database match."""

log = structlog.get_logger("studio.sweep")


@dataclass
class KindDifferences:
    """The differences between blobs and rows of one rule.

    Attributes:
        strays: keys of blobs without a row, older than a day.
        missing: (id, key) of rows whose blob is gone.
        blobs, rows: how many were compared.
    """

    strays: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    blobs: int = 0
    rows: int = 0


@dataclass
class Differences:
    """The differences between blobs and rows, by rule.

    Attributes:
        expired: keys, older than a day, of rules without rows.
        tombstones: keys of tombstones whose uploads can no longer arrive.
    """

    kinds: defaultdict[BlobRule, KindDifferences] = field(
        default_factory=lambda: defaultdict(KindDifferences)
    )
    expired: list[str] = field(default_factory=list)
    tombstones: list[str] = field(default_factory=list)

    @property
    def strays(self) -> list[str]:
        """The strays of all rules."""
        return [key for kind in self.kinds.values() for key in kind.strays]

    @property
    def missing_count(self) -> int:
        """The number of missing blobs of all rules."""
        return sum(len(kind.missing) for kind in self.kinds.values())

    @property
    def blobs(self) -> int:
        """How many blobs of rules with rows were compared."""
        return sum(kind.blobs for kind in self.kinds.values())

    @property
    def rows(self) -> int:
        """How many rows with a blob were compared."""
        return sum(kind.rows for kind in self.kinds.values())


async def compare(database: Database, blobs: BlobStore) -> Differences:
    """Compares the whole store with every row that has a blob; changes nothing."""
    differences = Differences()
    await _find_strays(database, blobs, differences)
    for rule in BLOBS:
        if rule.row_query is not None:
            await _find_missing(database, blobs, rule, differences)
    return differences


async def sweep(database: Database, blobs: BlobStore) -> Differences:
    """Removes the differences that `compare` finds, and returns them.

    If more than half of a kind has no counterpart, store and database probably don't belong
    together (after a restore or with a wrong setting). Then nothing of this kind is removed.
    """
    differences = await compare(database, blobs)
    if differences.blobs or differences.rows:
        log.info(
            "sweep.compared", blobs=differences.blobs, strays=len(differences.strays),
            rows=differences.rows, missing=differences.missing_count,
            expired=len(differences.expired),
        )  # fmt: skip
    await remove_blobs(blobs, [*differences.tombstones, *differences.expired])
    are_few = len(differences.strays) <= FEW and differences.missing_count <= FEW
    for rule, kind in differences.kinds.items():
        if are_few or _is_plausible(kind):
            await _remove_kind(database, blobs, rule, kind)
        else:
            log.error(
                "sweep.refused", kind=rule.pattern,
                reason="more than half of the blobs or rows have no counterpart",
            )  # fmt: skip
    await remove_doomed(database, blobs)
    return differences


def _is_plausible(kind: KindDifferences) -> bool:
    return len(kind.strays) * 2 <= kind.blobs and len(kind.missing) * 2 <= kind.rows


async def _remove_kind(
    database: Database, blobs: BlobStore, rule: BlobRule, kind: KindDifferences
) -> None:
    await remove_blobs(blobs, kind.strays)
    for some in pieces(kind.missing):
        await _remove_rows(database, _prefix_of(rule), some)


def _prefix_of(rule: BlobRule) -> str:
    return rule.pattern.partition("/")[0] + "/"


async def _find_strays(database: Database, blobs: BlobStore, differences: Differences) -> None:
    page: list[BlobEntry] = []
    async for entry in blobs.scan(""):
        page.append(entry)
        if len(page) == PAGE:
            await _compare_page(database, page, differences)
            page = []
    await _compare_page(database, page, differences)


async def _compare_page(
    database: Database, page: Sequence[BlobEntry], differences: Differences
) -> None:
    """Adds the differences of a page of blobs; keys without a rule are not the studio's."""
    before = datetime.now(UTC) - GRACE
    old: dict[BlobRule, list[str]] = {}
    for entry in page:
        rule, is_old = rule_of(entry.key), entry.modified_at < before
        if entry.is_tombstone:
            differences.tombstones += [entry.key] * is_old
        elif rule is not None and rule.key_query is None:
            differences.expired += [entry.key] * is_old
        elif rule is not None:
            differences.kinds[rule].blobs += 1
            old.setdefault(rule, []).extend([entry.key] * is_old)
    async with database.read() as session:
        for rule, keys in old.items():
            recorded = await list_recorded_keys(session, rule.key_query or "", keys)
            differences.kinds[rule].strays += [key for key in keys if key not in recorded]


async def _find_missing(
    database: Database, blobs: BlobStore, rule: BlobRule, differences: Differences
) -> None:
    """Adds the rows of a rule whose blob is missing.

    Reads rows and blobs in parallel, in the order of their keys, with a page of each in memory.
    """
    kind, stored = differences.kinds[rule], _keys_of(blobs, _prefix_of(rule))
    current = await anext(stored, None)
    absent: list[tuple[str, str]] = []
    async with database.transaction() as session:
        async for row_id, key in stream_required(session, rule.row_query or ""):
            kind.rows += 1
            while current is not None and current < key:
                current = await anext(stored, None)
            if current != key:
                absent.append((row_id, key))
    missing = [row for row in absent if await blobs.head(row[1]) is None]
    async with database.read() as session:
        recorded = await list_recorded_keys(
            session, rule.key_query or "", [key for _, key in missing]
        )
    kind.missing = [row for row in missing if row[1] in recorded]


async def _keys_of(blobs: BlobStore, prefix: str) -> AsyncIterator[str]:
    async for entry in blobs.scan(prefix):
        if not entry.is_tombstone:
            yield entry.key


async def _remove_rows(database: Database, prefix: str, rows: Sequence[tuple[str, str]]) -> None:
    """Deletes rows whose blob is gone, with everything derived from it.

    A product stays on sale without its picture until its merchant uploads another one.
    """
    ids, keys = [row_id for row_id, _ in rows], [key for _, key in rows]
    async with database.transaction() as session:
        if prefix == "uploads/":
            await _remove_files(session, ids, keys)
        elif prefix == "masks/":
            await delete_segmentations(session, ids=[UUID(text) for text in ids])
            await delete_derived(session, keys)
        elif prefix == "tryon/":
            await delete_tryon_rows(session, [UUID(text) for text in ids])
        elif prefix == "heatmaps/":
            await delete_predictions(session, ids=[UUID(text) for text in ids])
        else:
            log.error("sweep.pictures_missing", products=ids)


async def _remove_files(session: AsyncSession, ids: Sequence[str], keys: Sequence[str]) -> None:
    """Deletes files, except those of live products, whose rows refer to them."""
    for row_id, key in zip(ids, keys, strict=True):
        if not await is_on_sale(session, file_id=UUID(row_id), blob_key=key):
            await delete_file(session, UUID(row_id))
            await delete_derived(session, [key])
