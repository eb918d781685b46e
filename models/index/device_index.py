"""Exhaustive search on a GPU: every vector in half precision, one matrix-vector product a search.

faiss-gpu is not used: without cuVS it accepts a filter and ignores it (`GpuIndexFlat::searchImpl_`
never reads its `params`), and its wheel needs another CUDA version than torch's.
A million vectors of 512 numbers take 1 GB of the device's memory.
"""

import numpy as np
import torch
from numpy.typing import NDArray

UPLOAD_ROWS = 65_536


class DeviceIndex:
    """Candidates by similarity in half precision, with the methods of `ApproximateIndex`."""

    lists = 1

    def __init__(self, vectors: NDArray[np.float16], device: str) -> None:
        """`vectors`: those of the version in order of rows, float16 (n, dim), may be mapped."""
        count, dim = vectors.shape
        self._device = torch.device(device)
        self._count = count
        self._vectors = torch.empty((count, dim), dtype=torch.float16, device=self._device)
        self._rows = torch.arange(count, device=self._device)
        for start in range(0, count, UPLOAD_ROWS):
            part = slice(start, start + UPLOAD_ROWS)
            self._vectors[part] = torch.from_numpy(np.array(vectors[part]))

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Appends rows; full arrays double. `vectors`: float32 (n, dim)."""
        end = self._count + len(rows)
        if end > len(self._rows):
            room = max(end, 2 * len(self._rows)) - len(self._rows)
            more = self._vectors.new_empty((room, self._vectors.shape[1]))
            self._vectors = torch.cat([self._vectors, more])
            self._rows = torch.cat([self._rows, self._rows.new_zeros(room)])
        self._vectors[self._count : end] = torch.from_numpy(vectors).half()
        self._rows[self._count : end] = torch.from_numpy(rows)
        self._count = end

    def search(
        self, query: NDArray[np.float32], depth: int, lists: int, bits: NDArray[np.uint8] | None
    ) -> NDArray[np.int64]:
        """Like `ApproximateIndex.search`; `lists` has no effect, since every row is compared."""
        with torch.inference_mode():
            vector = torch.from_numpy(query).to(self._device, torch.float16)
            scores = self._vectors[: self._count] @ vector
            if bits is not None:
                scores.masked_fill_(~self._allowed(bits), -torch.inf)
            best, places = scores.topk(min(depth, self._count))
            rows: NDArray[np.int64] = self._rows[places[best > -torch.inf]].cpu().numpy()
        return rows

    def _allowed(self, bits: NDArray[np.uint8]) -> torch.Tensor:
        """Which stored rows a search may return, bool (n,); the bits reach the device packed."""
        packed = torch.from_numpy(bits).to(self._device)
        shifts = torch.arange(8, dtype=torch.uint8, device=self._device)
        single = (packed[:, None] >> shifts).bitwise_and_(1).flatten()
        return single[self._rows[: self._count]].bool()
