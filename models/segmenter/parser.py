"""Pictures to class probabilities by a SegFormer of transformers, or by the starter's network."""

# ruff: noqa: PLC0415 - torch is imported when a model is loaded; the configuration needs no torch

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.checkpoints.pins import NO_PINS, Pinning, checkpoint_source
from models.checkpoints.registry import require_licence
from models.checkpoints.weights import checkpoint_folder, fingerprint, short_name
from models.devices import Precision, select_device, torch_type
from models.segmenter.atr import MIRRORED, NAMES
from models.segmenter.parsing import Parsing
from models.segmenter.shapes import Pixels

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ParserConfig:
    """The checkpoint to load, and the device and the options that it runs with.

    checkpoint: "starter"; a folder in transformers' published format ("local-dir:/path" or its
    path); or "hf-hub:owner/name". mirror: whether to average the results for a picture and its
    mirror image, which takes twice the time. threads: torch's threads, on the CPU only.
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
    size: (height, width) of the network's input; pictures are resized to it without regard to
    their proportions, as published SegFormer processors do.
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
        self._device = next(network.parameters()).device
        self._dtype = next(network.parameters()).dtype
        architecture = network.config.to_dict()
        architecture.pop("_name_or_path", None)  # the path says nothing about the network
        described = [architecture, processor, config.mirror, config.precision]
        digest = fingerprint(network.state_dict(), described)
        self.version = f"{short_name(config.checkpoint)}-{digest}"

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """A decoded, upright RGB image -> (3, height, width) float32, the network's input."""
        height, width = self.size
        small = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0) if (
            image.width >= width and image.height >= height
        ) else image.resize((width, height), Image.Resampling.BILINEAR)  # fmt: skip
        pixels = (np.asarray(small, np.float32) / 255 - self._mean) / self._deviation
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def probabilities(self, pixels: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Preprocessed images -> (18, height, width) float32 each, in `Atr`'s order, at the size of
        the network's input. The 18 probabilities of a pixel add up to 1; at most max_batch images
        run at once.
        """
        import torch

        results: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(pixels), self.config.max_batch):
                chunk = np.stack(pixels[start : start + self.config.max_batch])
                batch = torch.from_numpy(chunk).to(self._device, self._dtype)
                planes = self._run(batch)
                if self.config.mirror:
                    planes = (planes + self._run(batch.flip(-1))[:, self._mirrored].flip(-1)) / 2
                results += list(planes.cpu().numpy())
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
    from transformers import (
        PretrainedConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )
    from transformers.utils import logging

    from models.segmenter.parser_network import MODEL_TYPE, ConvParser

    require_licence(config.checkpoint, "parser", allow_noncommercial=config.allow_noncommercial)
    device = select_device(config.device, config.threads)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = checkpoint_folder(config.checkpoint, starter="parser")
    with checkpoint_source(config.checkpoint, folder, config.pinning) as name:
        described, _ = PretrainedConfig.get_config_dict(name)
        own = described.get("model_type") == MODEL_TYPE
        network: Any = (ConvParser if own else SegformerForSemanticSegmentation).from_pretrained(
            name, dtype=torch_type(config.precision)
        )
        order = _order_of(network.config.id2label)
        processor, _ = SegformerImageProcessor.get_image_processor_dict(name)
    network.eval().requires_grad_(False).to(device)
    return Parser(config, network, processor, order)


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
    """(height, width) of a processor's size, which has three formats."""
    if isinstance(size, int):
        return size, size
    if "shortest_edge" in size:
        return size["shortest_edge"], size["shortest_edge"]
    return size["height"], size["width"]
