"""What a training run watches: photographs of the validation part and held-out drawings."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drawing.captions import NOUNS, combinations
from drawing.draw import Garment, caption, draw_garment
from training.photos.photos import Photos

Tokenize = Callable[[list[str]], torch.Tensor]
_INSTANCES = 4  # drawn garments of each held-out combination


def report(network: Any, tokenize: Tokenize, photos: Photos, size: int) -> str:
    """One line: how well pictures find pictures and texts find pictures."""
    seen = embed(network, photos.pixels, size)
    labels = np.array(photos.labels)
    nouns = [noun for noun in NOUNS if noun.names[0] in set(photos.labels)]
    asked = embed_texts(network, tokenize, [f"a photo of a {noun.words[0]}" for noun in nouns])
    names = np.array([noun.names[0] for noun in nouns])
    order = np.argsort(-(asked @ seen.T), axis=1)[:, :10]
    kept = np.array([(labels == name).sum() >= 10 for name in names])
    found = (labels[order] == names[:, None]).mean(1)[kept].mean()
    guessed = names[(seen @ asked.T).argmax(1)]
    drawn = " ".join(f"{value:.3f}" for value in _drawn(network, tokenize, size))
    return (
        f"  photographs: image P@10 {precision_at_10(seen, labels):.3f}, text P@10 {found:.3f}, "
        f"zero-shot {(guessed == labels).mean():.3f}; held-out drawings text@1 view@1: {drawn}"
    )


def precision_at_10(vectors: NDArray[np.float32], labels: NDArray[np.str_]) -> float:
    """Share of each picture's ten nearest others that carry its label."""
    near = vectors @ vectors.T
    np.fill_diagonal(near, -9.0)
    order = np.argpartition(-near, 10, axis=1)[:, :10]
    return float((labels[order] == labels[:, None]).mean())


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
    asked = embed_texts(network, tokenize, distinct)
    nearest = (asked @ first.T).argmax(1)
    text = np.mean([names[at] == name for at, name in zip(nearest, distinct, strict=True)])
    view = ((second @ first.T).argmax(1) == np.arange(len(garments))).mean()
    return float(text), float(view)


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
