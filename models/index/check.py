"""Opens a built version as a replica does, tunes and measures it, and decides if it may serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errors import Conflict
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import ground_truth, perturb, recall, self_recall, tune
from models.index.stats import Recall, ScoreStats, SearchParameters

SAMPLE = 256
"""Products and titles that serve as sample queries."""
MISSED_TITLES_PERCENT = 5
"""Percentage of the sample titles whose tenth nearest product may be below the cut-off."""
MIN_RECALL = 0.95
"""Recall at 10, on either side, below which a version must not serve."""


@dataclass(frozen=True)
class CheckedIndex:
    """The measured and tuned values of a version; its row stores them as its stats."""

    count: int
    scores: ScoreStats
    parameters: SearchParameters
    recall: Recall

    def stats(self) -> dict[str, float]:
        """All groups side by side."""
        return {**vars(self.scores), **vars(self.parameters), **vars(self.recall)}


def check_index(folder: Path, texts: Sequence[NDArray[np.float32]]) -> CheckedIndex:
    """Tunes the search parameters of a version with sample queries, then measures its recall.

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
    pictures = perturb(own)
    own_truth = ground_truth(files.vectors, own.astype(np.float32))
    picture_truth = ground_truth(files.vectors, pictures)
    word_truth = ground_truth(files.vectors, words)
    index.parameters = tune(index, "image", pictures, picture_truth.kth)
    index.parameters = tune(index, "text", words, word_truth.kth)
    measured = Recall(
        recall(index, "image", pictures, picture_truth.kth),
        recall(index, "text", words, word_truth.kth),
        self_recall(index, own),
    )
    scores = ScoreStats(
        own_truth.mean,
        own_truth.std,
        word_truth.mean,
        word_truth.std,
        text_cutoff(word_truth.kth),
        text_top(word_truth.kth),
    )
    return CheckedIndex(index.count, scores, index.parameters, measured)


def text_cutoff(tenth_best: NDArray[np.float32]) -> float:
    """The similarity from which on a product is relevant to words.

    Titles describe products well, so nearly every title gets its ten nearest products.
    `tenth_best`: the tenth best score of each sample title.
    """
    if not tenth_best.size:
        return ScoreStats().text_cutoff
    return float(np.percentile(tenth_best, MISSED_TITLES_PERCENT))


def text_top(tenth_best: NDArray[np.float32]) -> float:
    """The mean similarity of sample titles to their tenth nearest product."""
    return float(tenth_best.mean()) if tenth_best.size else ScoreStats().text_top


def refuse_low(measured: Recall) -> None:
    """Checks that an index is good enough to serve.

    Raises:
        Conflict: the index misses too many of the nearest products, or products do not find
            themselves.
    """
    for side, share in (("image", measured.image_recall), ("text", measured.text_recall)):
        if share < MIN_RECALL:
            raise Conflict(
                f"recall of {side} searches is {share:.3f}, below {MIN_RECALL}: not fit to serve"
            )
    if measured.golden < 1.0:
        raise Conflict(f"only {measured.golden:.3f} of sample products are nearest to themselves")
