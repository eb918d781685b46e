"""Images and texts to unit vectors of one space, by any open_clip checkpoint."""

# ruff: noqa: PLC0415 - torch is imported when a model is loaded; the configuration needs no torch

import gzip
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from models.checkpoints.pins import NO_PINS, Pinning
from models.checkpoints.registry import require_licence
from models.checkpoints.weights import fingerprint, naming_checkpoint
from models.devices import Precision, select_device, torch_type
from models.embedder.malloc import retain_freed_memory
from models.embedder.sample_texts import sample_texts
from models.embedder.shapes import View
from models.embedder.source import open_clip_source
from models.images import decode_image

if TYPE_CHECKING:
    import torch
    from PIL import Image

    Transform = Callable[[Image.Image], torch.Tensor]

Vectors = NDArray[np.float32]
_Item = TypeVar("_Item")

_BYTE_TOKENS, _SPECIAL_TOKENS = 512, 2  # a byte-pair vocabulary has these besides its merges
_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 3e-2}


@dataclass(frozen=True)
class EmbedderConfig:
    """The checkpoint to load, and the device and the numbers that it runs with.

    checkpoint: "starter"; a folder in open_clip's published format ("local-dir:/path" or its
    path); "hf-hub:owner/name"; or open_clip's "architecture/tag". device: "auto" is CUDA if torch
    finds a GPU. threads: torch's threads within one operation, on the CPU only.
    """

    checkpoint: str = "starter"
    precision: Precision = "fp32"
    device: str = "auto"
    max_batch: int = 16
    threads: int = 1
    pinning: Pinning = NO_PINS
    allow_noncommercial: bool = False


class PictureReader:
    """Encoded pictures -> input of a checkpoint's network; needs no weights.

    side: the pixels of the shorter side of that input. is_cropped: whether the longer side is
    cropped to it; otherwise the whole picture is resized.
    """

    def __init__(self, transform: "Transform", visual: Any) -> None:
        """`visual`: open_clip's image network."""
        self._transform = transform
        self.side = int(np.min(visual.image_size))
        self.is_cropped = visual.preprocess_cfg.get("resize_mode") == "shortest"

    def read(self, data: bytes) -> Vectors:
        """An encoded picture -> (3, height, width) float32.

        Large JPEGs are decoded at a fraction of their size, down to twice the network's input.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
        """
        return self.read_with_view(data)[0]

    def read_with_view(self, data: bytes) -> tuple[Vectors, View]:
        """Like `read`, and the part of the picture that the pixels show."""
        picture = decode_image(data, shortest_side=2 * self.side)
        return self.preprocess(picture), self._view(*picture.size)

    def _view(self, width: int, height: int) -> View:
        if not self.is_cropped:
            return 0.0, 0.0, 1.0, 1.0
        short = min(width, height)
        x, y = (1 - short / width) / 2, (1 - short / height) / 2
        return x, y, 1 - x, 1 - y

    def preprocess(self, image: "Image.Image") -> Vectors:
        """A decoded, upright RGB image -> (3, height, width) float32."""
        return np.asarray(self._transform(image).numpy(), dtype=np.float32)


class Embedder:
    """A loaded checkpoint. Holds no state of a request; `reader` may be used in any thread.

    version: changes with any weight, the architecture, the preprocessing, what the tokenizer makes
    of a text, or the precision; not with the checkpoint's place or the libraries' releases.
    dim: the length of its vectors.
    """

    def __init__(
        self,
        config: EmbedderConfig,
        network: Any,
        transform: "Transform",
        tokenizer: "Callable[[list[str]], torch.Tensor]",
        architecture: dict[str, Any],
    ) -> None:
        self.config = config
        self._network = network
        self.reader = PictureReader(transform, network.visual)
        self._tokenize = tokenizer
        self._device = next(network.parameters()).device
        self._dtype = torch_type(config.precision)
        self.dim = int(architecture["embed_dim"])
        described = [
            architecture, network.visual.preprocess_cfg, _describe_tokenizer(tokenizer),
        ]  # fmt: skip
        digest = fingerprint(network.state_dict(), described)
        # Not the checkpoint's name: the same files in a folder of another name embed alike.
        self.version = f"{'starter' if config.checkpoint == 'starter' else 'openclip'}-{digest}"

    def preprocess(self, image: "Image.Image") -> Vectors:
        """A decoded, upright RGB image -> (3, height, width) float32, the network's input."""
        return self.reader.preprocess(image)

    def embed_images(self, pixels: Sequence[Vectors]) -> Vectors:
        """Preprocessed images -> (n, dim) float32 unit vectors; max_batch at a time."""
        return self._in_chunks(pixels, self._encode_pixels)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts in any script -> (n, dim) float32 unit vectors; long ones are truncated."""
        return self._in_chunks(texts, self._encode_texts)

    def warm_up(self) -> None:
        """Runs both towers on the largest batch and on a single item, before requests arrive."""
        for count in (self.config.max_batch, 1):
            self.embed_images([self._blank()] * count)
            self.embed_texts(["warm up"] * count)

    def check(self) -> None:
        """Runs the model on one image and one text.

        Raises:
            RuntimeError: a vector does not have unit length.
        """
        for vector in (self.embed_images([self._blank()])[0], self.embed_texts(["check"])[0]):
            length = float(np.linalg.norm(vector))
            if not abs(length - 1.0) < _TOLERANCE[self.config.precision]:  # also catches NaN
                raise RuntimeError(f"{self.version} gave a vector of length {length}")

    def _blank(self) -> Vectors:
        from PIL import Image

        return self.preprocess(Image.linear_gradient("L").convert("RGB"))

    def _in_chunks(
        self, items: Sequence[_Item], encode: "Callable[[Sequence[_Item]], torch.Tensor]"
    ) -> Vectors:
        import torch

        vectors = np.empty((len(items), self.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(items), self.config.max_batch):
                chunk = items[start : start + self.config.max_batch]
                encoded = torch.nn.functional.normalize(encode(chunk).float(), dim=-1)
                vectors[start : start + len(chunk)] = encoded.cpu().numpy()
        return vectors

    def _encode_pixels(self, pixels: Sequence[Vectors]) -> "torch.Tensor":
        import torch

        batch = torch.from_numpy(np.stack(pixels)).to(self._device, self._dtype)
        batch = batch.contiguous(memory_format=torch.channels_last)
        return cast("torch.Tensor", self._network.encode_image(batch))

    def _encode_texts(self, texts: Sequence[str]) -> "torch.Tensor":
        tokens = self._tokenize(list(texts)).to(self._device)
        _bound_cache(self._tokenize)
        return cast("torch.Tensor", self._network.encode_text(tokens))


def load(config: EmbedderConfig) -> Embedder:
    """Builds the checkpoint's networks with open_clip's factory and loads its weights.

    Raises:
        SetupError: its licence does not allow commercial use, and the operator has not consented;
            or it must be pinned and is not, or differs from the pin.
        ValueError, OSError, RuntimeError: there is no such checkpoint, or it has another format.
    """
    import open_clip
    import torch

    import models.embedder.backbone  # noqa: F401 - registers the starter's image network

    require_licence(config.checkpoint, "embedder", allow_noncommercial=config.allow_noncommercial)
    device = select_device(config.device, config.threads)
    if device == "cpu":
        retain_freed_memory()
    with (
        naming_checkpoint(config.checkpoint),
        open_clip_source(config.checkpoint, config.pinning) as (name, tag),
    ):
        network, transform = open_clip.create_model_from_pretrained(
            name, tag, precision=config.precision, device=device
        )
        architecture = open_clip.get_model_config(name)
        tokenizer = build_tokenizer(name, architecture)
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return Embedder(config, network, transform, tokenizer, architecture)


def load_reader(config: EmbedderConfig) -> PictureReader:
    """The checkpoint's reader as `load` builds it, without memory for its networks."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    import models.embedder.backbone  # noqa: F401 - registers the starter's image network

    with open_clip_source(config.checkpoint, config.pinning) as (name, tag):
        network = open_clip.create_model(
            name, tag, device="meta", load_weights=False, pretrained_text=False
        )
    visual: Any = network.visual
    transform = image_transform_v2(PreprocessCfg(**visual.preprocess_cfg), is_train=False)
    return PictureReader(transform, visual)


def build_tokenizer(
    name: str, architecture: dict[str, Any]
) -> "Callable[[list[str]], torch.Tensor]":
    """open_clip's tokenizer for this model; a small vocabulary means its first merges only."""
    import open_clip

    text = architecture["text_cfg"]
    size = int(text.get("vocab_size", 49408))
    if text.get("hf_tokenizer_name") or text.get("hf_model_name") or size >= 49408:
        return cast("Callable[[list[str]], torch.Tensor]", open_clip.get_tokenizer(name))
    with tempfile.TemporaryDirectory() as folder:
        merges = _write_first_merges(Path(folder), size - _BYTE_TOKENS - _SPECIAL_TOKENS)
        tokenizer = open_clip.get_tokenizer(name, bpe_path=str(merges))
    return cast("Callable[[list[str]], torch.Tensor]", tokenizer)


def _write_first_merges(folder: Path, count: int) -> Path:
    """The header and first `count` merges that open_clip ships, as a file of the same kind."""
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as whole:
        lines = [next(whole).rstrip("\n") for _ in range(count + 1)]
    path = folder / "merges.txt.gz"
    with gzip.open(path, "wt", encoding="utf-8") as part:
        part.write("\n".join(lines))
    return path


def _bound_cache(tokenizer: Any, most: int = 50_000) -> None:
    """open_clip's byte-pair tokenizer caches every word: clears the cache when it grows large."""
    words: dict[str, str] = getattr(tokenizer, "cache", {})
    if len(words) > most:
        special = {word: pieces for word, pieces in words.items() if word.startswith("<")}
        words.clear()
        words.update(special)


def _describe_tokenizer(tokenizer: Any) -> list[object]:
    """The values that determine a tokenizer's output.

    Of open_clip's byte-pair tokenizer: vocabulary, cleaning and context length. Of a Hugging Face
    tokenizer: the tokens of sample texts, because its vocabulary and its settings are written
    differently by other releases of transformers, without a change of the tokens.
    """
    kind = type(tokenizer).__name__
    if getattr(tokenizer, "tokenizer", None) is not None:
        return [kind, tokenizer(list(sample_texts())).tolist()]
    cleaning = getattr(tokenizer.clean_fn, "__name__", "none")
    return [kind, tokenizer.encoder, cleaning, tokenizer.context_length]
