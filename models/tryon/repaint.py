"""Puts the painted part back into the photograph; all other pixels stay exactly as they were."""

import numpy as np
from PIL import Image

from models.segmenter.shapes import Mask, Pixels
from models.tryon.outline import bounds
from models.tryon.warping.splines import Cover


def repaint(person: Image.Image, painted: Pixels, share: Cover, protected: Mask) -> Image.Image:
    """The person's photograph at its full size with the painted part in it.

    Args:
        person: the photograph, RGB, any size; not changed.
        painted: (h, w, 3) in the working frame.
        share: (h, w), how much of the painted picture shows; 0 leaves the photograph alone.
        protected: (H, W) in any frame, pixels that must not change (face, hair, hands).

    A share below half a step of 8 bits counts as 0, so that it means the same at every size.
    """
    result = person.copy()
    if not (share > 0).any():
        return result
    height, width = share.shape
    x0, y0, x1, y1 = bounds(share > 0)
    margin = 2
    x0, y0 = max(x0 - margin, 0), max(y0 - margin, 0)
    x1, y1 = min(x1 + 1 + margin, width), min(y1 + 1 + margin, height)
    across, down = person.width / width, person.height / height
    box = (round(x0 * across), round(y0 * down), round(x1 * across), round(y1 * down))
    size = (box[2] - box[0], box[3] - box[1])
    frame = (x0, y0, x1, y1)
    patch = Image.fromarray(painted).resize(size, Image.Resampling.BICUBIC, frame)
    alpha = Image.fromarray(np.round(share * 255).astype(np.uint8))
    alpha = alpha.resize(size, Image.Resampling.BILINEAR, frame)
    guard = Image.fromarray(protected.astype(np.uint8) * 255)
    scale = (protected.shape[1] / person.width, protected.shape[0] / person.height)
    there = (box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1])
    guard = guard.resize(size, Image.Resampling.NEAREST, there)
    alpha.paste(0, mask=guard)
    result.paste(patch, box[:2], alpha)
    return result
