"""The files of an index version in the blob store, under `indexes/{version}/`."""

import asyncio
from typing import Any

from models.index_files import IndexFiles, checksums, pack, unpack
from studio.ports import BlobStore


async def store_files(blobs: BlobStore, version: str, files: IndexFiles) -> dict[str, Any]:
    """Writes every file; returns their manifest: name -> size and SHA-256."""
    packed = await asyncio.to_thread(pack, files)
    for name, data in packed.items():
        await blobs.put(f"indexes/{version}/{name}", data, "application/octet-stream")
    return checksums(packed)


async def load_files(blobs: BlobStore, version: str, manifest: dict[str, Any]) -> IndexFiles:
    """Reads every file of the manifest.

    Raises:
        NotFound: a file is gone.
        Invalid: a checksum differs.
    """
    packed = {name: await blobs.get(f"indexes/{version}/{name}") for name in manifest}
    return await asyncio.to_thread(unpack, packed, manifest)
