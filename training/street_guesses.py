"""Street photographs that nobody annotated, with the maps that an earlier network gives them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.atr import MIRRORED
from training.parse_views import normalise
from training.photos import split_of
from training.street import ANYTHING, Street

_SURE = 0.6
_BATCH = 16


def guess_street(
    folder: Path, network: Any, splits: set[str], height: int, width: int, seen: tuple[int, int]
) -> Street:
    """Self-training (Xie et al., 2020): unsure pixels may be anything; `seen`: the network's size.

    Only photographs without a map of their own, and only of the given parts.
    """
    annotated = {path.stem for path in (folder / "parse").glob("*.png")}
    files = [path.stem for path in sorted((folder / "photos").glob("*.jpg"))
             if path.stem not in annotated and split_of(path.stem) in splits]  # fmt: skip
    pixels = np.empty((len(files), height, width, 3), np.uint8)
    codes = np.empty((len(files), height, width), np.uint8)
    for at, file in enumerate(files):
        with Image.open(folder / f"photos/{file}.jpg") as photo:
            small = photo.convert("RGB").resize((width, height), Image.Resampling.BOX)
        pixels[at] = np.asarray(small)
    for start in range(0, len(files), _BATCH):
        part = slice(start, start + _BATCH)
        codes[part] = _guess(network, pixels[part], seen)
    return Street(files, pixels, codes)


def _guess(network: Any, pixels: NDArray[np.uint8], seen: tuple[int, int]) -> NDArray[np.uint8]:
    """(n, h, w, 3) -> codes (n, h, w): the mean over the picture and its mirror image."""
    view = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    small = normalise(torch.nn.functional.interpolate(view, seen, mode="bilinear", antialias=True))
    with torch.inference_mode():
        plain = network(pixel_values=small).logits.softmax(1)
        turned = network(pixel_values=small.flip(-1)).logits.softmax(1).flip(-1)
        odds = (plain + turned[:, list(MIRRORED)]) / 2
        odds = torch.nn.functional.interpolate(odds, pixels.shape[1:3], mode="bilinear")
    sure, code = odds.max(1)
    code[sure < _SURE] = ANYTHING
    return code.numpy().astype(np.uint8)
