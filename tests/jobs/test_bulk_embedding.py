"""Embedding by Ray Data on a small cluster: equal vectors, resumption, errors by product id."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
from sqlmodel import select

from db.embeddings import MissingVectors, count_missing
from db.tables import ProductEmbedding
from drawing.draw import COLOURS, Garment, draw_garment
from errors import Unavailable
from jobs.bulk_embedding import BulkEmbedding, BulkEmbeddingArgs, EmbedPictures
from local.client import encode
from models.embedder.embedder import Embedder, EmbedderConfig, load, load_reader
from models.embedder.shapes import unpack_vector
from secret_files import PREFIX
from settings import PROJECT_ROOT
from studio.index.embed import EmbeddingTask, embed_missing
from studio.ports import Studio
from tests.studio.index.test_embed import fill, put
from tests.support.fakes import FakeEmbedder, make_settings, open_studio

ARGS = BulkEmbeddingArgs(
    from_pictures=1, batch=8, reader_cpus=0, model_cpus=0, model_gpus=0.2, in_flight_mb=16
)
COUNTED = EmbedderConfig(device="cpu")
"""The models get shares of a GPU that is only counted."""
COUNT = 36


@pytest.fixture
def cluster(studio: Studio) -> Iterator[None]:
    """A cluster without free CPUs, as in a small studio: the stages must not need any.

    Its workers read the studio's settings from their environment, as those of `studio up` do.
    """
    names = ("database_url", "redis_url", "blob_url", "jwt_secret", "public_url")
    variables = {PREFIX + name.upper(): studio.settings.required(name) for name in names}
    ray.init(
        num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR, object_store_memory=128 * 2**20,
        runtime_env={"env_vars": {"PYTHONPATH": str(PROJECT_ROOT)} | variables},
    )  # fmt: skip
    holder = ray.remote(num_cpus=1)(dict).remote()
    yield
    del holder
    ray.shutdown()


@pytest.fixture(scope="module")
def starter() -> Embedder:
    return load(EmbedderConfig())


@pytest.fixture
async def studio(
    database_url: str, redis_url: str, tmp_path: Path, starter: Embedder
) -> AsyncIterator[Studio]:
    """A studio whose embedder has the version of the shipped one."""
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_studio(settings) as opened:
        yield replace(opened, embedder=FakeEmbedder(starter.version))


# Slow: Ray's actors import torch and load the weights.
async def test_a_long_reindex_gives_the_vectors_of_single_pictures_and_goes_on_when_broken_off(
    studio: Studio, cluster: None, starter: Embedder
) -> None:
    owner_id = await fill(studio, 1)
    pictures = {
        f"g{turn:03}": encode(draw_garment(Garment("dress", colour, style_seed=turn), size=150))
        for turn, colour in zip(range(COUNT), COLOURS * COUNT, strict=False)
    }
    for name, data in pictures.items():
        await put(studio, owner_id, name, data)
    await put(studio, owner_id, "g007", b"no picture")
    missing = MissingVectors(starter.version)
    source = BulkEmbedding(ARGS, COUNTED)
    async with aclosing(source(studio, EmbeddingTask(missing, COUNT + 1))) as batches:
        batch = await anext(batches)
    assert 1 <= len(batch) <= ARGS.batch
    async with studio.database.transaction() as session:
        assert await count_missing(session, missing) == COUNT + 1  # nobody has written it

    embedded = await embed_missing(studio, source=source)
    assert (embedded.count, embedded.failed) == (COUNT, 1)
    assert embedded.errors == [
        {
            "id": "g007",
            "detail": "the data is not a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF image",
        }
    ]
    async with studio.database.read() as session:
        rows = (await session.exec(select(ProductEmbedding))).all()
    assert len(rows) == COUNT
    for row in rows:
        if row.product_id in pictures:
            alone = starter.embed_images([starter.reader.read(pictures[row.product_id])])[0]
            assert np.abs(unpack_vector(row.vector) - alone).max() < 1e-3


def test_another_model_than_the_one_in_service_embeds_nothing() -> None:
    stage = EmbedPictures(COUNTED, MissingVectors("another"), replace(ARGS, niceness=0))
    with pytest.raises(Unavailable, match="replaced by another one"):
        stage({"id": np.array(["a"])})


def test_a_reader_without_weights_reads_as_the_model_does(starter: Embedder) -> None:
    data = encode(draw_garment(Garment("bag", "green", "dotted"), size=700))
    reader = load_reader(EmbedderConfig())
    np.testing.assert_array_equal(reader.read(data), starter.reader.read(data))
    assert reader.side == starter.reader.side
