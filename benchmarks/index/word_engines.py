"""The engines that `benchmarks.index.words` compares, behind one small interface."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.index.shapes import ProductText
from models.index.words.analysis import terms_of
from models.index.words.build import WordWriter
from models.index.words.files import open_words
from models.index.words.word_index import WordIndex

BEST = 200
FIELDS = ("title", "brand", "category", "values", "description")
BOOSTS = {"title": 5.0, "brand": 4.0, "category": 4.0, "values": 2.5, "description": 1.0}


def folder_size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Engine(Protocol):
    """One way to search; rows are places in the catalogue."""

    clock: Callable[[], float]

    def build(self, texts: Sequence[ProductText]) -> None:
        """Indexes the catalogue."""

    def size(self) -> int:
        """Bytes on disk."""

    def best(self, query: str) -> None:
        """The best 200 rows with their scores."""

    def mask(self, query: str, is_fuzzy: bool) -> NDArray[np.bool_] | None:
        """All rows that have every word, with one typing error where `is_fuzzy`; None: can't."""

    def write(self, row: int, text: ProductText | None) -> None:
        """Replaces or removes a product; the next search sees it."""


class Ours:
    """`models.index.words`."""

    clock = staticmethod(time.process_time)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows = 0

    def build(self, texts: Sequence[ProductText]) -> None:
        writer = WordWriter(self._folder)
        for text in texts:
            writer.add(text)
        writer.finish()
        writer.close()
        self._rows = len(texts)
        self._index = WordIndex(open_words(self._folder))

    def size(self) -> int:
        return folder_size(self._folder)

    def best(self, query: str) -> None:
        scores = self._index.match(query, self._rows).scores
        best = np.argpartition(scores, -BEST)[-BEST:]
        best[np.argsort(-scores[best])]

    def mask(self, query: str, is_fuzzy: bool) -> NDArray[np.bool_]:
        return self._index.match(query, self._rows).is_complete

    def write(self, row: int, text: ProductText | None) -> None:
        if text is None:
            self._index.remove(row)
        else:
            self._index.put(row, text)


class Tantivy:
    """tantivy: BM25 in Rust, one writing thread."""

    clock = staticmethod(time.process_time)

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._folder = folder
        self._tantivy: Any = tantivy
        builder = tantivy.SchemaBuilder()
        builder.add_integer_field("row", fast=True, indexed=True)
        for name in FIELDS:
            builder.add_text_field(name)
        self._index = tantivy.Index(builder.build(), path=str(folder))

    def build(self, texts: Sequence[ProductText]) -> None:
        self._rows = len(texts)
        self._writer = self._index.writer(heap_size=200_000_000, num_threads=1)
        for row, text in enumerate(texts):
            self._writer.add_document(self._document(row, text))
        self._writer.commit()
        self._writer.wait_merging_threads()
        self._writer = self._index.writer(heap_size=50_000_000, num_threads=1)
        self._index.reload()

    def _document(self, row: int, text: ProductText) -> Any:
        fields = {name: getattr(text, name) or "" for name in FIELDS}
        return self._tantivy.Document(row=row, **fields | {"values": " ".join(text.values)})

    def _query(self, query: str, is_fuzzy: bool) -> Any:
        fuzzy = dict.fromkeys(("title", "brand", "category"), (False, 1, True)) if is_fuzzy else {}
        words = " ".join(terms_of(query))
        return self._index.parse_query(
            words, list(FIELDS), BOOSTS, fuzzy_fields=fuzzy, conjunction_by_default=True
        )

    def size(self) -> int:
        return folder_size(self._folder)

    def best(self, query: str) -> None:
        searcher = self._index.searcher()
        hits = searcher.search(self._query(query, False), limit=BEST).hits
        searcher.fast_field_values("row", [address for _, address in hits])

    def mask(self, query: str, is_fuzzy: bool) -> NDArray[np.bool_]:
        searcher = self._index.searcher()
        hits = searcher.search(self._query(query, is_fuzzy), limit=self._rows).hits
        mask = np.zeros(self._rows, dtype=np.bool_)
        if hits:
            mask[searcher.fast_field_values("row", [address for _, address in hits])] = True
        return mask

    def write(self, row: int, text: ProductText | None) -> None:
        self._writer.delete_documents_by_term("row", row)
        if text is not None:
            self._writer.add_document(self._document(row, text))
        self._writer.commit()
        self._index.reload()


class Bm25s:
    """bm25s: scores of all rows from a sparse matrix; it has neither masks nor writes."""

    clock = staticmethod(time.process_time)

    def __init__(self, folder: Path) -> None:
        import bm25s

        self._folder = folder
        self._index: Any = bm25s.BM25()

    def build(self, texts: Sequence[ProductText]) -> None:
        corpus = [
            terms_of(" ".join([text.title, text.brand or "", text.category, *text.values]))
            + terms_of(text.description or "")
            for text in texts
        ]
        self._index.index(corpus, show_progress=False)
        self._index.save(str(self._folder))

    def size(self) -> int:
        return folder_size(self._folder)

    def best(self, query: str) -> None:
        self._index.retrieve([terms_of(query)], k=BEST, show_progress=False)

    def mask(self, query: str, is_fuzzy: bool) -> None:
        return None

    def write(self, row: int, text: ProductText | None) -> None:
        raise NotImplementedError


class PostgresText:
    """PostgreSQL's full text: weighted vectors, a GIN index, `ts_rank`; no typing errors."""

    clock = staticmethod(time.perf_counter)

    def __init__(self, folder: Path) -> None:
        import asyncpg

        from local.servers.postgres import Postgres

        folder.chmod(0o711)
        self.server = Postgres(folder, durable=False)
        self.server.start()
        self._loop = asyncio.new_event_loop()
        url = self.server.url("postgres").replace("+asyncpg", "")
        self._connection: Any = self._loop.run_until_complete(asyncpg.connect(url))

    def _run(self, name: str, *args: Any) -> Any:
        return self._loop.run_until_complete(getattr(self._connection, name)(*args))

    def build(self, texts: Sequence[ProductText]) -> None:
        self._rows = len(texts)
        self._run("execute", "CREATE TABLE words (row int PRIMARY KEY, lexemes tsvector)")
        values = [(row, *self._weighted(text)) for row, text in enumerate(texts)]
        self._run("executemany", f"INSERT INTO words VALUES ($1, {LEXEMES})", values)
        self._run("execute", "CREATE INDEX ON words USING gin (lexemes)")
        self._run("execute", "VACUUM ANALYZE words")

    @staticmethod
    def _weighted(text: ProductText) -> tuple[str, str, str]:
        names = f"{text.title} {text.brand or ''} {text.category}"
        return names, " ".join(text.values), text.description or ""

    def size(self) -> int:
        return int(self._run("fetchval", "SELECT pg_total_relation_size('words')"))

    def best(self, query: str) -> None:
        self._run(
            "fetch",
            "SELECT row, ts_rank(lexemes, q) AS rank FROM words, plainto_tsquery('english', $1) q"
            f" WHERE lexemes @@ q ORDER BY rank DESC LIMIT {BEST}",
            query,
        )

    def mask(self, query: str, is_fuzzy: bool) -> NDArray[np.bool_] | None:
        if is_fuzzy:
            return None
        mask = np.zeros(self._rows, dtype=np.bool_)
        rows = self._run(
            "fetchval",
            "SELECT array_agg(row) FROM words WHERE lexemes @@ plainto_tsquery('english', $1)",
            query,
        )
        mask[rows or []] = True
        return mask

    def write(self, row: int, text: ProductText | None) -> None:
        if text is None:
            self._run("execute", "DELETE FROM words WHERE row = $1", row)
            return
        statement = (
            f"INSERT INTO words VALUES ($1, {LEXEMES})"
            " ON CONFLICT (row) DO UPDATE SET lexemes = excluded.lexemes"
        )
        self._run("execute", statement, row, *self._weighted(text))


LEXEMES = " || ".join(
    f"setweight(to_tsvector('english', ${place}), '{weight}')"
    for place, weight in ((2, "A"), (3, "B"), (4, "D"))
)
ENGINES: dict[str, Callable[[Path], Any]] = {
    "ours": Ours, "tantivy": Tantivy, "postgresql": PostgresText, "bm25s": Bm25s,
}  # fmt: skip
