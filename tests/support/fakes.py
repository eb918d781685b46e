"""Small deterministic stand-ins for the models, and a studio and a gateway to run them in."""

import asyncio
import hashlib
import io
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import certifi
import httpx
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from db.engine import Database
from deployments.serve.turns import Turns
from errors import EmbedderMismatch, Invalid, NotAnImage, StudioError, TooLarge, Unavailable
from gateway.app import create_app
from integrations.blobs.store import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from integrations.paypal.paypal import open_paypal
from models.embedder.lexicon import Lexicon
from models.embedder.shapes import Embedding, Vector
from models.images import decode_image, prepare_decoders
from models.index.catalogue_values import CatalogueValues, count_values
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes, SearchAnswer, SearchQuery
from models.sales.columns import Offers, Sales
from models.sales.explanation.occlusion import background, cover
from models.sales.fit import fit_regressor, split
from models.sales.regressor import Regressor, RegressorConfig
from models.sales.scoring import evaluate, score
from models.sales.shapes import (
    CoveredEmbedding,
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from models.tryon.shapes import TryOnLoad, TryOnOrder, TryOnResult, TryOnStep, TryOnTicket
from settings import Settings
from studio.accounts.accounts import create_user
from studio.context import committing
from studio.ports import (
    BlobStore,
    Embedder,
    Index,
    Studio,
)
from studio.sales.store import RegressorCache
from studio.sales.versions import check_embedder
from tests.support.routes import share_routes

SIDE = 8
DIM = SIDE * SIDE * 3
PASSWORD = "correct-horse-battery"
SECRET = "a secret of more than thirty-two bytes"


def unit(vector: NDArray[np.float64]) -> Vector:
    """Shape (dim,), any length -> unit length, float32."""
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class FakeEmbedder(Embedder):
    """An image's vector is its 8 x 8 thumbnail, a text's the sum of its words' random vectors."""

    def __init__(self, version: str = "fake-embedder", index: "Index | None" = None) -> None:
        self.index = index
        self._version = version
        self.texts_embedded = self.images_embedded = 0
        self.failure: Exception | None = None

    async def embed_image(self, image: bytes) -> Embedding:
        self._raise_failure()
        self.images_embedded += 1
        picture = decode_image(image).resize((SIDE, SIDE), Image.Resampling.BOX)
        pixels = np.asarray(picture, dtype=np.float64).reshape(-1) + 1.0
        return Embedding(self._version, unit(pixels))

    async def embed_images(self, images: Sequence[bytes]) -> list[Embedding | StudioError]:
        answers: list[Embedding | StudioError] = []
        for image in images:
            try:
                answers.append(await self.embed_image(image))
            except (Invalid, NotAnImage, TooLarge) as error:
                answers.append(error)
        return answers

    async def embed_text(self, text: str) -> Embedding:
        self._raise_failure()
        self.texts_embedded += 1
        total = np.ones(DIM)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).normal(size=DIM) * 4
        return Embedding(self._version, unit(total))

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        return [await self.embed_text(text) for text in texts]

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        self._raise_failure()
        picture = decode_image(image).resize((SIDE, SIDE), Image.Resampling.BOX)
        pixels = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) + 1.0
        fill = background(pixels)
        patches = [pixels, *(cover(pixels, box, fill) for box in boxes)]
        vectors = [unit(one.transpose(1, 2, 0).reshape(-1).astype(np.float64)) for one in patches]
        return CoveredEmbedding(self._version, np.stack(vectors), (0.0, 0.0, 1.0, 1.0))

    async def search(self, query: SearchQuery) -> SearchAnswer:
        if self.index is None:
            raise Unavailable("this embedder has no index")
        image, text = query.image, None
        if query.picture is not None:
            image = (await self.embed_image(query.picture)).vector
        if query.words is not None:
            text = (await self.embed_text(query.words)).vector
        embedded = replace(
            query, embedder_version=self._version, image=image,
            text=query.text if text is None else text, picture=None, words=None,
        )  # fmt: skip
        return replace(await self.index.search(embedded), text=text, image=image)

    async def version(self) -> str:
        self._raise_failure()
        return self._version

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


class LocalRegressor:
    """What the deployment does, in this process: real trees, fitted on first use."""

    def __init__(self, blobs: BlobStore) -> None:
        self.failure: Exception | None = None
        self._cache = RegressorCache(blobs, RegressorConfig(), ThreadPoolExecutor(1), most=2)

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        regressor = await self._find(query.model, query.embedder_version)
        return (await asyncio.to_thread(score, regressor, [query]))[0]

    async def evaluate(
        self, version: TrainedVersion | None, observations: Observations
    ) -> Evaluation:
        regressor = await self._find(version, observations.embedder_version)
        return await asyncio.to_thread(evaluate, regressor, observations)

    async def status(self) -> Mapping[str, object]:
        self._raise_failure()
        return {"starter": "tiny", "embedderVersion": "fake-embedder", "loaded": []}

    async def _find(self, version: TrainedVersion | None, embedder_version: str) -> Regressor:
        self._raise_failure()
        regressor = tiny_regressor() if version is None else await self._cache.get(version)
        check_embedder(regressor, embedder_version)
        return regressor

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


@lru_cache(maxsize=1)
def tiny_regressor() -> Regressor:
    """Fitted on pictures of one colour, of which the blue ones sell."""
    return fit_regressor("tiny", "fake-embedder", split(blue_sales(400)), NO_WORDS)


NO_WORDS = Lexicon(np.zeros((0, DIM), np.float32))


def blue_sales(count: int, seed: int = 0) -> Sales:
    """Pictures of one colour each, two categories; the bluer, the more is sold."""
    rng = np.random.default_rng(seed)
    colours = rng.uniform(10, 245, (count, 3))
    vectors = np.stack([unit(np.tile(colour, SIDE * SIDE) + 1.0) for colour in colours])
    category = np.array(["dress", "shirt"])[rng.integers(0, 2, count)]
    log_units = 4.0 - (vectors[:, 0] - vectors[:, 2]) * 10 + rng.normal(0, 0.2, count)
    unknown = np.full(count, np.nan)
    offers = Offers(vectors, category, np.array([""] * count), unknown, unknown)
    return Sales(offers, np.array([f"sold-{at}" for at in range(count)]), np.exp(log_units))


class FakeTryOn:
    """Pastes the masked garment onto the person; one try-on at a time, owners take turns."""

    def __init__(self, blobs: BlobStore, max_waiting: int = 8) -> None:
        self._blobs = blobs
        self._turns = Turns(max_waiting)
        self.pause_s = 0.0
        self.failure: Exception | None = None
        self.orders: list[TryOnOrder] = []
        self.tickets: list[TryOnTicket] = []
        self.ended = 0
        self.direct_pixels = 1_000_000

    async def dress(
        self, order: TryOnOrder, ticket: TryOnTicket
    ) -> AsyncIterator[TryOnStep | TryOnResult]:
        if self.failure is not None:
            raise self.failure
        async with self._turns.take(ticket.accepted_s, ticket.owner, ticket.network):
            self.orders.append(order)
            self.tickets.append(ticket)
            for done in range(3):
                yield TryOnStep(done, 3, "painting")
                await asyncio.sleep(self.pause_s / 3)
            person, garment, mask = [
                decode_image(await self._blobs.get(key))
                for key in (order.person_key, order.garment_key, order.mask_key)
            ]
            person.paste(garment, (order.seed % 7, 2), mask.convert("L"))
            out = io.BytesIO()
            person.save(out, "PNG")
            await self._blobs.put(ticket.output_key, out.getvalue(), "image/png")
            self.ended += 1
        yield TryOnResult(
            order.category or "upper", *person.size, ["paste"], {"warpMs": 1.0}, "fake-tryon",
            len(out.getvalue()),
        )  # fmt: skip

    @property
    def waiting(self) -> int:
        return self._turns.waiting

    async def load(self) -> TryOnLoad:
        if self.failure is not None:
            raise self.failure
        return TryOnLoad(self.waiting, 2, self.direct_pixels, "fake-tryon")


class FakeDispatcher:
    """A dispatcher that is well unless told otherwise."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"silentS": 0.0, "running": [], "backlog": {}, "overdue": 0}

    async def status(self) -> Mapping[str, object]:
        return self.state


class FakeSegmenter:
    """The garment is every pixel unlike the picture's corner; no picture shows a person."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.failure: Exception | None = None

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        if self.failure is not None:
            raise self.failure
        if prompt.target == "person":
            raise Invalid("there is no person in the picture")
        grey = np.asarray(decode_image(await self._blobs.get(image_key)).convert("L"), int)
        inside = np.abs(grey - grey[0, 0]) > 16
        inside[inside.shape[0] // 2, inside.shape[1] // 2] = True
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        bbox = (int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        out = io.BytesIO()
        Image.fromarray(inside.astype(np.uint8) * 255).save(out, "PNG")
        await self._blobs.put(mask_key, out.getvalue(), "image/png")
        height, width = inside.shape
        area = int(inside.sum())
        return SegmentAnswer(
            width, height, area, bbox, 0.9, "Upper-clothes", "fake-segmenter", len(out.getvalue()),
            {"upper": 1.0, "lower": 0.0, "dress": 0.0},
        )  # fmt: skip

    async def version(self) -> str:
        return "fake-segmenter"


ANY_ATTRIBUTES = ProductAttributes("dress", None, 0, in_stock=True)


class FakeIndex:
    """The product's own index over products that a test puts into it; no database, no files."""

    def __init__(self, embedder_version: str = "fake-embedder") -> None:
        self.version: str | None = "v1"
        self.embedder_version = embedder_version
        self.clear()

    def put(
        self, product_id: str, vector: Vector, attributes: ProductAttributes = ANY_ATTRIBUTES
    ) -> None:
        """Adds or replaces a product."""
        self._products.put(product_id, vector.astype(np.float16), attributes)

    def clear(self) -> None:
        """Removes all products."""
        self._products = ProductIndex(empty_files(DIM))

    async def search(self, query: SearchQuery) -> SearchAnswer:
        if self.version is None:
            raise Unavailable("no search index is active")
        if query.embedder_version != self.embedder_version:
            raise EmbedderMismatch("the search index was built for another embedder: rebuild it")
        return SearchAnswer(self.version, self._products.search(query), self.embedder_version)

    async def complete(self, phrase: str, most: int) -> list[str]:
        rows = self._products.words.complete(phrase, most)
        return [self._products.rows.id(row) for row in rows]

    async def catalogue_values(self) -> CatalogueValues:
        return count_values(self._products.rows)

    async def status(self) -> Mapping[str, object]:
        return {
            "version": self.version,
            "embedderVersion": self.embedder_version,
            "count": self._products.count,
            "appliedSeq": 0,
        }


def picture(colour: str = "red", size: tuple[int, int] = (32, 24), kind: str = "JPEG") -> bytes:
    """An encoded picture of one colour."""
    prepare_decoders()
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def make_settings(database_url: str, redis_url: str, folder: Path, **changes: Any) -> Settings:
    """Settings of a test studio: high limits unless a test is about limits."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": redis_url,
        "blob_url": f"file://{folder}",
        "data_dir": folder.parent / "data",
        "jwt_secret": SECRET,
        "public_url": "http://studio.test",
        "limit_auth": 10_000,
        "limit_search": 10_000,
        "limit_cv": 10_000,
        "limit_default": 10_000,
    }
    return Settings(**(values | changes))


@lru_cache(maxsize=1)
def public_roots() -> ssl.SSLContext:
    """Read once: it takes 20 ms, and every studio would do it."""
    return ssl.create_default_context(cafile=certifi.where())


@asynccontextmanager
async def open_studio(
    settings: Settings, *, fetcher: Fetcher | None = None
) -> AsyncIterator[Studio]:
    """A studio on real servers with fake models; closed at the end."""
    index = FakeIndex()
    blobs = open_blob_store(settings)
    cache = RedisCache(settings.secret("redis_url"))
    studio = Studio(
        settings=settings,
        database=Database(settings.secret("database_url"), pool_size=5, committing=committing),
        blobs=blobs,
        cache=cache,
        fetcher=fetcher or Fetcher(allow=settings.fetch_allow, tls=public_roots()),
        embedder=FakeEmbedder(index=index),
        index=index,
        regressor=LocalRegressor(blobs),
        dispatcher=FakeDispatcher(),
        segmenter=FakeSegmenter(blobs),
        tryon=FakeTryOn(blobs),
        paypal=open_paypal(settings, cache),
    )
    try:
        yield studio
    finally:
        await studio.aclose()


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """The app between its lifespan's start and end."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await task


@asynccontextmanager
async def open_client(
    studio: Studio, *, address: str = "192.0.2.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole gateway, without a network between."""
    app = share_routes(create_app(studio))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 1234))
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url=studio.settings.base_url) as client,
    ):
        yield client


async def sign_in(
    client: httpx.AsyncClient, studio: Studio, role: str = "customer"
) -> dict[str, str]:
    """A new account of the role; returns the headers that act as it."""
    email = f"{role}-{uuid4().hex}@example.com"
    await create_user(studio.database, email=email, password=PASSWORD, role=role)
    answer = await client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}
