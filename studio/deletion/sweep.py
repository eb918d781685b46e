"""Blobs that no row stands for, and rows whose blob is gone: found, told, and removed."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import pieces
from db.deletion.lineage import delete_predictions, delete_segmentations
from db.deletion.strays import list_known, stream_required
from db.engine import Database
from db.files import delete_file, is_on_sale
from integrations.blobs.keys import BlobEntry
from studio.deletion.blob_removal import remove_blobs, remove_doomed
from studio.deletion.lifecycle import BLOBS, BlobRule
from studio.deletion.lineage import delete_made_of, delete_tryon_rows
from studio.ports import BlobStore

GRACE = timedelta(days=1)
"""A blob is written before its row; nothing takes so long in between."""
PAGE = 500
FEW = 20
"""So many are removed without asking whether store and database belong together."""

log = structlog.get_logger("studio.sweep")


@dataclass
class KindDifferences:
    """What blobs and rows of one rule don't agree on.

    Attributes:
        strays: keys of blobs without a row, older than a day.
        missing: (id, key) of rows whose blob is gone.
        blobs, rows: how many were looked at.
    """

    strays: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    blobs: int = 0
    rows: int = 0


@dataclass
class Differences:
    """What blobs and rows don't agree on, by rule.

    Attributes:
        expired: keys older than a day of rules without rows: their age alone ends them.
        tombstones: keys that only refuse late uploads, and no longer need to.
    """

    kinds: defaultdict[BlobRule, KindDifferences] = field(
        default_factory=lambda: defaultdict(KindDifferences)
    )
    expired: list[str] = field(default_factory=list)
    tombstones: list[str] = field(default_factory=list)

    @property
    def strays(self) -> list[str]:
        """Of all rules."""
        return [key for kind in self.kinds.values() for key in kind.strays]

    @property
    def missing_count(self) -> int:
        """Of all rules."""
        return sum(len(kind.missing) for kind in self.kinds.values())

    @property
    def blobs(self) -> int:
        """How many blobs were looked at, but for those that their age alone ends."""
        return sum(kind.blobs for kind in self.kinds.values())

    @property
    def rows(self) -> int:
        """How many rows with a blob were looked at."""
        return sum(kind.rows for kind in self.kinds.values())


async def compare(database: Database, blobs: BlobStore) -> Differences:
    """Reads the whole store and every row with a blob; changes nothing."""
    found = Differences()
    await _find_strays(database, blobs, found)
    for rule in BLOBS:
        if rule.required is not None:
            await _find_missing(database, blobs, rule, found)
    return found


async def sweep(database: Database, blobs: BlobStore) -> Differences:
    """Removes what `compare` finds.

    Where more than half of a kind has no counterpart, store and database are not each other's (a
    restore, a wrong setting): nothing of this kind is removed then.
    """
    found = await compare(database, blobs)
    if found.blobs or found.rows:
        log.info(
            "sweep.compared", blobs=found.blobs, strays=len(found.strays), rows=found.rows,
            missing=found.missing_count, expired=len(found.expired),
        )  # fmt: skip
    await remove_blobs(blobs, [*found.tombstones, *found.expired])
    are_few = len(found.strays) <= FEW and found.missing_count <= FEW
    for rule, kind in found.kinds.items():
        if are_few or _is_plausible(kind):
            await _remove_kind(database, blobs, rule, kind)
        else:
            log.error(
                "sweep.refused", kind=rule.pattern,
                reason="more than half of the blobs or rows have no counterpart",
            )  # fmt: skip
    await remove_doomed(database, blobs)
    return found


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


def rule_of(key: str) -> BlobRule | None:
    """The rule of a key; None where no rule knows such keys."""
    return next((rule for rule in BLOBS if re.fullmatch(rule.pattern, key)), None)


async def _find_strays(database: Database, blobs: BlobStore, found: Differences) -> None:
    page: list[BlobEntry] = []
    async for entry in blobs.scan(""):
        page.append(entry)
        if len(page) == PAGE:
            await _judge(database, page, found)
            page = []
    await _judge(database, page, found)


async def _judge(database: Database, page: Sequence[BlobEntry], found: Differences) -> None:
    """Keys that no rule knows are left alone: they are not the studio's."""
    before = datetime.now(UTC) - GRACE
    old: dict[BlobRule, list[str]] = {}
    for entry in page:
        rule, is_old = rule_of(entry.key), entry.modified_at < before
        if entry.is_tombstone:
            found.tombstones += [entry.key] * is_old
        elif rule is not None and rule.known is None:
            found.expired += [entry.key] * is_old
        elif rule is not None:
            found.kinds[rule].blobs += 1
            old.setdefault(rule, []).extend([entry.key] * is_old)
    async with database.read() as session:
        for rule, keys in old.items():
            known = await list_known(session, rule.known or "", keys)
            found.kinds[rule].strays += [key for key in keys if key not in known]


async def _find_missing(
    database: Database, blobs: BlobStore, rule: BlobRule, found: Differences
) -> None:
    """Rows and blobs are read side by side in the order of their keys, a page of each in memory."""
    kind, stored = found.kinds[rule], _keys_of(blobs, _prefix_of(rule))
    current = await anext(stored, None)
    absent: list[tuple[str, str]] = []
    async with database.transaction() as session:
        async for row_id, key in stream_required(session, rule.required or ""):
            kind.rows += 1
            while current is not None and current < key:
                current = await anext(stored, None)
            if current != key:
                absent.append((row_id, key))
    missing = [one for one in absent if await blobs.head(one[1]) is None]
    async with database.read() as session:
        known = await list_known(session, rule.known or "", [key for _, key in missing])
    kind.missing = [one for one in missing if one[1] in known]


async def _keys_of(blobs: BlobStore, prefix: str) -> AsyncIterator[str]:
    async for entry in blobs.scan(prefix):
        if not entry.is_tombstone:
            yield entry.key


async def _remove_rows(database: Database, prefix: str, rows: Sequence[tuple[str, str]]) -> None:
    """Rows of pictures that are gone go with all that was made of these. A product stays on sale
    without its picture until its merchant gives another.
    """
    ids, keys = [row_id for row_id, _ in rows], [key for _, key in rows]
    async with database.transaction() as session:
        if prefix == "uploads/":
            await _remove_files(session, ids, keys)
        elif prefix == "masks/":
            await delete_segmentations(session, ids=[UUID(one) for one in ids])
            await delete_made_of(session, keys)
        elif prefix == "tryon/":
            await delete_tryon_rows(session, [UUID(one) for one in ids])
        elif prefix == "heatmaps/":
            await delete_predictions(session, ids=[UUID(one) for one in ids])
        else:
            log.error("sweep.pictures_missing", products=ids)


async def _remove_files(session: AsyncSession, ids: Sequence[str], keys: Sequence[str]) -> None:
    """But for files of live products, whose rows refer to them."""
    for row_id, key in zip(ids, keys, strict=True):
        if not await is_on_sale(session, file_id=UUID(row_id), blob_key=key):
            await delete_file(session, UUID(row_id))
            await delete_made_of(session, [key])
