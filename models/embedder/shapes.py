"""The values that the embedder returns, and their packed form in tables and index files."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Shape (dim,), float32, unit length."""
View = tuple[float, float, float, float]
"""The part of a picture that is embedded: left, top, right, bottom, as shares of its sides."""


@dataclass(frozen=True)
class Embedding:
    """A unit vector and the fingerprint of the checkpoint that computed it."""

    version: str
    vector: Vector


def pack_vector(vector: Vector) -> bytes:
    """Unit vector, float32 (dim,) -> little-endian float16, as tables and index files store it."""
    return vector.astype("<f2").tobytes()


def unpack_vector(data: bytes) -> NDArray[np.float16]:
    """The inverse of `pack_vector`: float16, shape (dim,)."""
    return np.frombuffer(data, dtype="<f2").astype(np.float16)
