"""SCHP's parser from a file in its published format, at a small width, with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.segmenter.parser import ParserConfig, load
from models.segmenter.schp_network import TRAINING_ONLY, Schp, load_schp
from tests.models.segmenter.test_parser import picture

FILE = "exp-schp-201908301523-atr.pth"
HEADS = {"decoder.conv4": (16, 18, 1), "edge.conv4": (16, 2, 3), "edge.conv5": (6, 2, 1)}


def published(network: Schp) -> dict[str, torch.Tensor]:
    """The state as the authors' training saves it: from a parallel module, with all heads."""
    state = {name: tensor for name, tensor in network.state_dict().items()
             if not name.endswith("num_batches_tracked")}  # fmt: skip
    for name, (ins, outs, side) in HEADS.items():
        state[f"{name}.weight"] = torch.zeros(outs, ins, side, side)
        state[f"{name}.bias"] = torch.zeros(outs)
    return {f"module.{name}": tensor for name, tensor in state.items()}


def write_schp(path: Path, seed: int = 0) -> Path:
    """A small checkpoint whose normalisation does something."""
    torch.manual_seed(seed)
    network = Schp(width=4, depths=(1, 1, 2, 1))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": published(network)}, path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_schp(tmp_path_factory.mktemp("schp") / FILE)


def test_the_published_file_is_loaded_by_name(file: Path) -> None:
    for name in (str(file), f"local-dir:{file}"):
        parser = load(ParserConfig(name, max_batch=2))
        parser.check()
        parsing = parser.parse(picture(size=(90, 60)))
        assert parser.size == (512, 512)
        assert parsing.probabilities.shape == (18, 512, 341)
        assert parsing.labels.shape == (90, 60)
        assert np.allclose(parsing.probabilities.sum(0), 1, atol=1e-4)
    half = load(ParserConfig(str(file), precision="bf16"))
    half.check()
    assert half.version != parser.version


def test_pictures_of_other_shapes_share_a_batch_and_change_nothing(file: Path) -> None:
    parser = load(ParserConfig(str(file), max_batch=3))
    sizes = ((90, 60), (50, 120), (64, 64))
    pixels = [parser.preprocess(Image.fromarray(picture(size=size))) for size in sizes]
    assert [each.shape[1:] for each in pixels] == [(512, 341), (213, 512), (512, 512)]
    for planes, alone in zip(parser.probabilities(pixels), pixels, strict=True):
        assert planes.shape == (18, *alone.shape[1:])
        assert np.allclose(planes, parser.probabilities([alone])[0], atol=1e-5)


def test_the_network_is_the_published_one(file: Path) -> None:
    """Its parts computed by other means: the normalisation, the channels' order, the strides."""
    content = torch.load(file, weights_only=True)["state_dict"]
    network = load_schp(file).eval()
    pixels = torch.randn(1, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    first = torch.nn.functional.conv2d(
        pixels[:, [2, 1, 0]], content["module.conv1.weight"], stride=2, padding=1
    )
    mean, variance = (content[f"module.bn1.running_{what}"][:, None, None]
                      for what in ("mean", "var"))  # fmt: skip
    scale, shift = (content[f"module.bn1.{what}"][:, None, None] for what in ("weight", "bias"))
    expected = (first - mean) / torch.sqrt(variance + 1e-5) * scale.abs() + shift
    with torch.inference_mode():
        assert torch.allclose(network.bn1(network.conv1(pixels)), expected, atol=1e-5)
        leaky = network.fushion[1](torch.full((1, 16, 2, 2), -3.0))
        norm: Any = network.fushion[1]
        plain = torch.nn.BatchNorm2d.forward(norm, torch.full((1, 16, 2, 2), -3.0))
        assert torch.allclose(leaky, torch.where(plain > 0, plain, 0.01 * plain))
        planes = network.maxpool(network.conv3(network.conv2(network.conv1(pixels))))
        sides = []
        for name in ("layer1", "layer2", "layer3", "layer4"):
            planes = network.get_submodule(name)(planes)
            sides.append(tuple(planes.shape[1:]))
        assert sides == [(16, 16, 12), (32, 8, 6), (64, 4, 3), (128, 4, 3)]
        assert network(pixels).logits.shape == (1, 18, 64, 48)


def test_the_full_size_has_the_published_names_and_bytes() -> None:
    """267,445,237 bytes are 66.8 million numbers in float32 and some names."""
    with torch.device("meta"):
        state = Schp().state_dict()
    numbers = {name: tensor.numel() for name, tensor in state.items()
               if not name.endswith("num_batches_tracked")}  # fmt: skip
    heads = 256 * 18 + 18 + 256 * 2 * 9 + 2 + 6 * 2 + 2
    assert abs(4 * (sum(numbers.values()) + heads) - 267_445_237) < 300_000
    for name in (
        "conv3.weight", "bn3.running_var", "layer3.22.bn2.weight", "layer4.0.downsample.1.bias",
        "context_encoding.stages.3.2.running_mean", "context_encoding.bottleneck.1.weight",
        "decoder.conv3.3.bias", "edge.conv3.1.weight", "fushion.1.weight", "fushion.3.bias",
    ):  # fmt: skip
        assert name in numbers
    assert not any(name.startswith(TRAINING_ONLY) for name in numbers)


def test_other_files_are_refused_by_name(file: Path, tmp_path: Path) -> None:
    state = torch.load(file, weights_only=True)["state_dict"]
    lip = {**state, "module.fushion.3.bias": torch.zeros(20)}
    cases = ((lip, "has 20 classes"), ({"weight": torch.zeros(1)}, "has no classes"))
    for content, message in cases:
        torch.save({"state_dict": content}, tmp_path / FILE)
        with pytest.raises(ValueError, match=message):
            load(ParserConfig(str(tmp_path / FILE)))
    del state["module.layer1.0.bn1.weight"]
    torch.save(state, tmp_path / FILE)
    with pytest.raises(ValueError, match="not SCHP's checkpoint"):
        load(ParserConfig(str(tmp_path / FILE)))
    with pytest.raises(OSError, match="exp-schp-nowhere"):
        load(ParserConfig(str(tmp_path / "exp-schp-nowhere.pth")))


@pytest.mark.proof
def test_schp_runs_at_its_full_size(tmp_path: Path) -> None:
    torch.save({"state_dict": Schp().state_dict()}, tmp_path / FILE)
    parser = load(ParserConfig(str(tmp_path / FILE), max_batch=1, mirror=False))
    parser.check()
    assert parser.parse(picture()).labels.shape == (90, 60)
