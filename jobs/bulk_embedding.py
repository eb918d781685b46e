"""Embeds many pictures with Ray Data: ranges of ids -> actors that fetch and decode -> models.

It is an alternative to the Embedder deployment in `studio.index.embed`. Searches then keep the
deployment to themselves, and every GPU of the cluster gets a model. As models take time to start,
small numbers of pictures still go to the deployment.
"""

# ruff: noqa: PLC0415 - Ray Data loads pandas and pyarrow, which only a large rebuild needs

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from PIL import Image
from ray.exceptions import RayError

from db.embeddings import MissingVectors, ProductPicture, list_pictures, list_ranges
from db.engine import Database
from errors import StudioError, Unavailable
from integrations.blobs.store import open_blob_store
from models.devices import granted_device
from models.embedder.embedder import EmbedderConfig, load, load_reader
from models.embedder.shapes import pack_vector
from settings import load_settings
from studio.index.embed import EmbeddingTask, PictureResult, embed_by_deployment
from studio.ports import Studio
from studio.telemetry.logs import configure_logging

Columns = dict[str, NDArray[Any]]
"""A batch between stages: `id`, `sha256`, `error` ("" for none), and `pixels` or `vector`."""

log = structlog.get_logger("studio.embedder")


@dataclass(frozen=True)
class BulkEmbeddingArgs:
    """The capacity that a large rebuild may use in the cluster, beside the CPUs of its job.

    Attributes:
        from_pictures: smaller numbers of pictures go to the Embedder deployment.
        batch: pictures that are read, embedded and written together.
        readers, reader_cpus: processes that fetch and decode, and the CPUs of each.
        models, model_cpus, model_gpus: the largest number of models, and the CPUs and GPUs of each.
        max_batch, threads: as in the Embedder deployment.
        in_flight_mb: decoded pictures that may wait between the stages.
        niceness: the `nice` value of readers and of models on a CPU, so that serving comes first.
    """

    from_pictures: int = 2000
    batch: int = 64
    readers: int = 1
    reader_cpus: float = 1.0
    models: int = 1
    model_cpus: float = 1.0
    model_gpus: float = 0.0
    max_batch: int = 16
    threads: int = 1
    in_flight_mb: int = 192
    niceness: int = 5


@dataclass(frozen=True)
class BulkEmbedding:
    """A `studio.index.embed.Source`: Ray Data for many pictures, the Embedder for few."""

    args: BulkEmbeddingArgs
    embedder: EmbedderConfig

    async def __call__(
        self, studio: Studio, task: EmbeddingTask
    ) -> AsyncGenerator[list[PictureResult], None]:
        """Yields batches in the order in which they are finished.

        Raises:
            Unavailable: a stage failed; the next attempt embeds the missing pictures.
        """
        few = task.total < self.args.from_pictures
        stream = (
            embed_by_deployment(studio, task) if few else self._embed_many(studio, task.missing)
        )
        async with aclosing(stream) as batches:
            async for batch in batches:
                yield batch

    async def _embed_many(
        self, studio: Studio, missing: MissingVectors
    ) -> AsyncGenerator[list[PictureResult], None]:
        async with studio.database.transaction() as session:
            ranges = await list_ranges(session, missing, self.args.batch)
        batches = await asyncio.to_thread(open_stream, self.embedder, missing, ranges, self.args)
        async with aclosing(iterate_in_thread(batches)) as stream:
            async for columns in stream:
                yield read_rows(columns)


async def iterate_in_thread(batches: Iterator[Columns]) -> AsyncGenerator[Columns, None]:
    """Yields a blocking iterator's items; when the generator ends, no call of `next` is running."""
    pending: asyncio.Future[Columns | None] | None = None
    try:
        while True:
            pending = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
            columns = await asyncio.shield(pending)
            if columns is None:
                return
            yield columns
    except RayError as error:
        raise Unavailable(f"pictures can't be embedded: {first_cause(error)}") from error
    finally:
        if pending is not None and not pending.done():
            await asyncio.wait({pending})


def first_cause(error: RayError) -> str:
    """The message of the studio's error inside Ray's wrapper, else the name of Ray's error."""
    cause = getattr(error, "cause", error)
    return cause.detail if isinstance(cause, StudioError) else type(cause).__name__


def open_stream(
    embedder: EmbedderConfig,
    missing: MissingVectors,
    ranges: list[tuple[str, str]],
    args: BulkEmbeddingArgs,
) -> Iterator[Columns]:
    """Starts the stages; returns finished batches, with at most `in_flight_mb` computed ahead."""
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext, ExecutionResources

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True
    context.execution_options.resource_limits = ExecutionResources(
        object_store_memory=args.in_flight_mb * 2**20
    )
    items = [{"first": first, "last": last} for first, last in ranges]
    pixels = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        ReadPictures,
        batch_size=1,
        compute=ActorPoolStrategy(size=args.readers),
        num_cpus=args.reader_cpus,
        fn_constructor_args=(embedder, missing, args),
    )
    vectors = pixels.map_batches(
        EmbedPictures,
        batch_size=args.batch,  # Ray Data demands one where GPUs are granted
        compute=ActorPoolStrategy(min_size=1, max_size=args.models),
        num_cpus=args.model_cpus,
        num_gpus=args.model_gpus,
        fn_constructor_args=(embedder, missing, args),
    )
    return iter(vectors.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0))


def read_rows(columns: Columns) -> list[PictureResult]:
    """Converts a batch of the last stage to results of `studio.index.embed`."""
    rows = zip(columns["id"], columns["sha256"], columns["error"], columns["vector"], strict=True)
    return [
        PictureResult(str(name), str(sha256), error=str(error))
        if error
        else PictureResult(str(name), str(sha256), pack_vector(vector))
        for name, sha256, error, vector in rows
    ]


class ReadPictures:
    """A process that fetches and decodes; it keeps its connections and its decoder."""

    def __init__(
        self, embedder: EmbedderConfig, missing: MissingVectors, args: BulkEmbeddingArgs
    ) -> None:
        os.nice(args.niceness)
        self._settings = load_settings()
        self._missing = missing
        self._loop = asyncio.new_event_loop()
        self._reader = load_reader(embedder)
        self._shape = self._reader.preprocess(Image.new("RGB", (8, 8))).shape
        self._database = Database(self._settings.secret("database_url"), pool_size=1)
        self._blobs = self._loop.run_until_complete(self._open_blobs())

    def __call__(self, batch: Columns) -> Columns:
        """Decodes the pictures of one range that have no vector; unreadable pictures are black."""
        first, last = str(batch["first"][0]), str(batch["last"][0])
        pictures, contents = self._loop.run_until_complete(self._fetch(first, last))
        pixels = np.zeros((len(pictures), *self._shape), np.float32)
        errors = [""] * len(pictures)
        for place, content in enumerate(contents):
            try:
                if isinstance(content, StudioError):
                    raise content
                pixels[place] = self._reader.read(content)
            except StudioError as error:
                if error.retryable:  # the studio failed, not the picture
                    raise
                errors[place] = error.detail
        return {
            "id": np.array([picture.product_id for picture in pictures], dtype=np.str_),
            "sha256": np.array([picture.image_sha256 for picture in pictures], dtype=np.str_),
            "error": np.array(errors, dtype=np.str_),
            "pixels": pixels,
        }

    async def _open_blobs(self) -> Any:
        return open_blob_store(self._settings)

    async def _fetch(
        self, first: str, last: str
    ) -> tuple[list[ProductPicture], list[bytes | StudioError]]:
        async with self._database.transaction() as session:
            pictures = await list_pictures(session, self._missing, first, last)
        contents = await asyncio.gather(*(self._get(picture.image_key) for picture in pictures))
        return pictures, list(contents)

    async def _get(self, key: str) -> bytes | StudioError:
        try:
            data: bytes = await self._blobs.get(key)
        except StudioError as error:
            return error
        return data


class EmbedPictures:
    """A process with a copy of the Embedder's model."""

    def __init__(
        self, embedder: EmbedderConfig, missing: MissingVectors, args: BulkEmbeddingArgs
    ) -> None:
        if not args.model_gpus:
            os.nice(args.niceness)
        self._logs = configure_logging()
        # Ray does not hide a node's other GPUs from a task without a share.
        device = granted_device(embedder.device if args.model_gpus else "cpu", args.model_gpus)
        self._model = load(
            replace(embedder, device=device, max_batch=args.max_batch, threads=args.threads)
        )
        self._model.warm_up()
        self._version = missing.embedder_version

    def __call__(self, batch: Columns) -> Columns:
        """Embeds pixels to float32 vectors, shape (n, dim); zeros for unreadable pictures.

        Raises:
            Unavailable: the Embedder was replaced since the rebuild began.
        """
        if self._model.version != self._version:
            raise Unavailable("the embedder is being replaced by another one")
        good = np.flatnonzero(batch["error"] == "")
        vectors = np.zeros((len(batch["id"]), self._model.dim), np.float32)
        vectors[good] = self._model.embed_images([batch["pixels"][row] for row in good])
        log.info("pictures.embedded", count=len(good))
        self._logs.flush()
        return {name: batch[name] for name in ("id", "sha256", "error")} | {"vector": vectors}
