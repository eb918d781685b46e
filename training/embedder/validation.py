"""Validation of the embedder: photographs of the validation split, and held-out drawings."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drawing.captions import NOUNS, combinations
from drawing.draw import Garment, caption, draw_garment
from training.embedder.retrieval import image_precision
from training.photos.photos import Photos

Tokenize = Callable[[list[str]], torch.Tensor]
_INSTANCES = 4  # drawn garments of each held-out combination


def report(network: Any, tokenize: Tokenize, photos: Photos, size: int) -> str:
    """One line: precision of image and text search, and zero-shot accuracy."""
    pictures = embed(network, photos.pixels, size)
    labels = np.array(photos.labels)
    nouns = [noun for noun in NOUNS if noun.names[0] in set(photos.labels)]
    texts = embed_texts(network, tokenize, [f"a photo of a {noun.words[0]}" for noun in nouns])
    names = np.array([noun.names[0] for noun in nouns])
    order = np.argsort(-(texts @ pictures.T), axis=1)[:, :10]
    is_frequent = np.array([(labels == name).sum() >= 10 for name in names])
    precision = (labels[order] == names[:, None]).mean(1)[is_frequent].mean()
    predicted = names[(pictures @ texts.T).argmax(1)]
    drawn = " ".join(f"{value:.3f}" for value in _drawn(network, tokenize, size))
    return (
        f"  photographs: image P@10 {image_precision(pictures, labels):.3f}, "
        f"text P@10 {precision:.3f}, "
        f"zero-shot {(predicted == labels).mean():.3f}; held-out drawings text@1 view@1: {drawn}"
    )


@lru_cache(maxsize=1)
def _gallery() -> tuple[list[Garment], NDArray[np.uint8]]:
    garments = [Garment(*c, style_seed=900_000_000 + i)
                for c in combinations(held_out=True) for i in range(_INSTANCES)]  # fmt: skip
    views = [[np.asarray(draw_garment(g, 120, view)) for g in garments] for view in (0, 1)]
    return garments, np.array(views)


def _drawn(network: Any, tokenize: Tokenize, size: int) -> tuple[float, float]:
    garments, views = _gallery()
    first, second = (embed(network, view, size) for view in views)
    names = [caption(garment) for garment in garments]
    distinct = sorted(set(names))
    texts = embed_texts(network, tokenize, distinct)
    nearest = (texts @ first.T).argmax(1)
    text_accuracy = np.mean([names[at] == name for at, name in zip(nearest, distinct, strict=True)])
    view_accuracy = ((second @ first.T).argmax(1) == np.arange(len(garments))).mean()
    return float(text_accuracy), float(view_accuracy)


def embed(network: Any, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """(n, s, s, 3) uint8 -> (n, dim) float32 unit vectors at `size` pixels."""
    with torch.inference_mode():
        batches = [network.encode_image(part, normalize=True) for part in resize(pixels, size)]
    return torch.cat(batches).numpy().copy()


def resize(pixels: NDArray[np.uint8], size: int) -> Iterator[torch.Tensor]:
    """(n, s, s, 3) uint8 -> batches (m, 3, size, size) float32 in -1 to 1, as in use."""
    for part in np.array_split(pixels, max(1, len(pixels) // 64)):
        batch = torch.from_numpy(part).permute(0, 3, 1, 2).float()
        small = torch.nn.functional.interpolate(batch, (size, size), mode="bicubic", antialias=True)
        yield small / 127.5 - 1.0


def embed_texts(network: Any, tokenize: Tokenize, texts: list[str]) -> NDArray[np.float32]:
    """N texts -> (n, dim) float32 unit vectors."""
    with torch.inference_mode():
        return np.asarray(network.encode_text(tokenize(texts), normalize=True).numpy())
