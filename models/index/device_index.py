"""Exhaustive search on a GPU: every vector in half precision, one matrix product for many searches.

faiss-gpu is not used: without cuVS it accepts a filter and ignores it (`GpuIndexFlat::searchImpl_`
never reads its `params`), and its wheel needs another CUDA version than torch's.
A million vectors of 512 numbers take 1 GB of the device's memory. The vectors are in chunks that
are searched one after the other, so that nothing is ever copied to make room, and a search needs
memory for one chunk's scores only.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from models.index.shapes import Scan

CHUNK_ROWS = 1 << 18
APPENDED_ROWS = 1 << 14
"""Rows of a chunk for appended rows: what an index that has none yet allocates for its first."""


class Chunk:
    """A tensor of vectors, (capacity, dim), and their rows' numbers; filled from the start."""

    def __init__(self, capacity: int, dim: int, device: torch.device) -> None:
        self._vectors = torch.empty((capacity, dim), dtype=torch.float16, device=device)
        self._rows = torch.empty(capacity, dtype=torch.int64, device=device)
        self._count = 0

    @property
    def free(self) -> int:
        """How many more rows fit."""
        return len(self._rows) - self._count

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Appends at most `free` rows. `vectors`: float16 (n, dim)."""
        part = slice(self._count, self._count + len(rows))
        self._vectors[part] = torch.from_numpy(np.array(vectors))
        self._rows[part] = torch.from_numpy(rows)
        self._count += len(rows)

    def best(
        self, queries: torch.Tensor, depth: int, bits: Sequence[torch.Tensor | None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and rows of the best of each query, both (up to `depth`, q), best first.

        Args:
            queries: float16, (dim, q).
            bits: for each query which rows may be returned, packed; others score -inf.

        """
        rows = self._rows[: self._count]
        scores = self._vectors[: self._count] @ queries
        for place, packed in enumerate(bits):
            if packed is not None:
                is_allowed = (packed[rows >> 3] >> (rows & 7).to(torch.uint8)) & 1
                scores[:, place].masked_fill_(is_allowed == 0, -torch.inf)
        best, places = scores.topk(min(depth, self._count), dim=0)
        return best, rows[places]


class DeviceIndex:
    """Candidates by similarity in half precision, with the methods of `ApproximateIndex`.

    Raises:
        MemoryError: by every method, if the device has too little memory.
    """

    lists = 1

    def __init__(self, vectors: NDArray[np.float16], device: str) -> None:
        """`vectors`: those of the version in order of rows, float16 (n, dim), may be mapped."""
        self._device = torch.device(device)
        self._dim = vectors.shape[1]
        self._chunks: list[Chunk] = []
        with _raising_memory_error():
            for start in range(0, len(vectors), CHUNK_ROWS):
                part = vectors[start : start + CHUNK_ROWS]
                self._chunks.append(Chunk(len(part), self._dim, self._device))
                self._chunks[-1].add(np.arange(start, start + len(part)), part)

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Appends rows; another chunk is allocated when the last one is full."""
        halves = vectors.astype(np.float16)
        with _raising_memory_error():
            while len(rows):
                if not self._chunks or not self._chunks[-1].free:
                    self._chunks.append(Chunk(APPENDED_ROWS, self._dim, self._device))
                size = min(self._chunks[-1].free, len(rows))
                self._chunks[-1].add(rows[:size], halves[:size])
                rows, halves = rows[size:], halves[size:]

    def search(
        self, query: NDArray[np.float32], depth: int, lists: int, bits: NDArray[np.uint8] | None
    ) -> NDArray[np.int64]:
        """Like `ApproximateIndex.search`; `lists` has no effect, since every row is compared."""
        return self.search_many([Scan(query, depth, lists, bits)])[0]

    def search_many(self, scans: Sequence[Scan]) -> list[NDArray[np.int64]]:
        """The result of each; every vector is read once for all of them."""
        depth = max(scan.depth for scan in scans)
        with _raising_memory_error(), torch.inference_mode():
            queries = torch.from_numpy(np.stack([scan.query for scan in scans], axis=1))
            queries = queries.to(self._device, torch.float16)
            bits = [
                None if scan.bits is None else torch.from_numpy(scan.bits).to(self._device)
                for scan in scans
            ]
            parts = [chunk.best(queries, depth, bits) for chunk in self._chunks]
            scores = torch.cat([best for best, _ in parts])
            best, places = scores.topk(min(depth, len(scores)), dim=0)
            rows = torch.cat([rows for _, rows in parts]).gather(0, places)
            counts = (best > -torch.inf).sum(dim=0).cpu().numpy()
            candidates = rows.T.cpu().numpy()
        return [
            nearest[: min(count, scan.depth)]
            for nearest, count, scan in zip(candidates, counts, scans, strict=True)
        ]


@contextmanager
def _raising_memory_error() -> Iterator[None]:
    """Turns torch's error into Python's, so that callers need not import torch."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError("the device has too little memory for the index") from error
