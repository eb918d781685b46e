"""The assembled embedder: both networks shape a picture's vector, and texts keep theirs."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

import models.embedder.backbone  # noqa: F401 - registers the image networks
from drawing.captions import NOUNS
from drawing.draw import COLOURS, Garment, draw_garment
from models.checkpoints.weights import LOCAL_PREFIX
from models.embedder.backbone import kinds_resnet
from models.embedder.embedder import Embedder, EmbedderConfig, load
from training.embedder.assemble import ASSEMBLED, assemble
from training.embedder.train import ARCHITECTURE, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of both networks, and the model that is assembled from them."""
    folder = tmp_path_factory.mktemp("embedders")
    torch.manual_seed(0)
    save(open_clip.CLIP(**deepcopy(ARCHITECTURE)), folder / "looks")
    kinds = kinds_resnet()
    torch.nn.init.normal_(kinds.fc.weight, std=5.0)  # so that its logits differ
    save_file(kinds.state_dict(), folder / "kinds.safetensors")
    save(assemble(folder / "looks", folder / "kinds.safetensors"), folder / "both", ASSEMBLED)
    return folder


def opened(folder: Path) -> Embedder:
    return load(EmbedderConfig(f"{LOCAL_PREFIX}{folder}", device="cpu"))


def test_texts_stay_as_they_were(folder: Path) -> None:
    texts = ["red dress", "a photo of a skirt"]
    before, after = (opened(folder / name).embed_texts(texts) for name in ("looks", "both"))
    assert np.array_equal(before, after)


def test_a_picture_moves_towards_the_words_of_what_it_may_be(folder: Path) -> None:
    looks, both = opened(folder / "looks"), opened(folder / "both")
    pictures = [
        both.preprocess(draw_garment(Garment(kind, "red"), 96)) for kind in ("dress", "bag")
    ]
    own = looks.embed_images(pictures).astype(np.float64)
    trunk = both._network.visual.trunk
    with torch.inference_mode():
        logits = trunk.kinds(torch.from_numpy(np.stack(pictures))).numpy()
    logits = own @ trunk.words.numpy().T + logits
    odds = np.exp(logits - logits.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    moved = own + odds @ trunk.ways.numpy()
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    off, way = (np.abs(one - moved).max() for one in (both.embed_images(pictures), own))
    assert off < 1e-3 < 0.02 < way  # weights are float16 on disk


def test_the_ways_lead_to_the_words_and_keep_off_colours(folder: Path) -> None:
    model = opened(folder / "both")
    ways = model._network.visual.trunk.ways.numpy()
    words = np.stack([
        model.embed_texts([f"a photo of a {word}" for word in noun.words]).mean(0) for noun in NOUNS
    ])  # fmt: skip
    towards = ways @ (words - words.mean(0)).T
    assert (towards.argmax(1) == np.arange(len(NOUNS))).mean() > 0.8
    traits = model.embed_texts([*COLOURS, *(f"something {colour}" for colour in COLOURS)])
    colours = traits[: len(COLOURS)] + traits[len(COLOURS) :]
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    spread = colours - colours.mean(0)
    lengths = np.linalg.norm(ways, axis=1)[:, None] * np.linalg.norm(spread, axis=1)[None]
    assert (np.abs(ways @ spread.T) / lengths).max() < 0.01  # weights are float16 on disk
