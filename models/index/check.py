"""Whether a built version may serve: opened as a replica opens it, measured, tuned, judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errors import Conflict
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import find_themselves, recall, survey, tune, unseen
from models.index.stats import Recall, ScanKnobs, ScoreStats

SAMPLE = 256
"""Products and titles that are tried as queries."""
FLOOR = 0.95
"""Recall at 10, per side, below which a version must not serve."""


@dataclass(frozen=True)
class CheckedIndex:
    """What was measured; a row of `index_version` keeps it as its stats."""

    count: int
    scores: ScoreStats
    knobs: ScanKnobs
    recall: Recall

    def facts(self) -> dict[str, float]:
        """All groups side by side."""
        return {**vars(self.scores), **vars(self.knobs), **vars(self.recall)}


def check_index(folder: Path, texts: Sequence[NDArray[np.float32]]) -> CheckedIndex:
    """Measures a version's files with sample queries, tuning its scan on the way.

    Args:
        folder: files that were read back from the store.
        texts: vectors of sample titles, each float32 (dim,), unit length.

    """
    files = open_files(folder)
    index = ProductIndex(files)
    count, dim = files.vectors.shape
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(count, min(SAMPLE, count), replace=False))
    own = files.vectors[rows]
    words = np.stack(texts) if len(texts) else np.zeros((0, dim), dtype=np.float32)
    pictures = unseen(own)
    own_survey = survey(files.vectors, own.astype(np.float32))
    picture_survey, word_survey = survey(files.vectors, pictures), survey(files.vectors, words)
    index.knobs = tune(index, "image", pictures, picture_survey.kth)
    index.knobs = tune(index, "text", words, word_survey.kth)
    found = Recall(
        recall(index, "image", pictures, picture_survey.kth),
        recall(index, "text", words, word_survey.kth),
        find_themselves(index, own),
    )
    scores = ScoreStats(own_survey.mean, own_survey.std, word_survey.mean, word_survey.std)
    return CheckedIndex(index.count, scores, index.knobs, found)


def refuse_low(found: Recall) -> None:
    """Raises:
    Conflict: the index misses too many of the nearest products, or products miss themselves.
    """
    for side, share in (("image", found.image_recall), ("text", found.text_recall)):
        if share < FLOOR:
            raise Conflict(
                f"recall of {side} searches is {share:.3f}, below {FLOOR}: not fit to serve"
            )
    if found.golden < 1.0:
        raise Conflict(f"only {found.golden:.3f} of sample products are nearest to themselves")
