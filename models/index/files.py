"""An index version as a folder of immutable files, mapped into memory, each with its checksum."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from models.index.filter_columns import ProductColumns, empty_columns
from models.index.text_table import TextTable

VECTORS = "vectors.f16.npy"
ID_TEXT = "ids.utf8.npy"
ID_ENDS = "ids.i64.npy"
COLUMNS = {
    "category_code": "category.i32.npy",
    "brand_code": "brand.i32.npy",
    "price_e4": "price.i64.npy",
    "in_stock": "stock.bool.npy",
}
VOCABULARY = "vocabulary.json"
APPROXIMATE = "scan.faiss"

Manifest = dict[str, dict[str, int | str]]
"""File name -> size in bytes and SHA-256 in hex."""


@dataclass(frozen=True)
class IndexFiles:
    """An opened version: products in ascending order of id.

    `vectors`: float16, shape (n, dim), unit rows, read only. `columns` may be written: the page is
    copied and the file does not change. `approximate`: None where the catalogue is small enough to
    be searched exhaustively.
    """

    vectors: NDArray[np.float16]
    ids: TextTable
    columns: ProductColumns
    approximate: faiss.Index | None = None


def open_files(folder: Path) -> IndexFiles:
    """Maps a folder that `IndexWriter` wrote and `find_damage` has checked."""
    vocabulary = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    columns = ProductColumns(
        categories=vocabulary["categories"],
        brands=vocabulary["brands"],
        **{name: _mapped(folder / file, "c") for name, file in COLUMNS.items()},
    )
    approximate = folder / APPROXIMATE
    return IndexFiles(
        vectors=_mapped(folder / VECTORS, "r"),
        ids=TextTable(_mapped(folder / ID_TEXT, "r"), _mapped(folder / ID_ENDS, "r")),
        columns=columns,
        approximate=faiss.read_index(str(approximate)) if approximate.exists() else None,
    )


def is_readable(manifest: Manifest) -> bool:
    """Whether a version has the files that `open_files` opens; versions of older studios don't."""
    return {VECTORS, ID_TEXT, ID_ENDS, *COLUMNS.values(), VOCABULARY} <= set(manifest)


def empty_files(dim: int) -> IndexFiles:
    """An index version without products."""
    return IndexFiles(np.zeros((0, dim), dtype=np.float16), TextTable.of([]), empty_columns())


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


def _mapped(path: Path, mode: Literal["r", "c"]) -> Any:
    """The array without numpy's memmap class, which adds microseconds to every slice."""
    return np.asarray(np.load(path, mmap_mode=mode, allow_pickle=False))
