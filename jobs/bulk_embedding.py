"""Pictures to vectors as Ray Data: ranges of ids -> actors that fetch and decode -> models.

A source of `studio.index.embed` beside the warm Embedder. Searches keep their model to themselves,
and a cluster's GPUs each get one; but a model has to start, so few pictures go the warm way.
"""

# ruff: noqa: PLC0415 - Ray Data brings pandas and pyarrow, which only a long re-index needs

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
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
from models.embedder.embedder import EmbedderConfig, load, load_reader
from models.embedder.shapes import pack_vector
from models.pins import Pinning
from settings import Settings
from studio.index.embed import EmbeddingTask, PictureResult, embed_warm
from studio.ports import Studio
from studio.telemetry.logs import configure_logging

Columns = dict[str, NDArray[Any]]
"""A batch between stages: `id`, `sha256`, `error` ("" where none), and `pixels` or `vector`."""

log = structlog.get_logger("studio.embedder")


@dataclass(frozen=True)
class StreamArgs:
    """What a long re-index may take of the cluster, beside its job's own share.

    Attributes:
        from_pictures: fewer go through the Embedder in service.
        batch: pictures that are read, embedded and written together.
        readers, reader_cpus: processes that fetch and decode, and what each reserves.
        models, model_cpus, model_gpus: copies of the model at most, and what each reserves.
        max_batch, threads: as the Embedder's own.
        in_flight_mb: decoded pictures that may wait between the stages.
        niceness: how far readers and models on a CPU stand back behind what serves.
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
class PictureStream:
    """`studio.index.embed.Source`: many pictures through Ray Data, few through the Embedder."""

    args: StreamArgs

    async def __call__(
        self, studio: Studio, task: EmbeddingTask
    ) -> AsyncGenerator[list[PictureResult], None]:
        """Batches in the order in which they are done.

        Raises:
            Unavailable: a stage failed; what was not written is done by the next attempt.
        """
        few = task.total < self.args.from_pictures
        stream = embed_warm(studio, task) if few else self._embed_many(studio, task.missing)
        async with aclosing(stream) as batches:
            async for batch in batches:
                yield batch

    async def _embed_many(
        self, studio: Studio, missing: MissingVectors
    ) -> AsyncGenerator[list[PictureResult], None]:
        async with studio.database.transaction() as session:
            ranges = await list_ranges(session, missing, self.args.batch)
        batches = await asyncio.to_thread(open_stream, studio.settings, missing, ranges, self.args)
        async with aclosing(in_thread(batches)) as stream:
            async for columns in stream:
                yield looked(columns)


async def in_thread(batches: Iterator[Columns]) -> AsyncGenerator[Columns, None]:
    """A blocking iterator's items; it has ended when this generator has."""
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
    """What our own code said inside Ray's wrapper, or how Ray calls the failure."""
    cause = getattr(error, "cause", error)
    return cause.detail if isinstance(cause, StudioError) else type(cause).__name__


def open_stream(
    settings: Settings, missing: MissingVectors, ranges: list[tuple[str, str]], args: StreamArgs
) -> Iterator[Columns]:
    """Starts the stages; batches come as they are done, no more than fit `in_flight_mb` ahead."""
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
        fn_constructor_args=(settings, missing, args),
    )
    vectors = pixels.map_batches(
        EmbedPictures,
        batch_size=None,
        compute=ActorPoolStrategy(min_size=1, max_size=args.models),
        num_cpus=args.model_cpus,
        num_gpus=args.model_gpus,
        fn_constructor_args=(settings, missing, args),
    )
    return iter(vectors.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0))


def looked(columns: Columns) -> list[PictureResult]:
    """Rows of the last stage, as the studio takes them."""
    rows = zip(columns["id"], columns["sha256"], columns["error"], columns["vector"], strict=True)
    return [
        PictureResult(str(name), str(sha256), error=str(error))
        if error
        else PictureResult(str(name), str(sha256), pack_vector(vector))
        for name, sha256, error, vector in rows
    ]


class ReadPictures:
    """A process that fetches and decodes; it keeps its connections and its reader."""

    def __init__(self, settings: Settings, missing: MissingVectors, args: StreamArgs) -> None:
        os.nice(args.niceness)
        self._missing = missing
        self._loop = asyncio.new_event_loop()
        self._reader = load_reader(config_of(settings, args))
        self._shape = self._reader.preprocess(Image.new("RGB", (8, 8))).shape
        self._database = Database(settings.required("database_url"), pool_size=1)
        self._settings = settings
        self._blobs = self._loop.run_until_complete(self._open_blobs())

    def __call__(self, batch: Columns) -> Columns:
        """One range -> what is still to do of it, decoded; unreadable pictures are black."""
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
                if error.retryable:  # the studio's trouble, not the picture's
                    raise
                errors[place] = error.detail
        return {
            "id": np.array([one.product_id for one in pictures], dtype=np.str_),
            "sha256": np.array([one.image_sha256 for one in pictures], dtype=np.str_),
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
        contents = await asyncio.gather(*(self._get(one.image_key) for one in pictures))
        return pictures, list(contents)

    async def _get(self, key: str) -> bytes | StudioError:
        try:
            data: bytes = await self._blobs.get(key)
        except StudioError as error:
            return error
        return data


class EmbedPictures:
    """A copy of the model in service."""

    def __init__(self, settings: Settings, missing: MissingVectors, args: StreamArgs) -> None:
        if not args.model_gpus:
            os.nice(args.niceness)
        self._logs = configure_logging()
        self._model = load(config_of(settings, args))
        self._model.warm_up()
        self._version = missing.embedder_version

    def __call__(self, batch: Columns) -> Columns:
        """Pixels -> float32 vectors, shape (n, dim); zeros where there was no picture.

        Raises:
            Unavailable: the studio's embedder is another one than the settings name by now.
        """
        if self._model.version != self._version:
            raise Unavailable("the embedder is being replaced by another one")
        good = np.flatnonzero(batch["error"] == "")
        vectors = np.zeros((len(batch["id"]), self._model.dim), np.float32)
        vectors[good] = self._model.embed_images([batch["pixels"][row] for row in good])
        log.info("pictures.embedded", count=len(good))
        self._logs.flush()
        return {name: batch[name] for name in ("id", "sha256", "error")} | {"vector": vectors}


def config_of(settings: Settings, args: StreamArgs) -> EmbedderConfig:
    """The checkpoint in service at this stage's capacity."""
    return EmbedderConfig(
        checkpoint=settings.embedder_checkpoint,
        precision=settings.embedder_precision,
        max_batch=args.max_batch,
        threads=args.threads,
        pinning=Pinning(settings.models_lock, settings.requires_pins),
    )
