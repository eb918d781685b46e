"""The protocols of the deployments and the blob store, and `Studio`, which has one of each."""

from studio.ports.blobs import BlobStore
from studio.ports.deployments import Dispatcher, Index, Regressor, Segmenter, TryOn
from studio.ports.embedder import Embedder
from studio.ports.studio import ABSENT, Absent, Studio

__all__ = [
    "ABSENT",
    "Absent",
    "BlobStore",
    "Dispatcher",
    "Embedder",
    "Index",
    "Regressor",
    "Segmenter",
    "Studio",
    "TryOn",
]
