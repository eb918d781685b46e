"""Prompts to masks by segment-anything's own networks: encode a picture once, decode many times."""

# ruff: noqa: PLC0415 - torch comes in when a model is loaded; the configuration alone stays cheap

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.checkpoints import require_licence
from models.devices import Precision, select_device, torch_type
from models.pins import NO_PINS, Pinning, pinned_folder
from models.weights import HUB_PREFIX, LOCAL_PREFIX, checkpoint_folder, fingerprint, short_name

Plane = NDArray[np.float32]
Point = tuple[float, float]
Box = tuple[float, float, float, float]

CONFIG_FILE, WEIGHTS_FILE = "sam_config.json", "model.safetensors"


@dataclass(frozen=True)
class SamArchitecture:
    """The sizes that `segment_anything.build_sam` fixes for its three checkpoints."""

    image_size: int = 1024
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    window: int = 14
    prompt_width: int = 256
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    iou_hidden: int = 256


@dataclass(frozen=True)
class Acceptance:
    """When a caller may rely on a cutout: it is sure of itself (the IoU that the network foretells)
    and agrees with the parser's mask (the IoU of both).
    `benchmarks/segmentation/sam_acceptance.py` finds them.
    """

    iou: float = 0.9
    agreement: float = 0.9


PUBLISHED: dict[str, SamArchitecture] = {
    "vit_b": SamArchitecture(),
    "vit_l": SamArchitecture(width=1024, depth=24, heads=16, global_layers=(5, 11, 17, 23)),
    "vit_h": SamArchitecture(width=1280, depth=32, heads=16, global_layers=(7, 15, 23, 31)),
}


@dataclass(frozen=True)
class SamConfig:
    """Which checkpoint, where and how it runs.

    checkpoint: "starter"; a folder with `sam_config.json`; a published file `sam_vit_b_….pth`, or
    a folder that holds one; or "hf-hub:owner/name/path/of/sam_vit_b_….pth". precision: of the
    picture's encoder; prompts and masks take little time, and segment-anything wants them in fp32.
    """

    checkpoint: str = "starter"
    precision: Precision = "fp32"
    device: str = "auto"
    threads: int = 1
    allow_noncommercial: bool = False
    pinning: Pinning = NO_PINS


@dataclass(frozen=True)
class Embedding:
    """A picture as the decoder sees it: (prompt_width, side, side) float32, and its shape inside
    the network's square: (height, width) of the scaled picture; what is beyond is padding.
    """

    planes: Plane
    inner: tuple[int, int]


@dataclass(frozen=True)
class Prompt:
    """What to cut out, in shares of the picture's width and height.

    points: (x, y), with labels 1 for inside and 0 for outside. box: (x0, y0, x1, y1). mask: a
    guess, (h, w) float32 in 0..1 over the whole picture.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    mask: Plane | None = None


@dataclass(frozen=True)
class Cutout:
    """probability: (h, w) float32 in 0..1 over the picture; iou: what the network thinks of it."""

    probability: Plane
    iou: float


class SamModel:
    """A loaded checkpoint; holds no state of a picture, unlike `SamPredictor`."""

    def __init__(
        self, config: SamConfig, network: Any, architecture: SamArchitecture,
        acceptance: Acceptance,
    ) -> None:  # fmt: skip
        self.config, self.side, self.acceptance = config, architecture.image_size, acceptance
        self._network = network
        self._device = next(network.parameters()).device
        self._dtype = next(network.image_encoder.parameters()).dtype
        described = [asdict(architecture), asdict(acceptance), config.precision]
        digest = fingerprint(network.state_dict(), described)
        self.version = f"{short_name(config.checkpoint)}-{digest}"

    def preprocess(self, image: Image.Image) -> tuple[Plane, tuple[int, int]]:
        """A decoded RGB image -> (3, side, side) float32 with its longer side scaled to `side`,
        padded right and below; and (height, width) of the scaled picture.
        """
        scale = self.side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.asarray(small, np.float32)
        mean, spread = pixel_statistics()
        square = np.zeros((3, self.side, self.side), np.float32)
        square[:, :height, :width] = ((pixels - mean) / spread).transpose(2, 0, 1)
        return square, (height, width)

    def encode(self, square: Plane, inner: tuple[int, int]) -> Embedding:
        """The expensive half, once a picture."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(square)[None].to(self._device, self._dtype)
            planes = self._network.image_encoder(batch)[0].float().cpu().numpy()
        return Embedding(planes, inner)

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Cutout]:
        """One mask a prompt: the one of the decoder's masks that it thinks best of.

        A prompt of a single point is ambiguous, so that all of the decoder's masks compete; else
        the first one, as the package advises.
        """
        return [self._decode(embedding, prompt) for prompt in prompts]

    def warm_up(self) -> None:
        """Run both halves once."""
        self.check()

    def check(self) -> None:
        """Run the model on an empty picture; RuntimeError unless a finite mask comes out."""
        blank = np.zeros((3, self.side, self.side), np.float32)
        embedding = self.encode(blank, (self.side, self.side))
        cutout = self.decode(embedding, [Prompt(box=(0.2, 0.2, 0.8, 0.8))])[0]
        if not (np.isfinite(cutout.probability).all() and np.isfinite(cutout.iou)):
            raise RuntimeError(f"{self.version} gave a mask that is no number")

    def _decode(self, embedding: Embedding, prompt: Prompt) -> Cutout:
        import torch

        with torch.inference_mode():
            planes = torch.from_numpy(embedding.planes)[None].to(self._device)
            points, box, mask = self._encode_prompt(prompt, embedding.inner)
            sparse, dense = self._network.prompt_encoder(points=points, boxes=box, masks=mask)
            alone = len(prompt.points) == 1 and prompt.box is None and prompt.mask is None
            masks, ious = self._network.mask_decoder(
                image_embeddings=planes,
                image_pe=self._network.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=alone,
            )
            best = int(ious[0].argmax())
            height, width = (max(1, round(n / self.side * masks.shape[-1]))
                             for n in embedding.inner)  # fmt: skip
            plane = masks[0, best, :height, :width].float().sigmoid().cpu().numpy()
        return Cutout(plane, float(ious[0, best]))

    def _encode_prompt(self, prompt: Prompt, inner: tuple[int, int]) -> tuple[Any, Any, Any]:
        """Shares of the picture to pixels of the square, and a guess to the decoder's logits."""
        import torch

        scale = np.array([inner[1], inner[0]], np.float32)
        points = box = mask = None
        if prompt.points:
            at = torch.from_numpy(np.array(prompt.points, np.float32) * scale)[None]
            kind = torch.tensor([prompt.labels], dtype=torch.int)
            points = (at.to(self._device), kind.to(self._device))
        if prompt.box is not None:
            corners = np.array(prompt.box, np.float32).reshape(2, 2) * scale
            box = torch.from_numpy(corners.reshape(1, 4)).to(self._device)
        if prompt.mask is not None:
            side = 4 * self._network.prompt_encoder.image_embedding_size[0]
            logits = np.full((side, side), -8.0, np.float32)
            height, width = (max(1, round(n / self.side * side)) for n in inner)
            small = Image.fromarray(prompt.mask).resize((width, height), Image.Resampling.BOX)
            logits[:height, :width] = (np.asarray(small) - 0.5) * 16.0
            mask = torch.from_numpy(logits)[None, None].to(self._device)
        return points, box, mask


def build(architecture: SamArchitecture) -> Any:
    """The network of these sizes, untrained: segment-anything's classes put together as its own
    builder does, which fixes the sizes.
    """
    from functools import partial

    import torch
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    a = architecture
    side = a.image_size // a.patch
    mean, spread = pixel_statistics()
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=a.depth, embed_dim=a.width, img_size=a.image_size, mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), num_heads=a.heads,
            patch_size=a.patch, qkv_bias=True, use_rel_pos=True,
            global_attn_indexes=a.global_layers, window_size=a.window, out_chans=a.prompt_width,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=a.prompt_width, image_embedding_size=(side, side),
            input_image_size=(a.image_size, a.image_size), mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=a.decoder_depth, embedding_dim=a.prompt_width, mlp_dim=a.decoder_mlp,
                num_heads=a.decoder_heads,
            ),
            transformer_dim=a.prompt_width, iou_head_depth=3, iou_head_hidden_dim=a.iou_hidden,
        ),
        pixel_mean=mean.tolist(), pixel_std=spread.tolist(),
    )  # fmt: skip


def load(config: SamConfig) -> SamModel:
    """Read the checkpoint's network, or raise.

    Raises:
        SetupError: its licence does not allow commercial use and nobody said that's all right.
        ValueError, OSError: there is no such checkpoint, or it is of none of the known sizes.
    """
    require_licence(config.checkpoint, "sam", allow_noncommercial=config.allow_noncommercial)
    device = select_device(config.device, config.threads)
    architecture, acceptance, state = _read(config)
    network = build(architecture)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    network.eval().requires_grad_(False).to(device)
    network.image_encoder.to(torch_type(config.precision))
    return SamModel(config, network, architecture, acceptance)


def _read(config: SamConfig) -> tuple[SamArchitecture, Acceptance, dict[str, Any]]:
    """A checkpoint's sizes, when to rely on it, and its tensors, in either format."""
    import torch

    from models.weights import read_tensors

    with _source(config) as path:
        if path.is_dir() and (path / CONFIG_FILE).exists():
            sizes = json.loads((path / CONFIG_FILE).read_text())
            sizes["global_layers"] = tuple(sizes["global_layers"])
            acceptance = Acceptance(**sizes.pop("acceptance", {}))
            return SamArchitecture(**sizes), acceptance, read_tensors(path / WEIGHTS_FILE)
        file = next(iter(sorted(path.glob("sam_vit_*.pth"))), path) if path.is_dir() else path
        for name, architecture in PUBLISHED.items():
            if file.name.startswith(f"sam_{name}"):
                state = torch.load(file, map_location="cpu", weights_only=True)
                return architecture, Acceptance(), state
    raise ValueError(
        f"{config.checkpoint!r} holds no {CONFIG_FILE} and no sam_vit_b, _l or _h .pth file"
    )


@contextmanager
def _source(config: SamConfig) -> Iterator[Path]:
    """Where a checkpoint's files are on this machine; a hub's file is fetched."""
    folder = checkpoint_folder(config.checkpoint, starter="sam")
    if folder is not None:
        yield folder
        return
    if not config.checkpoint.startswith(HUB_PREFIX):
        yield Path(config.checkpoint.removeprefix(LOCAL_PREFIX))
        return
    owner, name, file = config.checkpoint.removeprefix(HUB_PREFIX).split("/", 2)
    with pinned_folder(config.checkpoint, config.pinning) as pinned:
        if pinned is not None:
            yield pinned / file
            return
        from huggingface_hub import hf_hub_download

        yield Path(hf_hub_download(f"{owner}/{name}", file))


def pixel_statistics() -> tuple[Plane, Plane]:
    """segment-anything's mean and spread of RGB in 0..255, (3,) float32 each."""
    mean = np.array([123.675, 116.28, 103.53], np.float32)
    return mean, np.array([58.395, 57.12, 57.375], np.float32)
