"""The heatmap: a signed influence map over the photograph that it explains, with a legend."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.embedder.shapes import View
from models.sales.explanation.occlusion import CELLS, Change, Influence, change_of

SIDE_PX = 448
LEGEND_PX = 44
RAISES, LOWERS = (214, 39, 40), (31, 99, 196)
STRONGEST = 0.78  # the opacity of the strongest colour
FADED = 0.15  # the share of the photograph's colours that remains, so that the map is visible
STRONG_FROM = 0.95  # cells above this quantile have the full colour, so no outlier dominates
FLAT = 1e-9


def change_in_view(picture: Image.Image, view: View) -> Change:
    """How far each cell of the model's view is from the background; see `change_of`."""
    cells = picture.resize((CELLS, CELLS), Image.Resampling.BOX, box=_box(picture, view))
    return change_of(np.asarray(cells, dtype=np.uint8))


def draw_heatmap(picture: Image.Image, influence: Influence, view: View) -> bytes:
    """RGB photograph -> PNG, its longest side at most 448 px, and a legend below.

    Red raises the score, blue lowers it; the strongest parts have the full colour.
    """
    photo = picture.copy()
    photo.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    painted = Image.blend(photo.convert("L").convert("RGB"), photo, FADED)
    strength = _over_picture(influence.cells, photo, view)
    colour = Image.new("RGB", photo.size, LOWERS)
    colour.paste(RAISES, mask=_mask(strength > 0))
    painted.paste(colour, mask=_mask(np.abs(strength) * STRONGEST))
    page = Image.new("RGB", (photo.width, photo.height + LEGEND_PX), "white")
    page.paste(painted, (0, 0))
    _draw_legend(page, photo.height)
    buffer = io.BytesIO()
    # Run-length compression: filtered rows are full of runs of equal bytes. The file is smaller
    # than with zlib's level 1 and as fast to write; level 6 takes four times as long.
    page.save(buffer, "PNG", compress_level=3, compress_type=Image.RLE)
    return buffer.getvalue()


def _mask(share: NDArray[Any]) -> Image.Image:
    """Opacity (height, width) in [0, 1] -> a mask of 0 to 255."""
    return Image.fromarray(np.rint(share * 255.0).astype(np.uint8))


def _over_picture(
    cells: NDArray[np.float64], picture: Image.Image, view: View
) -> NDArray[np.float32]:
    """(height, width) in [-1, 1]; 0 outside of the model's view."""
    left, top, right, bottom = (round(edge) for edge in _box(picture, view))
    largest = max(float(np.quantile(np.abs(cells), STRONG_FROM)), FLAT)
    small = Image.fromarray((cells / largest).astype(np.float32))
    over = np.zeros((picture.height, picture.width), np.float32)
    size = (max(1, right - left), max(1, bottom - top))
    over[top : top + size[1], left : left + size[0]] = np.clip(
        np.asarray(small.resize(size, Image.Resampling.BILINEAR)), -1.0, 1.0
    )
    return over


def _draw_legend(page: Image.Image, top: int) -> None:
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=13)
    width, middle = page.width, top + LEGEND_PX // 2
    bar = max(20, width // 4)
    left = (width - bar) // 2
    for x in range(bar):
        share = 2 * x / max(1, bar - 1) - 1
        end = RAISES if share >= 0 else LOWERS
        ink = tuple(round(255 + (channel - 255) * abs(share)) for channel in end)
        draw.line([(left + x, middle - 6), (left + x, middle + 6)], fill=ink)
    draw.text((left - 8, middle), "lowers", "black", font, anchor="rm")
    draw.text((left + bar + 8, middle), "raises the score", "black", font, anchor="lm")


def _box(picture: Image.Image, view: View) -> tuple[float, float, float, float]:
    left, top, right, bottom = view
    return (
        left * picture.width,
        top * picture.height,
        right * picture.width,
        bottom * picture.height,
    )
