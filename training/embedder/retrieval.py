"""Measures of retrieval and the two plain baselines: raw pixels and colour histograms."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Vectors = NDArray[np.float32]
Words = NDArray[np.str_]


def pixel_vector(image: Image.Image) -> Vectors:
    """The picture at 32 x 32 RGB, its mean taken off, as a unit vector of 3,072 numbers."""
    small = np.asarray(image.resize((32, 32), Image.Resampling.BOX), np.float32).reshape(-1)
    return _unit(small - small.mean())


def histogram_vector(image: Image.Image) -> Vectors:
    """Square roots of the shares of 8 x 8 x 8 RGB colours, as a unit vector of 512 numbers."""
    cells = np.asarray(image.resize((64, 64), Image.Resampling.BOX)).reshape(-1, 3) // 32
    counts = np.bincount(cells.astype(np.int64) @ [64, 8, 1], minlength=512)
    return _unit(np.sqrt(counts.astype(np.float32)))


def _unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)


def nearest(
    queries: Vectors, gallery: Vectors, count: int, skip_self: bool = False
) -> NDArray[np.int64]:
    """(n, count) rows of the gallery by falling cosine; skip_self: query i is gallery row i."""
    likeness = queries @ gallery.T
    if skip_self:
        np.fill_diagonal(likeness, -np.inf)
    return np.argsort(-likeness, axis=1, kind="stable")[:, :count]


def image_precision(vectors: Vectors, labels: Words) -> float:
    """Image -> image: the share of each picture's ten nearest others that carry its label."""
    neighbour_labels = labels[nearest(vectors, vectors, 10, skip_self=True)]
    return float((neighbour_labels == labels[:, None]).mean())


def image_chance(labels: Words) -> float:
    """What `image_precision` is when neighbours are drawn blindly."""
    counts = np.unique(labels, return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))


def text_precision(
    texts: Vectors, text_labels: Words, vectors: Vectors, labels: Words
) -> NDArray[np.float64]:
    """Text -> image: for each text the share of its first ten that carry the wanted label."""
    neighbour_labels = labels[nearest(texts, vectors, 10)]
    return np.asarray((neighbour_labels == text_labels[:, None]).mean(1))


def caption_hits(
    texts: Vectors, captions: Sequence[str], vectors: Vectors, titles: Sequence[str]
) -> tuple[float, float, float]:
    """Text -> image over captions that name exactly the right pictures.

    Right first; a right one among ten; share of right ones among the first ten, or among as many
    as there are.
    """
    order = nearest(texts, vectors, 10)
    right = np.array(titles)[order] == np.array(captions)[:, None]
    there = np.array([min(10, list(titles).count(caption)) for caption in captions])
    share = right.sum(1) / there
    return float(right[:, 0].mean()), float(right.any(1).mean()), float(share.mean())


def same_first(queries: Vectors, gallery: Vectors) -> float:
    """How often query i's nearest is gallery row i."""
    return float((nearest(queries, gallery, 1)[:, 0] == np.arange(len(gallery))).mean())
