"""Pictures to class probabilities by the starter's network, a SegFormer, or SCHP."""

# ruff: noqa: PLC0415 - torch is imported when a model is loaded; the configuration needs no torch

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.checkpoints.pins import NO_PINS, Pinning, checkpoint_source
from models.checkpoints.registry import require_licence
from models.checkpoints.single_file import open_single_file
from models.checkpoints.weights import (
    checkpoint_folder,
    fingerprint,
    naming_checkpoint,
    short_name,
)
from models.devices import Precision, select_device, torch_type
from models.segmenter.atr import MIRRORED, NAMES
from models.segmenter.parsing import Parsing
from models.segmenter.shapes import Pixels

if TYPE_CHECKING:
    import torch

SCHP_FILE = re.compile(r"(^|[/:])exp-schp-[^/]+\.pth$")
"""The names that SCHP's authors give to their files."""
SCHP_PROCESSOR: dict[str, Any] = {
    "size": {"longest_edge": 512},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


@dataclass(frozen=True)
class ParserConfig:
    """The checkpoint to load, and the device and the options that it runs with.

    checkpoint: "starter"; a folder in transformers' published format ("local-dir:/path" or its
    path); "hf-hub:owner/name"; or SCHP's published file `exp-schp-….pth`, by its path or as
    "hf-hub:owner/name/path/of/exp-schp-….pth". mirror: whether to average the results for a
    picture and its mirror image, which takes twice the time. threads: torch's threads, on the CPU
    only.
    """

    checkpoint: str = "starter"
    precision: Precision = "fp32"
    device: str = "auto"
    max_batch: int = 8
    threads: int = 1
    mirror: bool = True
    allow_noncommercial: bool = False
    pinning: Pinning = NO_PINS


class Parser:
    """A loaded checkpoint. Holds no state of a request; `preprocess` may run in any thread.

    version: changes with any weight, the architecture, the preprocessing or the precision.
    size: (height, width) of the network's input. Pictures are resized to it without regard to
    their proportions, as published SegFormer processors do; or, where the processor's size is a
    longest edge, with their proportions, and padded with black.
    """

    def __init__(
        self, config: ParserConfig, network: Any, processor: dict[str, Any], order: list[int]
    ) -> None:
        import torch

        self.config = config
        self._network = network
        self._order = torch.tensor(order)
        self._mirrored = torch.tensor(MIRRORED)
        self._mean = np.array(processor["image_mean"], np.float32)
        self._deviation = np.array(processor["image_std"], np.float32)
        self.size = _read_size(processor["size"])
        size = processor["size"]
        self._has_padding = isinstance(size, dict) and "longest_edge" in size
        self._device = next(network.parameters()).device
        self._dtype = next(network.parameters()).dtype
        architecture = network.config.to_dict()
        architecture.pop("_name_or_path", None)  # the path says nothing about the network
        described = [architecture, processor, config.mirror, config.precision]
        digest = fingerprint(network.state_dict(), described)
        self.version = f"{short_name(config.checkpoint)}-{digest}"

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """A decoded, upright RGB image -> (3, height, width) float32, the network's input without
        its padding.
        """
        height, width = self.size
        if self._has_padding:
            scale = height / max(image.size)
            width, height = (max(1, round(length * scale)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0) if (
            image.width >= width and image.height >= height
        ) else image.resize((width, height), Image.Resampling.BILINEAR)  # fmt: skip
        pixels = (np.asarray(small, np.float32) / 255 - self._mean) / self._deviation
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def probabilities(self, pixels: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Preprocessed images -> (18, height, width) float32 each, in `Atr`'s order, with the
        height and width of the preprocessed image. The 18 probabilities of a pixel add up to 1; at
        most max_batch images run at once.
        """
        import torch

        results: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(pixels), self.config.max_batch):
                chunk = pixels[start : start + self.config.max_batch]
                stack = np.stack([self._pad(each) for each in chunk])
                batch = torch.from_numpy(stack).to(self._device, self._dtype)
                planes = self._run(batch)
                if self.config.mirror:
                    planes = (planes + self._run(batch.flip(-1))[:, self._mirrored].flip(-1)) / 2
                padded = planes.cpu().numpy()
                results += [self._crop(*pair) for pair in zip(padded, chunk, strict=True)]
        return results

    def parse(self, image: Pixels) -> Parsing:
        """One picture (H, W, 3) uint8 RGB -> its `Parsing`."""
        height, width = image.shape[:2]
        pixels = self.preprocess(Image.fromarray(image))
        return Parsing(self.probabilities([pixels])[0], height, width)

    def warm_up(self) -> None:
        """Runs the largest batch and a single picture before the first request does."""
        blank = np.zeros((3, *self.size), np.float32)
        for count in (self.config.max_batch, 1):
            self.probabilities([blank] * count)

    def check(self) -> None:
        """Runs the model on one picture; RuntimeError unless the probabilities add up to 1."""
        total = self.probabilities([np.zeros((3, *self.size), np.float32)])[0].sum(axis=0)
        if not float(np.abs(total - 1.0).max()) < 1e-2:  # also catches NaN
            raise RuntimeError(f"{self.version} gave probabilities that do not add up to 1")

    def _pad(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(3, h, w) -> (3, *size), the picture in the middle of black."""
        if pixels.shape[1:] == self.size:
            return pixels
        square = np.empty((3, *self.size), np.float32)
        square[:] = (-self._mean / self._deviation)[:, None, None]
        self._crop(square, pixels)[:] = pixels
        return square

    def _crop(
        self, planes: NDArray[np.float32], pixels: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """A view of the part of (n, *size) planes where `_pad` puts the pixels."""
        height, width = pixels.shape[1:]
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        return planes[:, top : top + height, left : left + width]

    def _run(self, batch: "torch.Tensor") -> "torch.Tensor":
        """(n, 3, h, w) -> (n, 18, h, w) float32; logits are enlarged before the softmax."""
        import torch

        logits = self._network(pixel_values=batch).logits.float()[:, self._order]
        large = torch.nn.functional.interpolate(
            logits, batch.shape[-2:], mode="bilinear", align_corners=False
        )
        return large.softmax(dim=1)


def load(config: ParserConfig) -> Parser:
    """Loads the checkpoint's network and processor.

    Raises:
        SetupError: its licence does not allow commercial use, and the operator has not consented.
        ValueError: it lacks some of ATR's classes.
        OSError: there is no such checkpoint.
    """
    from transformers.utils import logging

    require_licence(config.checkpoint, "parser", allow_noncommercial=config.allow_noncommercial)
    device = select_device(config.device, config.threads)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    read = _read_schp if SCHP_FILE.search(config.checkpoint) else _read_transformers
    with naming_checkpoint(config.checkpoint):
        network, processor = read(config)
    order = _order_of(network.config.id2label)
    network.eval().requires_grad_(False).to(device, torch_type(config.precision))
    return Parser(config, network, processor, order)


def _read_transformers(config: ParserConfig) -> tuple[Any, dict[str, Any]]:
    """The network and the processor of a folder or repository in transformers' format."""
    from transformers import (
        PretrainedConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    from models.segmenter.parser_network import MODEL_TYPE, ConvParser

    folder = checkpoint_folder(config.checkpoint, starter="parser")
    with checkpoint_source(config.checkpoint, folder, config.pinning) as name:
        architecture, _ = PretrainedConfig.get_config_dict(name)
        own = architecture.get("model_type") == MODEL_TYPE
        network: Any = (ConvParser if own else SegformerForSemanticSegmentation).from_pretrained(
            name, dtype=torch_type(config.precision)
        )
        processor, _ = SegformerImageProcessor.get_image_processor_dict(name)
    return network, processor


def _read_schp(config: ParserConfig) -> tuple[Any, dict[str, Any]]:
    """The network of SCHP's published file, and the preprocessing that it was trained with."""
    from models.segmenter.schp_network import load_schp

    with open_single_file(
        config.checkpoint, config.pinning, starter="parser", example="exp-schp-….pth"
    ) as path:
        return load_schp(path), SCHP_PROCESSOR


def _order_of(labels: dict[int, str]) -> list[int]:
    """The checkpoint's channel of each class of `Atr`.

    Raises:
        ValueError: a class has no channel.
    """
    channels = {label.lower().replace("_", "-"): channel for channel, label in labels.items()}
    missing = [name for name in NAMES if name.lower() not in channels]
    if missing:
        raise ValueError(f"the parser's checkpoint has no class {', '.join(missing)}")
    return [channels[name.lower()] for name in NAMES]


def _read_size(size: dict[str, int] | int) -> tuple[int, int]:
    """(height, width) of a processor's size, which has four formats."""
    if isinstance(size, int):
        return size, size
    for edge in ("shortest_edge", "longest_edge"):
        if edge in size:
            return size[edge], size[edge]
    return size["height"], size["width"]
