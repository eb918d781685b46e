"""Parsers and SAMs in their published formats, with random weights: loaded by name, and run."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

from errors import SetupError
from models.checkpoints.registry import REGISTRY, licence_of, require_licence
from models.checkpoints.weights import STARTER_FOLDER
from models.segmenter.atr import MIRRORED, NAMES
from models.segmenter.parser import ParserConfig, load
from models.segmenter.prompts import resize
from models.segmenter.sam import Prompt, SamConfig
from models.segmenter.sam import load as load_sam
from models.segmenter.sam_checkpoint import (
    CONFIG_FILE,
    PUBLISHED,
    Acceptance,
    build,
)
from models.segmenter.segmenter import Segmenter
from models.segmenter.shapes import SegmentPrompt
from models.segmenter.targets import sam_prompt
from tests.support.published import TINY_SAM
from training.parser.train import build as build_parser
from training.sam.train import save as save_sam


def write_segformer(folder: Path, names: tuple[str, ...] = NAMES, **sizes: Any) -> Path:
    torch.manual_seed(0)
    tiny = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "decoder_hidden_size": 16,
            "num_attention_heads": [1, 1, 2, 2]}  # fmt: skip
    named: dict[str, Any] = {
        "num_labels": len(names), "id2label": dict(enumerate(names)),
        "label2id": {name: at for at, name in enumerate(names)},
    }  # fmt: skip
    config = SegformerConfig(**(named | tiny | sizes))
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)
    return folder


def picture(seed: int = 0, size: tuple[int, int] = (90, 60)) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segformer(tmp_path_factory.mktemp("segformer"))


def test_a_published_folder_is_loaded_by_name(folder: Path) -> None:
    for name in (str(folder), f"local-dir:{folder}"):
        parser = load(ParserConfig(name, max_batch=2))
        parser.warm_up()
        parser.check()
        parsing = parser.parse(picture())
        assert parser.size == (64, 48)
        assert parsing.probabilities.shape == (18, 64, 48)
        assert parsing.labels.shape == (90, 60)
        assert np.allclose(parsing.probabilities.sum(0), 1, atol=1e-4)


def test_a_batch_gives_what_single_pictures_give(folder: Path) -> None:
    parser = load(ParserConfig(str(folder), max_batch=2))
    pixels = [parser.preprocess(Image.fromarray(picture(seed))) for seed in range(3)]
    together = parser.probabilities(pixels)
    for one, alone in zip(together, pixels, strict=True):
        assert np.allclose(one, parser.probabilities([alone])[0], atol=1e-5)


def test_a_mirrored_picture_is_parsed_as_the_mirror_image(folder: Path) -> None:
    parser = load(ParserConfig(str(folder)))
    straight, mirrored = (parser.parse(each).probabilities
                          for each in (picture(), picture()[:, ::-1]))  # fmt: skip
    assert np.allclose(straight, mirrored[list(MIRRORED)][:, :, ::-1], atol=2e-3)


def test_classes_are_found_by_their_names(tmp_path: Path, folder: Path) -> None:
    shuffled = write_segformer(tmp_path / "a", NAMES[::-1])
    straight, turned = (load(ParserConfig(str(each), mirror=False)).parse(picture()).probabilities
                        for each in (folder, shuffled))  # fmt: skip
    assert np.allclose(straight, turned[::-1], atol=1e-5)
    other = write_segformer(tmp_path / "b", (*NAMES[:-1], "Cape"))
    with pytest.raises(ValueError, match="Scarf"):
        load(ParserConfig(str(other)))


def test_the_version_names_weights_and_precision(folder: Path, tmp_path: Path) -> None:
    one, again = (load(ParserConfig(str(folder))).version for _ in range(2))
    half = load(ParserConfig(str(folder), precision="bf16")).version
    assert one == again != half


def test_segformer_b2_runs_as_published(tmp_path: Path) -> None:
    b2: dict[str, Any] = {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3],
          "decoder_hidden_size": 768, "num_attention_heads": [1, 2, 5, 8]}  # fmt: skip
    parser = load(ParserConfig(str(write_segformer(tmp_path, **b2)), mirror=False))
    assert parser.parse(picture()).labels.shape == (90, 60)


def test_non_commercial_checkpoints_need_a_word() -> None:
    refused = [one for one in REGISTRY.values() if not one.commercial]
    assert {one.model for one in refused} == {"parser"}
    for one in refused:
        with pytest.raises(SetupError, match="STUDIO_ALLOW_NONCOMMERCIAL"):
            require_licence(one.name, one.model, allow_noncommercial=False)
        assert require_licence(one.name, one.model, allow_noncommercial=True) is one
    with pytest.raises(SetupError, match="segformer_b2_clothes"):
        load(ParserConfig("hf-hub:mattmdjaga/segformer_b2_clothes"))
    with pytest.raises(SetupError, match="not known"):
        load_sam(SamConfig("hf-hub:somebody/something/sam_vit_b.pth"))
    for one in REGISTRY.values():
        if one.commercial:
            require_licence(one.name, one.model, allow_noncommercial=False)
    assert licence_of("starter", "parser").commercial


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("sam")
    save_sam(build(TINY_SAM), folder, TINY_SAM)
    return folder


def test_a_sam_encodes_once_and_decodes_many(sam_folder: Path) -> None:
    sam = load_sam(SamConfig(str(sam_folder)))
    sam.warm_up()
    square, inner = sam.preprocess(Image.fromarray(picture()))
    assert (square.shape, inner) == ((3, 64, 64), (64, 43))
    embedding = sam.encode(square, inner)
    prompts = [
        Prompt(box=(0.1, 0.1, 0.9, 0.9)), Prompt(points=((0.5, 0.5),), labels=(1,)),
        Prompt(points=((0.5, 0.5), (0.1, 0.1)), labels=(1, 0), box=(0.0, 0.0, 1.0, 1.0)),
        Prompt(box=(0.1, 0.1, 0.9, 0.9), mask=np.full((30, 20), 0.5, np.float32)),
    ]  # fmt: skip
    cutouts = sam.decode(embedding, prompts)
    for prompt, cutout in zip(prompts, cutouts, strict=True):
        assert cutout.probability.shape == (16, 11)
        assert 0 <= cutout.probability.min() <= cutout.probability.max() <= 1
        alone = sam.decode(embedding, [prompt])[0]
        assert np.array_equal(alone.probability, cutout.probability)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_sam_of_half_precision_cuts_out_nearly_the_same(
    sam_folder: Path, precision: Literal["fp16", "bf16"]
) -> None:
    prompts = [
        Prompt(points=((0.5, 0.5), (0.1, 0.1)), labels=(1, 0)),
        Prompt(box=(0.1, 0.1, 0.9, 0.9), mask=np.full((30, 20), 0.5, np.float32)),
    ]
    planes = []
    for each in ("fp32", precision):
        sam = load_sam(SamConfig(str(sam_folder), each))
        sam.warm_up()
        embedding = sam.encode(*sam.preprocess(Image.fromarray(picture())))
        planes.append([cut.probability for cut in sam.decode(embedding, prompts)])
    assert np.abs(np.array(planes[0]) - np.array(planes[1])).max() < 0.05


def test_both_networks_together(folder: Path, sam_folder: Path) -> None:
    parser, sam = load(ParserConfig(str(folder))), load_sam(SamConfig(str(sam_folder)))
    segmenter = Segmenter(parser, sam)
    segmenter.warm_up()
    segmenter.check()
    features = segmenter.encode([segmenter.prepare_pixels(picture())])[0]
    assert features.embedding is not None
    assert segmenter.version == f"{parser.version}+{sam.version}"
    sure = replace(features, parsing=replace(features.parsing, probabilities=_upper()))
    segment = segmenter.decode(sure, SegmentPrompt("upper"))
    assert segment.mask.shape == (90, 60)
    assert segment.source in ("parser", "sam")


def test_pictures_of_a_batch_are_encoded_as_each_alone(folder: Path, sam_folder: Path) -> None:
    sam = load_sam(SamConfig(str(sam_folder), max_batch=2))
    passes: list[int] = []
    sam._network.image_encoder.register_forward_pre_hook(
        lambda _, args: passes.append(len(args[0]))
    )
    segmenter = Segmenter(load(ParserConfig(str(folder))), sam)
    prepared = [segmenter.prepare_pixels(picture(seed, (90 - seed, 60))) for seed in range(3)]
    segmenter.encode(prepared)
    assert passes == [2, 1]  # it used to take the pictures of a batch one by one
    for features, alone in zip(segmenter.encode(prepared), prepared, strict=True):
        (single,) = segmenter.encode([alone])
        assert (features.parsing.height, features.parsing.width) == (alone.height, alone.width)
        assert np.allclose(features.parsing.probabilities, single.parsing.probabilities, atol=1e-5)
        assert features.embedding is not None and single.embedding is not None
        assert np.allclose(features.embedding.planes, single.embedding.planes, atol=1e-5)


def test_an_encoded_picture_is_prepared_as_its_pixels(folder: Path, sam_folder: Path) -> None:
    segmenter = Segmenter(load(ParserConfig(str(folder))), load_sam(SamConfig(str(sam_folder))))
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "PNG")
    encoded, decoded = segmenter.prepare(out.getvalue()), segmenter.prepare_pixels(picture())
    assert (encoded.width, encoded.height) == (decoded.width, decoded.height) == (60, 90)
    assert np.array_equal(encoded.pixels, decoded.pixels)
    assert encoded.square is not None and decoded.square is not None
    assert np.array_equal(encoded.square[0], decoded.square[0])
    large = io.BytesIO()
    Image.fromarray(picture(size=(900, 600))).save(large, "JPEG")
    assert (segmenter.prepare(large.getvalue()).width, segmenter.side) == (600, 64)


def _upper() -> NDArray[Any]:
    planes = np.zeros((18, 64, 48), np.float32)
    planes[0] = 1
    planes[0, 20:40, 10:30], planes[4, 20:40, 10:30] = 0, 1
    return planes


def test_a_checkpoint_says_when_it_can_be_relied_on(sam_folder: Path, tmp_path: Path) -> None:
    assert load_sam(SamConfig(str(sam_folder))).acceptance == Acceptance()
    shutil.copytree(sam_folder, tmp_path, dirs_exist_ok=True)
    described = json.loads((tmp_path / CONFIG_FILE).read_text())
    described["acceptance"] = {"iou": -9.0, "agreement": 0.0}
    (tmp_path / CONFIG_FILE).write_text(json.dumps(described))
    willing = load_sam(SamConfig(str(tmp_path)))
    assert willing.acceptance == Acceptance(-9.0, 0.0)
    segmenter = Segmenter(load(ParserConfig()), willing)
    features = segmenter.encode([segmenter.prepare_pixels(picture())])[0]
    sure = replace(features, parsing=replace(features.parsing, probabilities=_upper()))
    selection = segmenter.select(sure, SegmentPrompt("upper"))
    assert selection.source == "sam"
    assert sure.embedding is not None
    cut = willing.decode(
        sure.embedding, [sam_prompt(sure, SegmentPrompt("upper"), selection.candidate)]
    )[0]
    drawn = resize(cut.probability, sure.size)
    assert np.allclose(selection.plane, (drawn + selection.candidate.plane) / 2, atol=1e-6)


def test_untrained_attention_changes_nothing() -> None:
    pixels = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    network: Any = build_parser(STARTER_FOLDER / "embedder").eval()  # type: ignore[no-untyped-call]
    context, network.context = network.context, None
    with torch.inference_mode():
        without = network(pixel_values=pixels).logits
        network.context = context
        assert torch.allclose(network(pixel_values=pixels).logits, without, atol=1e-6)
        torch.nn.init.normal_(context.add.weight)
        assert not torch.allclose(network(pixel_values=pixels).logits, without, atol=1e-5)


def test_what_is_no_sam(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=CONFIG_FILE):
        load_sam(SamConfig(str(tmp_path)))


@pytest.mark.proof
def test_sam_vit_b_runs_as_published(tmp_path: Path) -> None:
    file = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(build(PUBLISHED["vit_b"]).state_dict(), file)
    for name in (str(file), str(tmp_path)):
        sam = load_sam(SamConfig(name))
        assert sam.side == 1024
    embedding = sam.encode(*sam.preprocess(Image.fromarray(picture())))
    assert embedding.planes.shape == (256, 64, 64)
    cutout = sam.decode(embedding, [Prompt(box=(0.1, 0.1, 0.9, 0.9))])[0]
    assert cutout.probability.shape == (256, 171)
