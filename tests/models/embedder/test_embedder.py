"""The embedder: unit vectors that depend on nothing but the input and the checkpoint."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawing.captions import combinations
from drawing.draw import Garment, caption, draw_garment
from errors import SetupError
from models.checkpoints.weights import read_tensors, write_tensors
from models.embedder.embedder import Embedder, EmbedderConfig, load

ROOT = Path(__file__).resolve().parents[3]
PHOTOS = ROOT.parent / "shared" / "data" / "clothing"
TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 600, "width": 32, "heads": 2, "layers": 1},
}
TEXTS = ["red striped dress", "", "navy shorts", "платье 👗 ワンピース", "x" * 3000, "bag " * 900]


@pytest.fixture(scope="module")
def starter() -> Embedder:
    return load(EmbedderConfig(max_batch=8))


@pytest.fixture(scope="module")
def drawings(starter: Embedder) -> list[Any]:
    garments = [
        Garment("dress", colour, "dotted", 3) for colour in ("red", "navy", "white", "pink")
    ]
    return [
        starter.preprocess(draw_garment(garment, 96, view))
        for garment in garments
        for view in range(5)
    ]


def write_checkpoint(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> str:
    """A tiny checkpoint in the published format, its config and weights changed by `change`."""
    import open_clip
    import torch

    torch.manual_seed(1)
    config = {"model_cfg": deepcopy(TINY), "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    tensors = open_clip.CLIP(**deepcopy(TINY)).state_dict()
    change(config, tensors)
    write_tensors(folder / "open_clip_model.safetensors", tensors)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def keep(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Change nothing."""


def test_vectors_have_unit_length(starter: Embedder, drawings: list[Any]) -> None:
    images, texts = starter.embed_images(drawings), starter.embed_texts(TEXTS)
    assert images.shape == (len(drawings), starter.dim)
    assert images.dtype == texts.dtype == np.float32
    for vectors in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_nothing_in_nothing_out(starter: Embedder) -> None:
    assert starter.embed_images([]).shape == starter.embed_texts([]).shape == (0, starter.dim)


def test_a_batch_equals_its_members_alone(starter: Embedder, drawings: list[Any]) -> None:
    together = starter.embed_images(drawings)
    alone = np.concatenate([starter.embed_images([pixels]) for pixels in drawings])
    assert np.abs(together - alone).max() < 1e-4
    backwards = starter.embed_images(drawings[::-1])[::-1]
    assert np.abs(together - backwards).max() < 1e-4
    words = np.concatenate([starter.embed_texts([text]) for text in TEXTS])
    assert np.abs(starter.embed_texts(TEXTS) - words).max() < 1e-4


# Slow: a new process imports torch.
def test_another_process_gives_the_same_vectors(starter: Embedder) -> None:
    code = (
        "from models.embedder.embedder import *\nfrom drawing.draw import *\nimport sys\n"
        "e = load(EmbedderConfig(max_batch=8))\n"
        "i = e.embed_images([e.preprocess(draw_garment(Garment('bag', 'green', 'checked', 8)))])\n"
        "t = e.embed_texts(['green bag'])\n"
        "sys.stdout.buffer.write(i.tobytes() + t.tobytes() + e.version.encode())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    size = starter.dim * 4
    garment = Garment("bag", "green", "checked", 8)
    image = starter.embed_images([starter.preprocess(draw_garment(garment))])[0]
    text = starter.embed_texts(["green bag"])[0]
    assert np.abs(np.frombuffer(done.stdout[:size], np.float32) - image).max() < 1e-6
    assert np.abs(np.frombuffer(done.stdout[size : 2 * size], np.float32) - text).max() < 1e-6
    assert done.stdout[2 * size :].decode() == starter.version


def test_preprocessing_does_not_change_the_picture(starter: Embedder) -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((300, 200))
    before = image.tobytes()
    pixels = starter.preprocess(image)
    assert pixels.dtype == np.float32
    assert pixels.shape[0] == 3
    assert image.tobytes() == before


def test_the_reader_says_which_part_of_a_picture_is_embedded(starter: Embedder) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((300, 200)).save(buffer, "PNG")
    pixels, view = starter.reader.read_with_view(buffer.getvalue())
    np.testing.assert_array_equal(pixels, starter.reader.read(buffer.getvalue()))
    cropped = (1 / 6, 0.0, 5 / 6, 1.0)
    assert view == pytest.approx(cropped if starter.reader.is_cropped else (0, 0, 1, 1))


def test_case_and_punctuation_do_not_matter(starter: Embedder) -> None:
    vectors = starter.embed_texts(
        ["red striped dress", "RED  Striped Dress!", "Red, striped dress."]
    )
    assert np.abs(vectors - vectors[0]).max() < 1e-6


def test_lone_surrogates_are_embedded(starter: Embedder) -> None:
    assert np.isfinite(starter.embed_texts(["\ud800 dress"])).all()


def test_version_names_weights_config_and_tokenizer(tmp_path: Path) -> None:
    def other_weight(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors["visual.proj"] = tensors["visual.proj"] + 0.01

    def other_preprocessing(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        config["preprocess_cfg"]["mean"] = [0.4] * 3

    def other_cleaning(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"clean": "canonicalize"}

    versions = []
    for number, change in enumerate(
        (keep, other_weight, other_preprocessing, other_cleaning, keep)
    ):
        folder = tmp_path / str(number) / "tiny"
        versions.append(load(EmbedderConfig(checkpoint=write_checkpoint(folder, change))).version)
    assert len(set(versions)) == 4
    assert versions[0] == versions[4]
    assert versions[0].startswith("openclip-")


def test_a_folder_needs_no_prefix(tmp_path: Path) -> None:
    name = write_checkpoint(tmp_path / "tiny", keep)
    plain = load(EmbedderConfig(checkpoint=str(tmp_path / "tiny")))
    assert plain.version == load(EmbedderConfig(checkpoint=name)).version
    assert plain.dim == 16
    elsewhere = write_checkpoint(tmp_path / "of another name", keep)
    assert plain.version == load(EmbedderConfig(checkpoint=elsewhere)).version


def test_an_unknown_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="licence of the embedder no-such is: not known"):
        load(EmbedderConfig(checkpoint="no-such"))
    with pytest.raises(ValueError, match="no-such"):
        load(EmbedderConfig(checkpoint="no-such", allow_noncommercial=True))
    with pytest.raises(FileNotFoundError):
        load(EmbedderConfig(checkpoint=f"local-dir:{tmp_path}/absent"))


def test_check_fails_on_a_broken_weight(tmp_path: Path) -> None:
    def break_one(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors["visual.proj"][0, 0] = float("nan")

    load(EmbedderConfig(checkpoint=write_checkpoint(tmp_path / "whole", keep))).check()
    broken = load(EmbedderConfig(checkpoint=write_checkpoint(tmp_path / "broken", break_one)))
    with pytest.raises(RuntimeError, match="a vector of length nan"):
        broken.check()


def test_low_precision_gives_nearly_the_same_vectors(tmp_path: Path) -> None:
    name = write_checkpoint(tmp_path / "tiny", keep)
    full, half = (load(EmbedderConfig(checkpoint=name, precision=p)) for p in ("fp32", "bf16"))
    image = full.preprocess(Image.linear_gradient("L").convert("RGB"))
    half.check()
    assert float((full.embed_images([image]) * half.embed_images([image])).sum()) > 0.99
    assert full.version != half.version


def test_the_shipped_weights_are_small_and_whole(starter: Embedder) -> None:
    folder = ROOT / "models" / "starter" / "embedder"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16_000_000
    assert all(
        bool(t.isfinite().all())
        for t in read_tensors(folder / "open_clip_model.safetensors").values()
    )
    assert (folder / "MODEL_CARD.md").exists()
    starter.warm_up()
    starter.check()


def test_captions_never_trained_on_find_their_drawings(starter: Embedder) -> None:
    garments = [Garment(*each, style_seed=600_000_000 + i)
                for i, each in enumerate(combinations(held_out=True) * 3)]  # fmt: skip
    vectors = starter.embed_images([starter.preprocess(draw_garment(g, 128)) for g in garments])
    titles = [caption(garment) for garment in garments]
    queries = sorted(set(titles))
    assert "red striped dress" in queries
    first = (starter.embed_texts(queries) @ vectors.T).argmax(1)
    right = [titles[row] == text for row, text in zip(first, queries, strict=True)]
    assert np.mean(right) >= 0.9


def test_another_view_finds_the_same_garment(starter: Embedder) -> None:
    garments = [Garment(*each, style_seed=610_000_000 + i)
                for i, each in enumerate(combinations(held_out=True) * 3)]  # fmt: skip
    one, two = (
        starter.embed_images([starter.preprocess(draw_garment(g, 128, view)) for g in garments])
        for view in (4, 5)
    )
    assert ((one @ two.T).argmax(1) == np.arange(len(garments))).mean() >= 0.95


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"the photographs are not at {PHOTOS}")
def test_photographs_never_trained_on_find_their_kind(starter: Embedder) -> None:
    from training.embedder.retrieval import image_precision
    from training.photos.photos import list_photos

    rows = list_photos(PHOTOS, {"test"})[:300]
    pixels = [starter.preprocess(Image.open(PHOTOS / file).convert("RGB")) for file, _ in rows]
    assert image_precision(starter.embed_images(pixels), np.array([b for _, b in rows])) > 0.6
