"""Random weights with the shapes and names of a network that is built without memory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

SPREAD = 0.02
POOL = 16_777_213
"""So many normal numbers are drawn and repeated; a prime, so that rows of a matrix differ."""
SAMPLED = 64

Tensors = dict[str, torch.Tensor]


def on_meta(build: Callable[[], Any]) -> Any:
    """A module whose parameters have shapes but take no memory."""
    with torch.device("meta"):
        return build()


class Weights:
    """Draws state dicts: matrices normal, norms' scales 1, biases 0, as in an untrained network.

    device: where the numbers are drawn; state dicts are on the CPU, ready to be written.
    """

    def __init__(self, dtype: torch.dtype, device: str = "cpu", pool: int = POOL) -> None:
        generator = torch.Generator(device).manual_seed(0)
        numbers = torch.empty(pool, device=device).normal_(0, SPREAD, generator=generator)
        self._dtype, self._pool, self._at = dtype, numbers.to("cpu", dtype), 0

    def of(self, shapes: Mapping[str, torch.Tensor]) -> Tensors:
        """Draws a tensor for each entry of a state dict that has only shapes."""
        return {name: self._drawn(name, shape) for name, shape in shapes.items()}

    def _drawn(self, name: str, like: torch.Tensor) -> torch.Tensor:
        if not like.is_floating_point():
            steps = torch.arange(like.numel(), dtype=like.dtype).reshape(like.shape)
            return steps if name.endswith("position_ids") else torch.zeros_like(steps)
        if like.dim() <= 1:
            is_scale = name.endswith(("weight", "running_var"))
            return torch.full(like.shape, float(is_scale), dtype=self._dtype)
        return self._take(like.numel()).reshape(like.shape)

    def _take(self, count: int) -> torch.Tensor:
        """The next `count` numbers of the pool, which starts again at its end."""
        size = len(self._pool)
        first = self._pool[self._at :][:count]
        whole, rest = divmod(count - len(first), size)
        self._at = (self._at + count) % size
        return torch.cat([first, *[self._pool] * whole, self._pool[:rest]])


def sample_sum(tensors: Mapping[str, torch.Tensor]) -> float:
    """A sum that shows whether loaded weights are the written ones, whatever their names are."""
    parts = [tensor.detach().flatten()[:SAMPLED] for tensor in tensors.values()]
    return float(torch.cat([part.float() for part in parts]).double().abs().sum())


def save_diffusers(network: Any, weights: Weights, folder: Path) -> float:
    """Writes a diffusers network as `save_pretrained` does; returns its `sample_sum`."""
    from safetensors.torch import save_file

    network.save_config(folder)
    state = weights.of(network.state_dict())
    save_file(state, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    return sample_sum(state)


def save_transformers(network: Any, weights: Weights, folder: Path) -> float:
    """Writes a transformers network in its published format; returns its `sample_sum`."""
    state = weights.of(network.state_dict())
    written = sample_sum(state)
    network.save_pretrained(folder, state_dict=state, max_shard_size="50GB")  # it empties `state`
    return written


def save_text_encoder(network: Any, weights: Weights, folder: Path) -> float:
    """As `save_transformers`, with older published names, which transformers 5 only reads."""
    from safetensors.torch import save_file

    state = weights.of(network.state_dict())
    named = {
        name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}": each
        for name, each in state.items()
    }
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(folder)
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    return sample_sum(state)
