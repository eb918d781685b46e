"""Opens a built version as a replica does, tunes and measures it, and decides if it may serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errors import Conflict
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import BLOCK_ROWS, ground_truth, perturb, recall, self_recall, tune
from models.index.stats import Recall, ScoreStats, SearchParameters

SAMPLE = 256
"""Products and titles that serve as sample queries."""
OTHER_THINGS = (
    "a lawn sprinkler", "tyre pressure gauge", "kitchen sink", "desktop computer", "cat litter",
    "espresso beans", "mobile phone charger", "dining table", "screwdriver set", "saucepan",
    "filing cabinet", "hedge trimmer", "violin", "nappies", "mouthwash", "toner cartridge",
    "train ticket", "wholemeal loaf", "flat screen tv", "wallpaper", "canoe", "desk lamp",
    "mozzarella", "wheelbarrow", "freezer", "broom", "computer mouse", "armchair", "orange juice",
    "car insurance", "pillow case", "board game", "memory card", "brake fluid", "toaster oven",
    "detergent", "aquarium", "sleeping bag", "binoculars", "garden gnome", "cement mixer",
    "paracetamol", "houseplant", "history of rome", "spanish lessons", "holiday in greece",
    "plumber near me", "mortgage rates",
)  # fmt: skip
"""Words that no product of a fashion shop fits."""
OTHER_THINGS_PERCENT = 98
"""Percentage of them whose nearest product is below the cut-off of fused searches."""
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


def check_index(
    folder: Path,
    texts: Sequence[NDArray[np.float32]],
    others: Sequence[NDArray[np.float32]] = (),
) -> CheckedIndex:
    """Tunes the search parameters of a version with sample queries, then measures its recall.

    Args:
        folder: files that were read back from the store.
        texts: vectors of sample titles, each float32 (dim,), unit length.
        others: vectors of `OTHER_THINGS`.

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
    cutoff = text_cutoff(word_truth.kth)
    scores = ScoreStats(
        own_truth.mean,
        own_truth.std,
        word_truth.mean,
        word_truth.std,
        cutoff,
        text_top(word_truth.kth),
        fused_cutoff(files.vectors, others, cutoff),
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


def fused_cutoff(
    vectors: NDArray[np.float16], others: Sequence[NDArray[np.float32]], cutoff: float
) -> float:
    """The similarity from which on a product without the words of a search is relevant to it.

    A product may resemble any words a little. So it has to resemble them more than nearly all words
    about other things resemble their nearest product; `cutoff`: and at least so much.
    """
    if not len(others) or not len(vectors):
        return cutoff
    nearest = np.full(len(others), -1.0)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS].astype(np.float32)
        nearest = np.maximum(nearest, (np.stack(others) @ block.T).max(axis=1))
    return max(cutoff, float(np.percentile(nearest, OTHER_THINGS_PERCENT)))


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
