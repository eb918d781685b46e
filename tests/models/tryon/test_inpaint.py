"""The production path without its weights: the same classes, tiny, from a folder, by name."""

from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from errors import CancelRequested, SetupError
from models.segmenter.parser import ParserConfig
from models.tryon.composite import compose
from models.tryon.inpaint import PainterConfig, load_painter
from models.tryon.loading import (
    TryOnConfig,
    check_pipeline,
    load_pipeline,
    square_shirt,
    stick_figure,
)
from models.tryon.pipeline import Sizes, TryOnPipeline
from models.tryon.shapes import GarmentPicture, TryOnOptions
from tests.models.tryon.support import FixedParser, changed_area


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
        area = changed_area(photo.size, result.composite.share, result.composite.protected)
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
    person, labels = stick_figure()
    cloth, mask = square_shirt()
    composite = compose(person, labels, cloth, mask, "upper")
    for steps in (1, 2, 3, 5):
        on_step = Mock()
        _, names = painter.paint(composite, cloth, "upper", seed=1, steps=steps, on_step=on_step)
        assert [step.args for step in on_step.mock_calls] == [
            (done, steps) for done in range(steps + 1)
        ]
        assert names == [f"diffusion x{steps}"]


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
