"""What an index version knows of itself: spread of its scores, knobs of its scan, its recall."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar


@dataclass(frozen=True)
class ScoreStats:
    """Mean and spread of a side's similarities over a catalogue, kept with its index version."""

    image_mean: float = 0.0
    image_std: float = 1.0
    text_mean: float = 0.0
    text_std: float = 1.0


@dataclass(frozen=True)
class ScanKnobs:
    """Per side: lists looked into and candidates rescored; tuned where a version is built."""

    image_lists: int = 64
    image_depth: int = 200
    text_lists: int = 96
    text_depth: int = 200


@dataclass(frozen=True)
class Recall:
    """Share of the true ten nearest that searches found, and of products that found themselves."""

    image_recall: float
    text_recall: float
    golden: float


Facts = TypeVar("Facts", ScoreStats, ScanKnobs, Recall)


def facts_from(kind: type[Facts], values: Mapping[str, float]) -> Facts:
    """One group of a version's stats, out of the row that keeps them all side by side."""
    types: dict[str, Any] = {field.name: field.type for field in fields(kind)}
    return kind(**{name: number(values[name]) for name, number in types.items() if name in values})
