"""The values measured and tuned when a version is built: scores, search parameters, recall."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar


@dataclass(frozen=True)
class ScoreStats:
    """Mean and standard deviation of each side's similarities over the catalogue.

    text_cutoff: a product is relevant to words from this similarity on; -1: all products are.
    fused_cutoff: the same where the catalogue's texts are searched too, and don't have all words:
    more than words about other things reach.
    text_top: the mean similarity of titles to their tenth nearest product.
    """

    image_mean: float = 0.0
    image_std: float = 1.0
    text_mean: float = 0.0
    text_std: float = 1.0
    text_cutoff: float = -1.0
    text_top: float = 1.0
    fused_cutoff: float = -1.0


@dataclass(frozen=True)
class SearchParameters:
    """For each side: inverted lists that are probed (nprobe), and candidates that are rescored."""

    image_lists: int = 64
    image_depth: int = 200
    text_lists: int = 96
    text_depth: int = 200


@dataclass(frozen=True)
class Recall:
    """Recall at 10 of each side; `golden`: share of products that are nearest to themselves."""

    image_recall: float
    text_recall: float
    golden: float


Stats = TypeVar("Stats", ScoreStats, SearchParameters, Recall)


def stats_from(kind: type[Stats], values: Mapping[str, float]) -> Stats:
    """One group of a version's stats, from the row that stores all groups side by side."""
    types: dict[str, Any] = {field.name: field.type for field in fields(kind)}
    return kind(**{name: number(values[name]) for name, number in types.items() if name in values})
