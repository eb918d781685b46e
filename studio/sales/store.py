"""Stores merchants' regressors as blobs under `regressors/{version}/`, and caches loaded ones."""

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import Executor
from typing import Any

from errors import Invalid
from models.sales.files import NAMES, Files, Manifest, manifest_of, read_regressor
from models.sales.regressor import Regressor, RegressorConfig
from models.sales.shapes import TrainedVersion
from studio.context import shared_task
from studio.ports import BlobStore

CONTENT_TYPE = "application/octet-stream"


async def store_regressor(blobs: BlobStore, version: str, files: Files) -> Manifest:
    """Writes every file to the blob store; returns the manifest, for the version's row."""
    for name, data in files.items():
        await blobs.put(f"regressors/{version}/{name}", data, CONTENT_TYPE)
    return manifest_of(files)


async def fetch_regressor(
    blobs: BlobStore, model: TrainedVersion, config: RegressorConfig, executor: Executor | None
) -> Regressor:
    """Reads and verifies every file, then builds the regressor in the executor.

    Raises:
        NotFound: a file is missing.
        Invalid: a file does not match the manifest, or can't be read.
    """
    files: Files = {}
    for name in NAMES:
        data = await blobs.get(f"regressors/{model.version}/{name}")
        if not _is_whole(data, model.manifest.get(name, {})):
            raise Invalid(f"the files of regressor {model.version} are damaged: {name}")
        files[name] = data
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(executor, read_regressor, model.version, files, config)
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"regressor {model.version} can't be read: train it again") from error


def _is_whole(data: bytes, expected: Any) -> bool:
    return bool(expected == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})


class RegressorCache:
    """The most recently used regressors; concurrent requests for the same version load it once.

    A version never changes, so an entry is never out of date.
    """

    def __init__(
        self, blobs: BlobStore, config: RegressorConfig, executor: Executor, *, most: int
    ) -> None:
        self._blobs = blobs
        self._config = config
        self._executor = executor
        self._most = most
        self._loads: OrderedDict[str, asyncio.Task[Regressor]] = OrderedDict()

    @property
    def loaded(self) -> list[str]:
        """The loaded versions, the least recently used first."""
        return list(self._loads)

    async def get(self, model: TrainedVersion) -> Regressor:
        """Returns the regressor of a version; it is loaded if it is not in the cache.

        Raises:
            NotFound, Invalid, Unavailable: see `fetch_regressor`; the next call tries again.
        """
        load = self._loads.get(model.version)
        if load is None or (load.done() and (load.cancelled() or load.exception())):
            work = fetch_regressor(self._blobs, model, self._config, self._executor)
            load = self._loads[model.version] = shared_task(work, name="load-regressor")
        self._loads.move_to_end(model.version)
        while len(self._loads) > self._most:
            self._loads.popitem(last=False)
        return await asyncio.shield(load)
