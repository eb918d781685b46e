"""An array that grows by single rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """Rows of one type, in an array that doubles when full."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        self._count = len(rows)

    def append(self, row: Any) -> None:
        """Adds one row."""
        if self._count == len(self._rows):
            grown = np.zeros((max(64, 2 * self._count), *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._count] = self.view
            self._rows = grown
        self._rows[self._count] = row
        self._count += 1

    def drop_first(self, count: int) -> None:
        """Removes the first rows; their memory is released when the array grows."""
        self._rows = self._rows[count:]
        self._count -= count

    @property
    def view(self) -> NDArray[Any]:
        """The rows, as a view: writes change the array."""
        return self._rows[: self._count]
