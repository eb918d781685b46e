"""Sales as columns: what is known of a product before it sells, and what it sold."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Offers:
    """n products as they are offered on certain days.

    vectors: (n, dim) float32, unit length; category, brand: (n,) texts as `fold` gives them, ""
    where unknown; price: (n,) float64 above 0, NaN where unknown; phase: (n,) float64, the day's
    place in its year in [0, 1), NaN where unknown.
    """

    vectors: NDArray[np.float32]
    category: Texts
    brand: Texts
    price: Floats
    phase: Floats

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Offers":
        """Some of the rows, in the order asked for."""
        return Offers(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Sales:
    """n lines of what was sold. key: (n,) texts, one a product; units: (n,) float64, 0 and up."""

    offers: Offers
    key: Texts
    units: Floats

    def __len__(self) -> int:
        return len(self.key)

    @property
    def log_units(self) -> Floats:
        """ln(1 + units), which every model and scale here works on."""
        return np.asarray(np.log1p(self.units))

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Sales":
        """Some of the rows, in the order asked for."""
        return Sales(self.offers.take(rows), self.key[rows], self.units[rows])


def fold(text: str | None) -> str:
    """A category or brand without case and outer white space; "" for none."""
    return (text or "").strip().casefold()


def one_hot(texts: Texts, known: list[str]) -> NDArray[np.float32]:
    """(n, len(known)) float32; a text that is not known is all zeros."""
    found = texts[:, None] == np.array(known or [""])[None, :]
    return np.asarray(found[:, : len(known)], dtype=np.float32)


def most_frequent(texts: Texts, most: int) -> list[str]:
    """Up to `most` distinct texts, the most frequent ones, in order; "" is none of them."""
    words, counts = np.unique(texts[texts != ""], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(str(word) for word in words[order])
