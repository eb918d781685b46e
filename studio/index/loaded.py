"""An index version in memory, and the changes of the catalogue that are applied to it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from db.catalog import Change
from db.tables import IndexVersion
from models.embedder.shapes import unpack_vector
from models.index.answers.answer import answer_many
from models.index.files import empty_files, open_files
from models.index.product_index import ProductIndex
from models.index.shapes import SearchAnswer, SearchQuery
from models.index.stats import ScoreStats, SearchParameters, stats_from
from studio.index.rows import attributes_of, text_of

WARM_UP_SEARCHES = 32


@dataclass
class LoadedVersion:
    """A version, and the number of the last catalogue change that was applied to it.

    Attributes:
        restored: the backup that the version's row was restored from; empty if it was not restored.
        following: held while changes are read and applied, so that none overtakes a newer one.
    """

    version: str
    embedder_version: str
    index: ProductIndex
    applied_seq: int
    restored: str = ""
    following: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_of(self, row: IndexVersion) -> bool:
        """Whether this is the row's version, loaded since the row was restored."""
        return (self.version, self.restored) == (row.version, restored_from(row))

    def answer(self, queries: Sequence[SearchQuery]) -> list[SearchAnswer]:
        """The answer to each query; only the thread of the index may call it."""
        change_seq = self.applied_seq
        return [
            SearchAnswer(
                self.version,
                answer.hits,
                self.embedder_version,
                total=answer.total,
                facets=answer.facets,
                end=answer.end,
                change_seq=change_seq,
                variants=answer.variants,
                suggestion=answer.suggestion,
            )
            for answer in answer_many(self.index, queries)
        ]

    def complete(self, phrase: str, most: int) -> list[str]:
        """Ids of products whose words begin as the phrase; only the index's thread may call it."""
        return [self.index.rows.id(row) for row in self.index.words.complete(phrase, most)]

    def apply(self, changes: Sequence[Change]) -> None:
        """Applies changes; only the thread of the index may call it."""
        for change in changes:
            if change.deleted_at is not None or change.vector is None:
                self.index.remove(change.id)
                continue
            vector = unpack_vector(change.vector)
            if self.index.count == 0 and self.index.dim != vector.shape[0]:
                self.index = ProductIndex(empty_files(vector.shape[0]), self.index.stats)
            self.index.put(change.id, vector, attributes_of(change), text_of(change))


def restored_from(row: IndexVersion) -> str:
    """The backup that the version was restored from; "" if it was not restored."""
    return str(row.stats.get("restored", ""))


def open_version(folder: Path, row: IndexVersion, device: str | None) -> ProductIndex:
    """Maps the files and runs a few searches, which read the pages that later ones need."""
    files = open_files(folder)
    stats, parameters = stats_from(ScoreStats, row.stats), stats_from(SearchParameters, row.stats)
    index = ProductIndex(files, stats, parameters, device)
    for vector in files.vectors[:: max(1, len(files.vectors) // WARM_UP_SEARCHES)]:
        index.search(SearchQuery(10, image=vector.astype("float32")))
    index.words.match("words of every kind", index.rows.total)
    return index
