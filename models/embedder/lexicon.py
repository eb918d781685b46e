"""Zero-shot words of a picture: the colour and the pattern or cloth that it shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
COLOURS = (
    "black", "white", "grey", "navy", "blue", "green", "yellow", "orange", "red", "pink", "purple",
    "brown", "beige", "cream", "gold", "silver",
)  # fmt: skip
PATTERNS = ("plain", "striped", "dotted", "checked", "floral", "printed", "knitted", "denim")
GROUPS = (COLOURS, PATTERNS)
PROMPTS = tuple(f"a {word} garment" for group in GROUPS for word in group)
SHARPNESS = 100.0
"""The logit scale: the factor of cosines before the softmax, which is the maximum in CLIP."""


@dataclass(frozen=True)
class Lexicon:
    """prompts: (words, dim) float32 unit vectors of `PROMPTS` by the embedder of the pictures."""

    prompts: Matrix

    def read(self, vectors: Matrix) -> Matrix:
        """(n, dim) pictures -> (n, words) float32: probabilities that add up to 1 in every group.

        Zero-shot classification (Radford et al. 2021); an embedder without texts gives no columns.
        """
        if not len(self.prompts):
            return np.zeros((len(vectors), 0), np.float32)
        cosine = (vectors @ self.prompts.T) * np.float32(SHARPNESS)
        ends = np.cumsum([len(group) for group in GROUPS])[:-1]
        return np.concatenate([_softmax(part) for part in np.split(cosine, ends, axis=1)], axis=1)


def _softmax(logits: Matrix) -> Matrix:
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True), dtype=np.float32)
