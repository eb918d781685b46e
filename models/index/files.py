"""An index version as a folder of immutable files, mapped into memory, each with its checksum."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from models.index.columns.column_files import (
    COLUMNS,
    NEWER_COLUMNS,
    VOCABULARY,
    load_array,
    open_columns,
)
from models.index.columns.column_store import ProductColumns, empty_columns
from models.index.columns.dictionaries import Dictionaries
from models.index.text_table import TextTable
from models.index.words.files import FINGERPRINTS, WORD_FILES, WordFiles, empty_words, open_words

VECTORS = "vectors.f16.npy"
ID_TEXT = "ids.utf8.npy"
ID_ENDS = "ids.i64.npy"
APPROXIMATE = "scan.faiss"

Manifest = dict[str, dict[str, int | str]]
"""File name -> size in bytes and SHA-256 in hex."""


@dataclass(frozen=True)
class IndexFiles:
    """An opened version: products in ascending order of id.

    `vectors`: float16, shape (n, dim), unit rows, read only. `columns` may be written: the page is
    copied and the file does not change. `approximate`: None where the catalogue is small enough to
    be searched exhaustively. `has_all_columns`: False for a version of an older studio. Until it is
    rebuilt, its unchanged products have no currency, group, time, facts and words.
    """

    vectors: NDArray[np.float16]
    ids: TextTable
    columns: ProductColumns
    approximate: faiss.Index | None = None
    has_all_columns: bool = True
    words: WordFiles = field(default_factory=empty_words)


def open_files(folder: Path) -> IndexFiles:
    """Maps a folder that `IndexWriter` wrote and `find_damage` has checked."""
    approximate = folder / APPROXIMATE
    newer = {*NEWER_COLUMNS.values(), *WORD_FILES}
    return IndexFiles(
        vectors=load_array(folder / VECTORS, "r"),
        ids=TextTable(load_array(folder / ID_TEXT, "r"), load_array(folder / ID_ENDS, "r")),
        columns=open_columns(folder),
        approximate=faiss.read_index(str(approximate)) if approximate.exists() else None,
        has_all_columns=all((folder / file).exists() for file in newer),
        words=open_words(folder) if (folder / FINGERPRINTS).exists() else empty_words(),
    )


def is_readable(manifest: Manifest) -> bool:
    """Whether a version has the files that `open_files` opens; versions of older studios don't."""
    return {VECTORS, ID_TEXT, ID_ENDS, *COLUMNS.values(), VOCABULARY} <= set(manifest)


def empty_files(dim: int, dictionaries: Dictionaries | None = None) -> IndexFiles:
    """An index version without products."""
    vectors = np.zeros((0, dim), dtype=np.float16)
    return IndexFiles(vectors, TextTable.of([]), empty_columns(dictionaries))


def manifest_of(folder: Path) -> Manifest:
    """Size and checksum of every file of a folder."""
    return {path.name: _checksum(path) for path in sorted(folder.iterdir())}


def find_damage(folder: Path, manifest: Manifest) -> list[str]:
    """Names of files that are missing or differ from the manifest."""
    return [
        name
        for name, expected in sorted(manifest.items())
        if not (folder / name).is_file() or _checksum(folder / name) != expected
    ]


def _checksum(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}
