"""Estimates the garment's mask in a flat-lay photograph from its colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage
from scipy.cluster.vq import kmeans2

_RIM, _MIDDLE = 0.06, 0.22
"""Shares of a photograph's side: the rim shows mostly background, the middle mostly garment."""


def mask_garment(picture: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The mask of the one garment in a photograph, (h, w): 1 garment, 0 background, -1 uncertain.

    Colours that occur in the middle and not at the rim belong to the garment; the largest connected
    component of them is the mask. Follows the first step of GrabCut (Rother et al., 2004), with
    k-means instead of Gaussian mixtures.
    """
    h, w = picture.shape[:2]
    size = (w // 2, h // 2)
    blurred = Image.fromarray(picture).filter(ImageFilter.BoxBlur(1)).resize(size)
    small = np.asarray(blurred, np.float64)
    flat = small.reshape(-1, 3)
    centres, _ = kmeans2(flat[::5], 12, iter=8, minit="++", rng=0)
    cluster = ((flat[:, None] - centres[None]) ** 2).sum(-1).argmin(1).reshape(small.shape[:2])
    y, x = np.mgrid[: small.shape[0], : small.shape[1]]
    below, aside = np.abs(y / small.shape[0] - 0.5), np.abs(x / small.shape[1] - 0.5)
    rim = np.maximum(below, aside) > 0.5 - _RIM
    middle = np.hypot(below, aside) < _MIDDLE
    shares = [np.bincount(cluster[part], minlength=12) / part.sum() for part in (middle, rim)]
    belongs = (shares[0] + 1e-3) / (shares[0] + shares[1] + 2e-3)
    score = ndimage.uniform_filter(belongs[cluster] - 0.25 * np.hypot(below, aside), 5)
    inside = ndimage.binary_opening(score > 0.5, iterations=1)
    numbered, count = ndimage.label(inside)
    mask = np.where(score < 0.35, 0, -1).astype(np.int8)
    if count:
        sizes = np.bincount(numbered.ravel())
        sizes[0] = 0
        mask[ndimage.binary_fill_holes(numbered == sizes.argmax())] = 1
    large = Image.fromarray(mask.astype(np.uint8)).resize((w, h), Image.Resampling.NEAREST)
    return np.asarray(large).astype(np.int8)
