"""Painters that finish a composite: none, or a diffusers inpainting checkpoint."""

# ruff: noqa: PLC0415 - torch and diffusers are imported when a checkpoint is loaded, not earlier

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from models.checkpoints.pins import NO_PINS, Pinning, checkpoint_source, pinned_folder
from models.checkpoints.weights import LOCAL_PREFIX, short_name
from models.devices import Precision, select_device, torch_type
from models.segmenter.shapes import Category, Pixels
from models.tryon.composite import Composite
from models.tryon.outline import bounds

COMPOSITE = "composite"
"""The name of the painter that returns the composite as it is."""
OnStep = Callable[[int, int], None]
"""Called with the steps done and the steps in total; an exception ends the painting."""

CLOTHES: Mapping[Category, str] = {"upper": "top", "lower": "trousers or skirt", "dress": "dress"}
AVOIDED = "blurry, distorted, extra limbs, deformed hands, text, watermark"
MULTIPLE = 8
MARGIN = 0.12


@dataclass(frozen=True)
class PainterConfig:
    """The checkpoint that paints, and its options.

    checkpoint: "composite"; a diffusers inpainting folder ("local-dir:/path" or its path) or a
    hub's "owner/name" (StableDiffusionXLInpaintPipeline and its kin). adapter: an IP-Adapter
    "owner/name:subfolder:file" that conditions the network on the garment, or None. side: the
    longest side that is painted. strength: the share of noise added to the composite, above 0 and
    at most 1.
    """

    checkpoint: str = COMPOSITE
    adapter: str | None = None
    precision: Precision = "fp32"
    device: str = "auto"
    side: int = 1024
    strength: float = 0.6
    guidance: float = 5.0
    adapter_scale: float = 0.7
    pinning: Pinning = NO_PINS


class Painter(Protocol):
    """Finishes a composite; `load_painter` chooses the class."""

    version: str
    """Changes with the checkpoint and how it is used."""

    def paint(
        self,
        composite: Composite,
        garment: Pixels,
        category: Category,
        *,
        seed: int,
        steps: int,
        on_step: OnStep,
    ) -> tuple[Pixels, list[str]]:
        """The finished picture, (h, w, 3) like the composite's, and the names of the steps.

        steps: how many run, at least 1. The same arguments give the same picture. Only pixels with
        a `composite.share` above 0 are used.
        """
        ...


class CompositePainter:
    """Returns the composite without painting anything."""

    version = "composite-1"

    def paint(
        self,
        composite: Composite,
        garment: Pixels,
        category: Category,
        *,
        seed: int,
        steps: int,
        on_step: OnStep,
    ) -> tuple[Pixels, list[str]]:
        """The composite's picture, regardless of the seed and the number of steps."""
        on_step(0, 1)
        return composite.picture, []


class Diffusion:
    """A diffusers inpainting pipeline that starts from the composite."""

    def __init__(self, config: PainterConfig, pipeline: Any) -> None:
        self.config = config
        self._pipeline = pipeline
        digest = hashlib.sha256(json.dumps(_described(config, pipeline)).encode()).hexdigest()
        self.version = f"{short_name(config.checkpoint)}-{digest[:12]}"

    def paint(
        self,
        composite: Composite,
        garment: Pixels,
        category: Category,
        *,
        seed: int,
        steps: int,
        on_step: OnStep,
    ) -> tuple[Pixels, list[str]]:
        """Paints the part around the changed zone at the network's size and puts it back."""
        import torch

        if not (composite.share > 0).any():
            return composite.picture, []
        box = _around(composite)
        picture, mask = _cropped(composite, box, self.config.side)

        def after_step(
            _pipe: Any, step: int, _time: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            on_step(step + 1, steps)
            return tensors

        on_step(0, steps)
        adapter_inputs = (
            {"ip_adapter_image": Image.fromarray(garment)} if self.config.adapter else {}
        )
        with torch.inference_mode():
            painted = self._pipeline(
                prompt=f"photograph of a person wearing the {CLOTHES[category]}, natural light",
                negative_prompt=AVOIDED,
                image=picture,
                mask_image=mask,
                width=picture.width,
                height=picture.height,
                strength=self.config.strength,
                guidance_scale=self.config.guidance,
                num_inference_steps=schedule_length(steps, self.config.strength),
                generator=torch.Generator("cpu").manual_seed(seed),
                callback_on_step_end=after_step,
                **adapter_inputs,
            ).images[0]
        x0, y0, x1, y1 = box
        result = composite.picture.copy()
        size = (x1 - x0, y1 - y0)
        result[y0:y1, x0:x1] = np.asarray(painted.resize(size, Image.Resampling.LANCZOS))
        return result, [f"diffusion x{steps}"]


def schedule_length(steps: int, strength: float) -> int:
    """The shortest schedule of which diffusers runs `steps` steps: it skips the noisier part of a
    schedule, int(length * strength) steps remain.
    """
    return next(length for length in count(steps) if int(length * strength) >= steps)


def _around(composite: Composite) -> tuple[int, int, int, int]:
    """The box of the changed zone with a margin: x0, y0, x1, y1, exclusive."""
    x0, y0, x1, y1 = bounds(composite.share > 0)
    margin = round(MARGIN * max(x1 - x0, y1 - y0))
    height, width = composite.share.shape
    return (
        max(x0 - margin, 0), max(y0 - margin, 0),
        min(x1 + 1 + margin, width), min(y1 + 1 + margin, height),
    )  # fmt: skip


def _cropped(
    composite: Composite, box: tuple[int, int, int, int], side: int
) -> tuple[Image.Image, Image.Image]:
    """Picture and mask of the box: longest side near `side`, both sides multiples of MULTIPLE."""
    x0, y0, x1, y1 = box
    scale = side / max(x1 - x0, y1 - y0)
    width, height = (
        max(MULTIPLE * 8, round(length * scale / MULTIPLE) * MULTIPLE)
        for length in (x1 - x0, y1 - y0)
    )
    picture = Image.fromarray(composite.picture[y0:y1, x0:x1])
    mask = Image.fromarray((composite.share[y0:y1, x0:x1] > 0).astype(np.uint8) * 255)
    size = (width, height)
    return picture.resize(size, Image.Resampling.LANCZOS), mask.resize(size)


def _described(config: PainterConfig, pipeline: Any) -> list[object]:
    """The values that determine the version: the networks' configurations and their options."""
    parts = {
        name: sorted(
            (key, str(value)) for key, value in dict(part.config).items() if key != "_name_or_path"
        )
        for name, part in pipeline.components.items()
        if hasattr(part, "config") and hasattr(part.config, "items")
    }
    used = [config.adapter, config.precision, config.side, config.strength, config.guidance]
    return [type(pipeline).__name__, parts, used, config.adapter_scale]


def load_painter(config: PainterConfig) -> Painter:
    """Loads the painter of a checkpoint."""
    if config.checkpoint == COMPOSITE:
        return CompositePainter()
    from diffusers import AutoPipelineForInpainting

    device = select_device(config.device)
    local = config.checkpoint.removeprefix(LOCAL_PREFIX)
    is_local = local != config.checkpoint or Path(local).is_dir()
    own_folder = local if is_local else None
    with checkpoint_source(config.checkpoint, own_folder, config.pinning) as name:
        pipeline: Any = AutoPipelineForInpainting.from_pretrained(  # type: ignore[no-untyped-call]
            name,
            dtype=torch_type(config.precision),
            use_safetensors=True,
            local_files_only=Path(name).is_dir(),
        )
    if config.adapter:
        repository, subfolder, file = config.adapter.split(":")
        with pinned_folder(config.adapter, config.pinning) as folder:
            place = str(folder or repository)
            pipeline.load_ip_adapter(place, subfolder=subfolder, weight_name=file)
        pipeline.set_ip_adapter_scale(config.adapter_scale)
    pipeline.set_progress_bar_config(disable=True)
    return Diffusion(config, pipeline.to(device))
