"""Prompts to masks by segment-anything's networks: encode a picture once, decode many times."""

# ruff: noqa: PLC0415 - torch is imported when a model is loaded; the configuration needs no torch

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from models.checkpoints.pins import NO_PINS, Pinning
from models.checkpoints.registry import require_licence
from models.checkpoints.weights import fingerprint, naming_checkpoint, short_name
from models.devices import Precision, select_device, torch_type
from models.segmenter.sam_checkpoint import (
    Acceptance,
    SamArchitecture,
    build,
    pixel_statistics,
    read_checkpoint,
)
from models.segmenter.shapes import Plane

if TYPE_CHECKING:
    import torch

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Square = tuple[Plane, tuple[int, int]]
"""A picture in the network's square, (3, side, side) float32, and its (height, width) in there."""


@dataclass(frozen=True)
class SamConfig:
    """The checkpoint to load, and the device and the precision that it runs with.

    checkpoint: "starter"; a folder with `sam_config.json`; a published file `sam_vit_b_….pth`, or
    a folder that holds one; or "hf-hub:owner/name/path/of/sam_vit_b_….pth". precision: of the
    picture's encoder; prompts and masks take little time, and segment-anything needs them in fp32.
    max_batch: how many pictures the encoder takes in one pass: on a GPU a few are faster together,
    but each takes about a gigabyte meanwhile.
    """

    checkpoint: str = "starter"
    precision: Precision = "fp32"
    device: str = "auto"
    threads: int = 1
    max_batch: int = 1
    allow_noncommercial: bool = False
    pinning: Pinning = NO_PINS


@dataclass(frozen=True)
class ImageEmbedding:
    """The encoder's output for a picture, which is the mask decoder's input.

    planes: (prompt_width, side, side), on the network's device and in its precision, where every
    prompt needs them. inner: (height, width) of the scaled picture inside of the network's square;
    the rest is padding.
    """

    planes: "torch.Tensor"
    inner: tuple[int, int]


@dataclass(frozen=True)
class Prompt:
    """The prompt of a cutout, in shares of the picture's width and height.

    points: (x, y), with labels 1 for inside and 0 for outside. box: (x0, y0, x1, y1). mask: a
    guess, (h, w) float32 in 0..1 over the whole picture.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    mask: Plane | None = None


@dataclass(frozen=True)
class Cutout:
    """A mask by SAM. probability: (h, w) float32 in 0..1 over the picture. iou: as SAM predicts."""

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

    def preprocess(self, image: Image.Image) -> Square:
        """A decoded RGB image -> (3, side, side) float32 with its longer side scaled to `side`,
        padded right and below; and (height, width) of the scaled picture.
        """
        scale = self.side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = np.asarray(small, np.float32)
        mean, deviation = pixel_statistics()
        square = np.zeros((3, self.side, self.side), np.float32)
        square[:, :height, :width] = ((pixels - mean) / deviation).transpose(2, 0, 1)
        return square, (height, width)

    def encode(self, square: Plane, inner: tuple[int, int]) -> ImageEmbedding:
        """Runs the image encoder, which is the expensive half and needed once for each picture."""
        return self.encode_all([(square, inner)])[0]

    def encode_all(self, squares: Sequence[Square]) -> list[ImageEmbedding]:
        """Runs the image encoder for many pictures, `max_batch` in one pass."""
        import torch

        embeddings: list[ImageEmbedding] = []
        for start in range(0, len(squares), self.config.max_batch):
            part = squares[start : start + self.config.max_batch]
            with torch.inference_mode():
                batch = torch.from_numpy(np.stack([square for square, _ in part]))
                planes = self._network.image_encoder(batch.to(self._device, self._dtype))
            # A copy each, so that one cached picture does not keep the whole batch in memory.
            embeddings += [
                ImageEmbedding(plane.clone(), inner)
                for plane, (_, inner) in zip(planes, part, strict=True)
            ]
        return embeddings

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Cutout]:
        """One mask for each prompt: the one with the highest predicted IoU.

        A single point is ambiguous: all of the decoder's masks compete for it. Other prompts take
        the first mask, as the package advises.
        """
        return [self._decode(embedding, prompt) for prompt in prompts]

    def warm_up(self) -> None:
        """Runs both halves once."""
        self.check()

    def check(self) -> None:
        """Runs the model on an empty picture; RuntimeError unless a finite mask comes out."""
        blank = np.zeros((3, self.side, self.side), np.float32)
        embedding = self.encode(blank, (self.side, self.side))
        cutout = self.decode(embedding, [Prompt(box=(0.2, 0.2, 0.8, 0.8))])[0]
        if not (np.isfinite(cutout.probability).all() and np.isfinite(cutout.iou)):
            raise RuntimeError(f"{self.version} returned a mask with non-finite values")

    def _decode(self, embedding: ImageEmbedding, prompt: Prompt) -> Cutout:
        import torch

        with torch.inference_mode():
            planes = embedding.planes[None].float()
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
            places = torch.from_numpy(np.array(prompt.points, np.float32) * scale)[None]
            kind = torch.tensor([prompt.labels], dtype=torch.int)
            points = (places.to(self._device), kind.to(self._device))
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


def load(config: SamConfig) -> SamModel:
    """Loads the checkpoint's network.

    Raises:
        SetupError: its licence does not allow commercial use, and the operator has not consented.
        ValueError, OSError: there is no such checkpoint, or its size is not one of the known ones.
    """
    require_licence(config.checkpoint, "sam", allow_noncommercial=config.allow_noncommercial)
    device = select_device(config.device, config.threads)
    with naming_checkpoint(config.checkpoint):
        architecture, acceptance, state = read_checkpoint(config.checkpoint, config.pinning)
        network = build(architecture)
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    network.eval().requires_grad_(False).to(device)
    network.image_encoder.to(torch_type(config.precision))
    return SamModel(config, network, architecture, acceptance)
