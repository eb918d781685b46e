"""Writes an index version: rows are streamed to files, then FAISS is trained on them."""

from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import DTypeLike, NDArray

from errors import Invalid
from models.index.approximate import train_approximate
from models.index.columns.column_files import save_columns
from models.index.columns.column_store import ColumnStore
from models.index.files import APPROXIMATE, ID_ENDS, ID_TEXT, VECTORS, open_files
from models.index.shapes import ProductAttributes, ProductText, plain_text
from models.index.words.build import WordWriter

ADD_ROWS = 16_384


class NpyWriter:
    """Writes an .npy file row by row; the number of rows is written to the header at the end."""

    def __init__(self, path: Path, dtype: DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._file = path.open("wb")
        self._dtype = np.dtype(dtype)
        self._row_shape = row_shape
        self._rows = 0
        self._write_header()

    def write(self, rows: NDArray[Any]) -> None:
        """Appends rows of the file's shape and type."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._rows += len(rows)

    def finish(self) -> None:
        """Completes the file; numpy leaves room in the header for any number of rows."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def close(self) -> None:
        """Closes the file, complete or not."""
        self._file.close()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._row_shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


class IndexWriter:
    """Writes products, in ascending order of id, to the files of a version.

    Vectors are not held in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._vectors: NpyWriter | None = None
        self._dim = 0
        self._text = NpyWriter(folder / ID_TEXT, np.uint8)
        self._ends = NpyWriter(folder / ID_ENDS, np.int64)
        self._end = 0
        self._last = ""
        self._columns = ColumnStore()
        self._words = WordWriter(folder)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in (self._vectors, self._text, self._ends):
            if writer is not None:
                writer.close()
        self._words.close()

    def add(
        self,
        product_id: str,
        vector: NDArray[np.float16],
        attributes: ProductAttributes,
        text: ProductText | None = None,
    ) -> None:
        """Appends one product. `vector`: float16, shape (dim,), unit length.

        Without a text, words match its id, category and brand.

        Raises:
            Invalid: the vector has another length than the first one.
        """
        if self._vectors is None:
            self._open_vectors(len(vector))
        if self._vectors is None or vector.shape != (self._dim,):
            raise Invalid(f"a vector of shape {vector.shape} does not have {self._dim} numbers")
        if self.count and product_id <= self._last:
            raise ValueError("products must come in ascending order of their ids")
        encoded = np.frombuffer(product_id.encode(), dtype=np.uint8)
        self._vectors.write(vector[None])
        self._text.write(encoded)
        self._end += len(encoded)
        self._ends.write(np.array([self._end]))
        self._columns.put(self.count, attributes)
        self._words.add(text or plain_text(product_id, attributes))
        self._last = product_id
        self.count += 1

    def finish(self) -> None:
        """Writes the rest; a large catalogue also gets an approximate index."""
        if self._vectors is None:
            self._open_vectors(1)
        for writer in (self._vectors, self._text, self._ends):
            if writer is not None:
                writer.finish()
        self._words.finish()
        save_columns(self._columns.take(np.arange(self.count)), self._folder)
        self._build_approximate()

    def _open_vectors(self, dim: int) -> None:
        self._dim = dim
        self._vectors = NpyWriter(self._folder / VECTORS, np.float16, (dim,))

    def _build_approximate(self) -> None:
        vectors = open_files(self._folder).vectors
        approximate = train_approximate(vectors)
        if approximate is None:
            return
        for start in range(0, len(vectors), ADD_ROWS):
            block = vectors[start : start + ADD_ROWS].astype(np.float32)
            approximate.add(np.arange(start, start + len(block)), block)
        faiss.write_index(approximate.index, str(self._folder / APPROXIMATE))
