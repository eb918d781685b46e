"""Street photographs that nobody annotated, with the maps that an earlier network gives them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.segmenter.atr import MIRRORED
from training.parser.views import normalise
from training.photos.photos import split_of
from training.photos.street import ANYTHING

_SURE = 0.6
_BATCH = 16


def load_unknown(folder: Path, splits: set[str], height: int, width: int) -> NDArray[np.uint8]:
    """The photographs of the given parts that have no map, (n, height, width, 3) uint8 RGB."""
    annotated = {path.stem for path in (folder / "parse").glob("*.png")}
    files = [path for path in sorted((folder / "photos").glob("*.jpg"))
             if path.stem not in annotated and split_of(path.stem) in splits]  # fmt: skip
    pixels = np.empty((len(files), height, width, 3), np.uint8)
    for at, file in enumerate(files):
        with Image.open(file) as photo:
            small = photo.convert("RGB").resize((width, height), Image.Resampling.BOX)
        pixels[at] = np.asarray(small)
    return pixels


def guess_maps(network: Any, pixels: NDArray[np.uint8], seen: tuple[int, int]) -> NDArray[np.uint8]:
    """(n, h, w, 3) -> codes (n, h, w). Self-training (Xie et al., 2020): unsure pixels may be
    anything. `seen`: the size that the network looks at.
    """
    parts = [
        _guess(network, pixels[at : at + _BATCH], seen) for at in range(0, len(pixels), _BATCH)
    ]
    return np.concatenate(parts)


def _guess(network: Any, pixels: NDArray[np.uint8], seen: tuple[int, int]) -> NDArray[np.uint8]:
    """(n, h, w, 3) -> codes (n, h, w): the mean over the picture and its mirror image."""
    device = next(network.parameters()).device
    view = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    small = normalise(torch.nn.functional.interpolate(view, seen, mode="bilinear", antialias=True))
    with torch.inference_mode():
        plain = network(pixel_values=small).logits.softmax(1)
        turned = network(pixel_values=small.flip(-1)).logits.softmax(1).flip(-1)
        odds = (plain + turned[:, list(MIRRORED)]) / 2
        odds = torch.nn.functional.interpolate(odds, pixels.shape[1:3], mode="bilinear")
    sure, code = odds.max(1)
    code[sure < _SURE] = ANYTHING
    return code.cpu().numpy().astype(np.uint8)
