"""A catalogue, searches of it, and an embedder whose space differs from that of `FakeEmbedder`."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import File, IndexVersion
from models.embedder.shapes import Embedding, Vector
from studio.accounts.accounts import create_user
from studio.catalog.catalog import Owner, put_product
from studio.catalog.form import ProductForm
from studio.index.rebuild import rebuild_index
from studio.ports import Studio
from studio.search.forms import SearchForm, TextSearchForm
from studio.search.knowledge import SearchKnowledge
from studio.search.log import SearchLogWriter
from studio.search.search import SearchResult, search
from tests.support.fakes import FakeEmbedder, picture

COLOURS = ("red", "green", "blue", "yellow")


class NextEmbedder(FakeEmbedder):
    """Has the vectors of `FakeEmbedder` in reverse order: a mixture finds the wrong products."""

    async def embed_image(self, image: bytes) -> Embedding:
        return self._reversed(await super().embed_image(image))

    async def embed_text(self, text: str) -> Embedding:
        return self._reversed(await super().embed_text(text))

    def _reversed(self, embedding: Embedding) -> Embedding:
        vector: Vector = embedding.vector[::-1].copy()
        return Embedding(self._version, vector)


@dataclass
class Rebuild:
    """An attempt of a `rebuild-index` job."""

    payload: dict[str, Any]
    job_id: UUID = field(default_factory=uuid4)
    owner_id: UUID | None = None
    done: int = 0

    async def progress(self, done: int, total: int, message: str, **details: Any) -> None:
        """Nobody watches."""

    async def past(self) -> list[dict[str, Any]]:
        return []

    async def guard(self, session: AsyncSession) -> None:
        """No other worker has the job."""


@dataclass
class Shop:
    """A merchant's products, one of each colour."""

    studio: Studio
    owner: Owner

    async def put(self, product_id: str, colour: str) -> None:
        """Creates or changes a product: it shows this colour."""
        key = f"uploads/{self.owner.id}/{uuid4().hex}.jpg"
        await self.studio.blobs.put(key, picture(colour), "image/jpeg")
        file = File(
            owner_id=self.owner.id, purpose="product", filename="a.jpg", size_bytes=1,
            content_type="image/jpeg", blob_key=key, status="ready",
        )  # fmt: skip
        async with self.studio.database.transaction() as session:
            session.add(file)
        fields = {"title": colour, "category": "dress", "price": "9.99", "currency": "EUR"}
        form = ProductForm.model_validate(fields | {"fileId": file.id})
        await put_product(self.studio, self.owner, product_id, form)

    async def find(self, form: SearchForm, studio: Studio | None = None) -> SearchResult:
        """Searches as a Gateway does."""
        studio = studio or self.studio
        log, knowledge = SearchLogWriter(self.studio.database), SearchKnowledge(studio)
        result = await search(studio, knowledge, log, None, form)
        await knowledge.aclose()
        await log.aclose()
        return result

    async def answer(self, query: str = "dress", studio: Studio | None = None) -> Any:
        """Searches by words; returns the embedder that answered and the products."""
        result = await self.find(TextSearchForm(query=query), studio)
        async with self.studio.database.read() as session:
            row = await session.get(IndexVersion, result.index_version)
        assert row is not None
        return row.embedder_version, {match.product.id for match in result.matches}

    async def rebuild(self, **form: bool) -> str:
        """Runs a `rebuild-index` job to its end; returns the new version."""
        outcome = await rebuild_index(self.studio, Rebuild(form))
        assert outcome.record is not None
        async with self.studio.database.transaction() as session:
            await outcome.record(session)
        return str(outcome.result["version"])


async def open_shop(studio: Studio) -> Shop:
    """A merchant with a product of each colour."""
    email, password = f"{uuid4().hex}@example.com", "x" * 12
    account = await create_user(studio.database, email=email, password=password, role="merchant")
    shop = Shop(studio, Owner(account.id))
    for colour in COLOURS:
        await shop.put(colour, colour)
    return shop
