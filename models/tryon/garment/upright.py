"""Turns the picture of a tilted garment so that its middle line is vertical."""

import numpy as np
from PIL import Image

from models.segmenter.shapes import Mask, Pixels
from models.tryon.outline import bounds

MOST, STEP = 15.0, 1.0
"""The largest tilt that is searched to either side, and the step of the search, in degrees."""
LEAST = 0.4
"""A smaller tilt, in degrees, is left as it is, which saves resampling the picture."""
SIDE = 72
"""The longest side of the mask that is searched."""


def upright(garment: Pixels, mask: Mask) -> tuple[Pixels, Mask]:
    """The garment (h, w, 3) and its mask (h, w), turned upright; the frame grows so that no corner
    is cut off.
    """
    tilt = tilt_of(mask)
    if abs(tilt) < LEAST:
        return garment, mask
    picture, cut = Image.fromarray(garment), Image.fromarray(mask.astype(np.uint8) * 255)
    ground = tuple(int(value) for value in np.median(garment[~mask], axis=0)) if (
        not mask.all()) else (255, 255, 255)  # fmt: skip
    turned = picture.rotate(tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)
    inside = np.asarray(cut.rotate(tilt, Image.Resampling.BILINEAR, expand=True)) > 127
    x0, y0, x1, y1 = bounds(inside)
    rows = slice(max(y0 - 4, 0), y1 + 5)
    columns = slice(max(x0 - 4, 0), x1 + 5)
    return np.asarray(turned)[rows, columns], inside[rows, columns]


def tilt_of(mask: Mask) -> float:
    """The tilt in degrees, clockwise; 0 if no rotation makes the mask clearly more symmetric.

    A mask that is turned back by its tilt is most similar to its mirror image.
    """
    x0, y0, x1, y1 = bounds(mask)
    part = Image.fromarray(mask[y0 : y1 + 1, x0 : x1 + 1].astype(np.uint8) * 255)
    scale = SIDE / max(part.size)
    size = (max(4, round(part.width * scale)), max(4, round(part.height * scale)))
    board = Image.new("L", (2 * SIDE, 2 * SIDE))
    board.paste(part.resize(size, Image.Resampling.BOX), (SIDE - size[0] // 2, SIDE - size[1] // 2))
    angles = np.arange(-MOST, MOST + STEP / 2, STEP)
    likeness = np.array([_likeness(board, float(angle)) for angle in angles])
    best = int(likeness.argmax())
    if likeness[best] < likeness[len(angles) // 2] + 0.004 or best in (0, len(angles) - 1):
        return 0.0
    before, here, after = likeness[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = 0.0 if bend >= 0 else 0.5 * (before - after) / bend
    return float(angles[best] + shift * STEP)


def _likeness(board: Image.Image, angle: float) -> float:
    """How much the rotated mask and its mirror image overlap about the best axis, 0 to 1."""
    turned = np.asarray(board.rotate(angle, Image.Resampling.BILINEAR), np.float32) / 255
    mirrored = turned[:, ::-1]
    # The correlation of every row with its mirror image, summed: one peak an axis.
    length = 2 * turned.shape[1]
    first, second = np.fft.rfft(turned, length), np.fft.rfft(mirrored, length)
    overlap = np.fft.irfft((first * second.conj()).sum(0), length)
    return float(overlap.max() / max((turned**2).sum(), 1e-6))
