"""Pseudo-labels: parse maps that a network predicts for street photographs without annotation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.segmenter.atr import MIRRORED
from training.parser.augment import normalise
from training.photos.photos import split_of
from training.photos.street import ANYTHING

_LEAST_PROBABILITY = 0.6
_BATCH = 16


def load_unlabelled(folder: Path, splits: set[str], height: int, width: int) -> NDArray[np.uint8]:
    """The photographs of these splits without a parse map, (n, height, width, 3) uint8 RGB."""
    annotated = {path.stem for path in (folder / "parse").glob("*.png")}
    files = [path for path in sorted((folder / "photos").glob("*.jpg"))
             if path.stem not in annotated and split_of(path.stem) in splits]  # fmt: skip
    pixels = np.empty((len(files), height, width, 3), np.uint8)
    for at, file in enumerate(files):
        with Image.open(file) as photo:
            small = photo.convert("RGB").resize((width, height), Image.Resampling.BOX)
        pixels[at] = np.asarray(small)
    return pixels


def pseudo_label(
    network: Any, pixels: NDArray[np.uint8], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """(n, h, w, 3) -> codes (n, h, w), for self-training (Xie et al., 2020).

    Uncertain pixels get the code `ANYTHING`. size: (height, width) of the network's input.
    """
    parts = [
        _predict(network, pixels[at : at + _BATCH], size) for at in range(0, len(pixels), _BATCH)
    ]
    return np.concatenate(parts)


def _predict(network: Any, pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(n, h, w, 3) -> codes (n, h, w): the mean over the picture and its mirror image."""
    device = next(network.parameters()).device
    view = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    small = normalise(torch.nn.functional.interpolate(view, size, mode="bilinear", antialias=True))
    with torch.inference_mode():
        plain = network(pixel_values=small).logits.softmax(1)
        mirrored = network(pixel_values=small.flip(-1)).logits.softmax(1).flip(-1)
        odds = (plain + mirrored[:, list(MIRRORED)]) / 2
        odds = torch.nn.functional.interpolate(odds, pixels.shape[1:3], mode="bilinear")
    probability, code = odds.max(1)
    code[probability < _LEAST_PROBABILITY] = ANYTHING
    return code.cpu().numpy().astype(np.uint8)
