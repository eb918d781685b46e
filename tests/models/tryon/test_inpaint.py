"""The production path without its weights: the same classes, tiny, from a folder, by name."""

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from errors import CancelRequested, SetupError
from models.checkpoints.registry import REGISTRY
from models.segmenter.parser import ParserConfig
from models.tryon.composite import compose
from models.tryon.inpaint import BACKENDS, PainterConfig, load_painter
from models.tryon.loading import (
    TryOnConfig,
    check_pipeline,
    load_pipeline,
    square_shirt,
    stick_figure,
)
from models.tryon.painter import Painter, Painting, Scene
from models.tryon.pipeline import Sizes, TryOnPipeline
from models.tryon.shapes import GarmentPicture, TryOnOptions
from tests.models.tryon.support import FixedParser, changed_area
from training.published.random_weights import Weights
from training.published.sdxl import ADAPTER_FILE, ADAPTER_FOLDER, write_adapter


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """StableDiffusionXLInpaintPipeline in its published format, with random weights."""
    diffusers: Any = import_module("diffusers")  # which has no types
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sdxl")
    words = folder / "words"
    words.mkdir()
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    (words / "vocab.json").write_text(
        "{" + ", ".join(f"{quoted(one)}: {at}" for at, one in enumerate(vocabulary)) + "}"
    )
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77
    )
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=37, num_attention_heads=4,
        num_hidden_layers=2, projection_dim=32, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=32, in_channels=9, out_channels=4, block_out_channels=(32, 64),
        layers_per_block=1, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4),
        use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=80, cross_attention_dim=64,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64), in_channels=3, out_channels=3, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionXLInpaintPipeline(
        vae=vae, text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text), tokenizer=tokenizer,
        tokenizer_2=tokenizer, unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(), force_zeros_for_empty_prompt=True,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_diffusers_checkpoint_paints_inside_the_mask_only(checkpoint: Path) -> None:
    torch.set_num_threads(1)
    painter = load_painter(PainterConfig(str(checkpoint), side=64))
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    photo, garment = Image.fromarray(person), GarmentPicture(Image.fromarray(cloth), mask)
    pipeline = TryOnPipeline(FixedParser(labels), painter, Sizes(balanced=160))
    messages: list[str] = []

    def dress(seed: int, stop_at: int = 99) -> NDArray[np.uint8]:
        def on_progress(_done: int, _total: int, message: str) -> None:
            messages.append(message)
            if messages.count("inpaint") > stop_at:
                raise CancelRequested("enough")

        options = TryOnOptions("upper", "balanced", seed, steps=4)
        result = pipeline.dress(photo, garment, options, on_progress)
        assert "diffusion x4" in result.steps
        area = changed_area(photo.size, result.share, result.protected)
        after = np.asarray(result.picture)
        np.testing.assert_array_equal(after[~area], person[~area])
        return after

    first, again, other = dress(1), dress(1), dress(2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    fast = pipeline.dress(photo, garment, TryOnOptions("upper", "fast", 1))
    assert fast.steps == ("parse", fast.steps[1], "blend", "repaint")
    assert (np.asarray(fast.picture) != first).any()
    messages.clear()
    with pytest.raises(CancelRequested):
        dress(1, stop_at=1)
    assert messages.count("inpaint") == 2


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("strength", [0.05, 0.3, 0.6, 0.99, 1.0])
def test_as_many_steps_run_as_are_asked_for(checkpoint: Path, strength: float) -> None:
    """diffusers skips a share of the steps: of one step at strength 0.6 none was left, an error."""
    torch.set_num_threads(1)
    painter = load_painter(PainterConfig(str(checkpoint), side=64, strength=strength))
    for steps in (1, 2, 3, 5):
        on_step = Mock()
        [painting] = painter.paint([scene(1, steps, on_step)])
        assert isinstance(painting, Painting)
        assert painting.steps == (f"diffusion x{steps}",)
        assert [step.args for step in on_step.mock_calls] == [
            (done, steps) for done in range(steps + 1)
        ]


def scene(
    seed: int, steps: int = 2, on_step: Any = lambda *_: None, colour: tuple[int, ...] | None = None
) -> Scene:
    """The stick figure in the square shirt, or in one of another colour."""
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    cloth = np.where(mask[..., None], colour or (200, 40, 40), cloth).astype(np.uint8)
    composite = compose(person, labels, cloth, mask, "upper")
    return Scene(person, labels, cloth, mask, "upper", composite, seed, steps, on_step)


def paint(painter: Painter, *scenes: Scene) -> list[NDArray[np.int16]]:
    """The scenes' pictures, painted in one call."""
    assert len({painter.kind(scene) for scene in scenes}) == 1
    paintings = painter.paint(scenes)
    assert all(isinstance(one, Painting) for one in paintings)
    return [one.picture.astype(np.int16) for one in paintings if isinstance(one, Painting)]


def plus_projection(eyes: int, words: int, width: int = 32) -> dict[str, torch.Tensor]:
    """The image projection of `ip-adapter-plus…`: 16 tokens of all patches, not 4 of one vector."""
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 16, width), "proj_in.weight": (width, eyes), "proj_in.bias": (width,),
        "proj_out.weight": (words, width), "proj_out.bias": (words,), "norm_out.weight": (words,),
        "norm_out.bias": (words,),
    }  # fmt: skip
    for layer in range(4):
        attention = {
            "norm1.weight": (width,), "norm1.bias": (width,), "norm2.weight": (width,),
            "norm2.bias": (width,), "to_q.weight": (64, width), "to_kv.weight": (128, width),
            "to_out.weight": (width, 64),
        }  # fmt: skip
        shapes |= {f"layers.{layer}.0.{name}": shape for name, shape in attention.items()}
        forward = {
            "0.weight": (width,), "0.bias": (width,), "1.weight": (4 * width, width),
            "3.weight": (width, 4 * width),
        }  # fmt: skip
        shapes |= {f"layers.{layer}.1.{name}": shape for name, shape in forward.items()}
    return {f"image_proj.{name}": torch.randn(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module", params=["plain", "plus"])
def adapted(
    checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> PainterConfig:
    """The checkpoint with an IP-Adapter of random weights, which shows the garment."""
    folder = tmp_path_factory.mktemp("adapter")
    eyes = {
        "hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4,
        "num_hidden_layers": 2, "projection_dim": 32, "patch_size": 8, "image_size": 32,
    }  # fmt: skip
    unet = json.loads((checkpoint / "unet/config.json").read_text())
    unet = {key: value for key, value in unet.items() if not key.startswith("_")}
    write_adapter(folder, Weights(torch.float32, "cpu"), eyes, unet)
    if request.param == "plus":
        file = folder / ADAPTER_FOLDER / ADAPTER_FILE
        torch.manual_seed(0)
        layers = {name: one for name, one in load_file(file).items() if "image_proj" not in name}
        save_file(layers | plus_projection(32, unet["cross_attention_dim"]), file)
        (folder / "models").mkdir()  # where its repository has the image encoder
        (folder / ADAPTER_FOLDER / "image_encoder").rename(folder / "models" / "image_encoder")
    encoder = ":models/image_encoder" if request.param == "plus" else ""
    name = f"{folder}:{ADAPTER_FOLDER}:{ADAPTER_FILE}{encoder}"
    return PainterConfig(str(checkpoint), name, side=64, adapter_scale=20.0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_scene_gives_the_same_painting_alone_and_in_a_batch(adapted: PainterConfig) -> None:
    """Each scene has its own seed, its own garment and its own progress."""
    torch.set_num_threads(1)
    painter = load_painter(adapted)
    scenes = [scene(1), scene(2), scene(1, colour=(20, 220, 60))]
    together = paint(painter, *scenes)
    for alone, batched in zip([paint(painter, one)[0] for one in scenes], together, strict=True):
        assert np.abs(alone - batched).max() <= 1
    first, other_seed, _ = together
    assert np.abs(first - other_seed).max() > 4
    red, green = scene(1), scene(1, colour=(20, 220, 60))
    swapped = replace(red, garment=green.garment)  # only the adapter sees it
    assert np.abs(paint(painter, red)[0] - paint(painter, swapped)[0]).max() > 1
    assert painter.kind(scene(1, steps=2)) != painter.kind(scene(1, steps=3))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_cancelled_scene_leaves_the_others_of_its_batch(checkpoint: Path) -> None:
    torch.set_num_threads(1)
    painter = load_painter(PainterConfig(str(checkpoint), side=64))
    on_step = Mock()

    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise CancelRequested("enough")

    cancelled, other = painter.paint([scene(1, 3, stop), scene(2, 3, on_step)])
    assert isinstance(cancelled, CancelRequested) and isinstance(other, Painting)
    assert [step.args[0] for step in on_step.mock_calls] == [0, 1, 2, 3]
    [alone] = painter.paint([scene(2, 3)])
    assert isinstance(alone, Painting)
    assert np.abs(alone.picture.astype(int) - other.picture).max() <= 1
    both = painter.paint([scene(1, 3, stop), scene(2, 3, stop)])
    assert [type(one) for one in both] == [CancelRequested] * 2


def test_two_fine_tunes_in_folders_of_one_name_are_two_versions(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy, tune = tmp_path / "a" / "model", tmp_path / "b" / "model"
    for folder in (copy, tune):
        shutil.copytree(checkpoint, folder)
    weights = load_file(tune / "unet/diffusion_pytorch_model.safetensors")
    weights["conv_in.bias"] += 0.5
    save_file(weights, tune / "unet/diffusion_pytorch_model.safetensors", {"format": "pt"})
    own, same, other = (
        load_painter(PainterConfig(str(folder))).version for folder in (checkpoint, copy, tune)
    )
    assert own == same != other
    assert load_painter(PainterConfig(str(copy), strength=0.5)).version != own


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_health_check_runs_the_diffusion_network(checkpoint: Path) -> None:
    """The constructor of TryOn makes this check: where it fails, the application can't start."""
    torch.set_num_threads(1)
    _, labels = stick_figure()
    painter = load_painter(PainterConfig(str(checkpoint), side=64))
    check_pipeline(TryOnPipeline(FixedParser(labels), painter, Sizes()))


def test_a_noncommercial_checkpoint_needs_a_word(checkpoint: Path) -> None:
    config = TryOnConfig(ParserConfig(), PainterConfig("hf-hub:zhengchong/CatVTON"))
    with pytest.raises(SetupError, match="STUDIO_ALLOW_NONCOMMERCIAL"):
        load_pipeline(config)


def test_every_painter_of_the_registry_has_a_loader() -> None:
    painters = [entry for entry in REGISTRY.values() if entry.model == "tryon"]
    assert {entry.backend for entry in painters} == BACKENDS.keys()
