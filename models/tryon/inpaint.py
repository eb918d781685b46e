"""A painter that finishes composites with a diffusers inpainting checkpoint."""

# ruff: noqa: PLC0415 - torch and diffusers are imported when a checkpoint is loaded, not earlier

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from errors import JobStopped, StudioError
from models.checkpoints.adapter import AdapterName
from models.checkpoints.pins import NO_PINS, Pinning, checkpoint_source
from models.checkpoints.registry import licence_of
from models.checkpoints.variants import find_variant
from models.checkpoints.weights import LOCAL_PREFIX, fingerprint, naming_checkpoint, short_name
from models.devices import Precision, select_device, torch_type
from models.segmenter.shapes import Category
from models.tryon.painter import CompositePainter, Painter, Painting, Scene
from models.tryon.pictures import square_garment
from models.tryon.window import Window, find_window

COMPOSITE = "composite"
"""The name of the painter that returns the composite as it is."""
CLOTHES: Mapping[Category, str] = {"upper": "top", "lower": "trousers or skirt", "dress": "dress"}
PROMPT = "photograph of a person wearing the {}, natural light"
AVOIDED = "blurry, distorted, extra limbs, deformed hands, text, watermark"


@dataclass(frozen=True)
class PainterConfig:
    """The checkpoint that paints, and its options.

    checkpoint: "composite"; a diffusers inpainting folder ("local-dir:/path" or its path) or a
    hub's "owner/name" (StableDiffusionXLInpaintPipeline and its kin). adapter: the name of an
    IP-Adapter, see `AdapterName`, that conditions the network on the garment; or None. side: the
    longest side that is painted. strength: the share of noise added to the composite, above 0 and
    at most 1. max_batch: how many scenes are painted in one call on a GPU.
    """

    checkpoint: str = COMPOSITE
    adapter: str | None = None
    precision: Precision = "fp32"
    device: str = "auto"
    side: int = 1024
    strength: float = 0.6
    guidance: float = 5.0
    adapter_scale: float = 0.7
    max_batch: int = 4
    pinning: Pinning = NO_PINS


class Diffusion:
    """A diffusers inpainting pipeline that starts from the composite."""

    needs_composite = True

    def __init__(self, config: PainterConfig, pipeline: Any) -> None:
        self.config = config
        self._pipeline = pipeline
        self.version = _version_of(config, pipeline)
        self.max_batch = config.max_batch if pipeline.device.type == "cuda" else 1
        if config.adapter:
            pipeline.prepare_ip_adapter_image_embeds = self._embed_garments

    def kind(self, scene: Scene) -> Hashable:
        """Scenes of the same size and number of steps share a call."""
        share = scene.required_composite().share
        return (find_window(share > 0, self.config.side).size if share.any() else None, scene.steps)

    def paint(self, scenes: Sequence[Scene]) -> list[Painting | Exception]:
        """Paints the part around the changed zone at the network's size and puts it back."""
        composites = [scene.required_composite() for scene in scenes]
        if not composites[0].share.any():  # all are of one kind
            return [Painting(composite.picture, composite.share, ()) for composite in composites]
        windows = [find_window(one.share > 0, self.config.side) for one in composites]
        progress = _Progress(scenes)
        try:
            pictures = self._run(scenes, windows, progress)
        except (StudioError, JobStopped):
            if not progress.is_over:
                raise
            return [progress.errors[number] for number in range(len(scenes))]
        return [
            progress.errors.get(number)
            or Painting(
                window.put_back(picture, composite.picture),
                composite.share,
                (f"diffusion x{scenes[0].steps}",),
            )
            for number, (window, picture, composite) in enumerate(
                zip(windows, pictures, composites, strict=True)
            )
        ]

    def _run(
        self, scenes: Sequence[Scene], windows: Sequence[Window], progress: "_Progress"
    ) -> list[Image.Image]:
        """The painted windows; each scene has a generator of its own."""
        import torch

        composites = [scene.required_composite() for scene in scenes]
        pairs = list(zip(windows, composites, strict=True))
        width, height = windows[0].size
        adapter_inputs = (
            {"ip_adapter_image": [square_garment(scene.garment, scene.mask) for scene in scenes]}
            if self.config.adapter
            else {}
        )
        with torch.inference_mode():
            progress.show(0)
            pictures: list[Image.Image] = self._pipeline(
                prompt=[PROMPT.format(CLOTHES[scene.category]) for scene in scenes],
                negative_prompt=[AVOIDED] * len(scenes),
                image=[window.cut(composite.picture) for window, composite in pairs],
                mask_image=[window.cut_mask(composite.share > 0) for window, composite in pairs],
                width=width,
                height=height,
                strength=self.config.strength,
                guidance_scale=self.config.guidance,
                num_inference_steps=schedule_length(scenes[0].steps, self.config.strength),
                generator=[torch.Generator("cpu").manual_seed(scene.seed) for scene in scenes],
                callback_on_step_end=progress.after_step,
                **adapter_inputs,
            ).images
        return pictures

    def _embed_garments(
        self, garments: list[Image.Image], _embeddings: None, device: Any, _count: int, guided: bool
    ) -> list[Any]:
        """Each scene's own garment; diffusers' method gives all scenes of a batch the same ones."""
        import torch
        from diffusers.models.embeddings import ImageProjection

        projection = self._pipeline.unet.encoder_hid_proj.image_projection_layers[0]
        is_pooled = isinstance(projection, ImageProjection)
        own, none = self._pipeline.encode_image(garments, device, 1, not is_pooled)
        return [torch.cat([none, own] if guided else [own])[:, None]]


class _Progress:
    """Tells the scenes of a call about its steps; `errors` of those that no longer want to know."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._scenes = scenes
        self.errors: dict[int, Exception] = {}

    @property
    def is_over(self) -> bool:
        """Whether no scene is wanted any more."""
        return len(self.errors) == len(self._scenes)

    def show(self, done: int) -> None:
        """Tells all scenes; raises where none is wanted any more."""
        for number, scene in enumerate(self._scenes):
            if number not in self.errors:
                try:
                    scene.on_step(done, scene.steps)
                except (StudioError, JobStopped) as error:
                    self.errors[number] = error
        if self.is_over:
            raise self.errors[0]

    def after_step(
        self, _pipeline: Any, step: int, _time: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """As `callback_on_step_end` of diffusers."""
        self.show(step + 1)
        return tensors


def schedule_length(steps: int, strength: float) -> int:
    """The shortest schedule of which diffusers runs `steps` steps: it skips the noisier part of a
    schedule, int(length * strength) steps remain.
    """
    return next(length for length in count(steps) if int(length * strength) >= steps)


def _version_of(config: PainterConfig, pipeline: Any) -> str:
    """The checkpoint's name, and the fingerprint of its weights, configurations and options."""
    parts = {name: part for name, part in pipeline.components.items() if hasattr(part, "config")}
    configs = {
        name: {key: str(part.config[key]) for key in dict(part.config) if key != "_name_or_path"}
        for name, part in parts.items()
        if hasattr(part.config, "items")
    }
    tensors = {
        f"{name}.{key}": tensor
        for name, part in parts.items()
        if hasattr(part, "state_dict")
        for key, tensor in part.state_dict().items()
    }
    options = [config.precision, config.side, config.strength, config.guidance, PROMPT, AVOIDED]
    adapter_scale = config.adapter_scale if config.adapter else None
    described = [type(pipeline).__name__, configs, options, adapter_scale]
    return f"{short_name(config.checkpoint)}-{fingerprint(tensors, described)}"


def load_painter(config: PainterConfig) -> Painter:
    """Loads the painter of a checkpoint."""
    if config.checkpoint == COMPOSITE:
        return CompositePainter()
    with naming_checkpoint(config.checkpoint):
        return BACKENDS[licence_of(config.checkpoint, "tryon").backend](config)


def load_diffusion(config: PainterConfig) -> Painter:
    """Loads an inpainting checkpoint of diffusers."""
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
            variant=find_variant(name, config.precision),
            local_files_only=Path(name).is_dir(),
        )
    if config.adapter:
        adapter = AdapterName.parse(config.adapter)
        with checkpoint_source(config.adapter, adapter.local_folder, config.pinning) as source:
            pipeline.load_ip_adapter(
                source if Path(source).is_dir() else adapter.repository,
                subfolder=adapter.folder,
                weight_name=adapter.file,
                image_encoder_folder=adapter.encoder,
            )
        pipeline.set_ip_adapter_scale(config.adapter_scale)
    pipeline.set_progress_bar_config(disable=True)
    return Diffusion(config, pipeline.to(device))


BACKENDS: Mapping[str, Callable[[PainterConfig], Painter]] = {"inpainting": load_diffusion}
"""The loader of a painter, by the backend that its entry in the registry names."""
