"""Sales as columns: the known properties of a product before its sale, and the units sold."""

from dataclasses import dataclass, fields
from datetime import date

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texts = NDArray[np.str_]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Offers:
    """n products as they are offered on certain days.

    vectors: (n, dim) float32, unit length; category, brand: (n,) texts as `fold` returns them, ""
    where unknown; price: (n,) float64 above 0, NaN where unknown; phase: (n,) float64, see
    `phase_of`.
    """

    vectors: NDArray[np.float32]
    category: Texts
    brand: Texts
    price: Floats
    phase: Floats

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Offers":
        """The rows at these places, in their order, or those under a mask."""
        return Offers(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Sales:
    """n sales rows. key: (n,) texts, one for each product; units: (n,) float64, at least 0."""

    offers: Offers
    key: Texts
    units: Floats

    def __len__(self) -> int:
        return len(self.key)

    @property
    def log_units(self) -> Floats:
        """ln(1 + units): the target of every model and scale of this package."""
        return np.asarray(np.log1p(self.units))

    def take(self, rows: Rows | NDArray[np.bool_]) -> "Sales":
        """The rows at these places, in their order, or those under a mask."""
        return Sales(self.offers.take(rows), self.key[rows], self.units[rows])


def phase_of(day: date | None) -> float:
    """The day's place in its year, in [0, 1); NaN for None."""
    return np.nan if day is None else (day.timetuple().tm_yday - 1) / 366.0


def fold(text: str | None) -> str:
    """A category or brand in lower case, without surrounding white space; "" for None."""
    return (text or "").strip().casefold()


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors (n, dim) as float32 of unit length."""
    wide = vectors.astype(np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, np.float32(1e-12)))


def one_hot(texts: Texts, vocabulary: list[str]) -> NDArray[np.float32]:
    """(n, len(vocabulary)) float32; a text outside the vocabulary is all zeros."""
    matches = texts[:, None] == np.array(vocabulary or [""])[None, :]
    return np.asarray(matches[:, : len(vocabulary)], dtype=np.float32)


def most_frequent(texts: Texts, most: int) -> list[str]:
    """The most frequent distinct texts, at most `most`, in alphabetical order and without ""."""
    words, counts = np.unique(texts[texts != ""], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(str(word) for word in words[order])
