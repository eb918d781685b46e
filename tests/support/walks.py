"""Walks through all pages of random searches, while products change and index versions swap."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, insert, text
from sqlalchemy.dialects.postgresql import JSONB

from db.catalog import put_embedding, take_change_seq
from db.tables import Product, ProductEmbedding
from errors import NotLoaded
from models.embedder.shapes import pack_vector
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from studio.accounts.accounts import create_user
from studio.index.build import build_version
from studio.index.files import cache_folder
from studio.index.live import LiveIndex
from studio.index.versions import activate_version
from studio.ports import Studio
from studio.search.forms import SearchForm, SimilarSearchForm, TextSearchForm
from studio.search.knowledge import SearchKnowledge
from studio.search.log import SearchLogWriter
from studio.search.search import search
from tests.support.fakes import DIM, FakeEmbedder

GROUP = "coalesce('g' || lower(group_id), 'p' || id)"
COLOURS = ("red", "Red", "blue", "green")


class LaggingReplicas:
    """`studio.ports.Index` over several replicas, of which any one answers, often out of date."""

    def __init__(self, replicas: Sequence[LiveIndex], random: np.random.Generator) -> None:
        self.replicas = replicas
        self._random = random

    async def search(self, query: SearchQuery) -> SearchAnswer:
        first = int(self._random.integers(len(self.replicas)))
        if self._random.random() < 0.5:
            await self.replicas[first].sync()
        try:
            return await self.replicas[first].search(query)
        except NotLoaded:
            return await self.replicas[first - 1].search(query)

    async def status(self) -> Mapping[str, object]:
        return self.replicas[0].status()

    async def complete(self, phrase: str, most: int) -> list[str]:
        return await self.replicas[0].complete(phrase, most)

    async def catalogue_values(self) -> CatalogueValues:
        return await self.replicas[0].catalogue_values()


def unit(random: np.random.Generator) -> NDArray[np.float32]:
    vector = random.normal(size=DIM) + 0.3 * np.ones(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)


@dataclass
class WalkedShop:
    """A catalogue that random writes change.

    Attributes:
        written: the products that were written during a walk; groups: those that they came into.
        source: the product that the walk's search starts from, which is not written meanwhile.
    """

    studio: Studio
    replicas: LaggingReplicas
    random: np.random.Generator
    count: int
    written: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    source: str = ""

    @classmethod
    async def open(
        cls, studio: Studio, thread: ThreadPoolExecutor, count: int, seed: int
    ) -> "WalkedShop":
        """Inserts the products, activates an index of them, and loads it into two replicas."""
        random = np.random.default_rng(seed)
        lives = [
            LiveIndex(studio.database, studio.blobs, thread, cache_folder(studio.settings))
            for _ in range(2)
        ]
        replicas = LaggingReplicas(lives, random)
        studio = replace(studio, index=replicas, embedder=FakeEmbedder(index=replicas))
        shop = cls(studio, replicas, random, count)
        await shop._insert()
        await shop.swap()
        for live in lives:
            await live.sync()
        return shop

    async def _insert(self) -> None:
        owner = await create_user(
            self.studio.database, email="w@example.com", password="x" * 12, role="merchant"
        )
        products = [self._product(f"p{row:06}", row + 1, owner.id) for row in range(self.count)]
        vectors = [self._embedding(str(product["id"])) for product in products]
        async with self.studio.database.transaction() as session:
            await session.exec(insert(Product), params=products)
            await session.exec(insert(ProductEmbedding), params=vectors)
            await session.exec(  # type: ignore[call-overload]
                text(f"SELECT setval('product_change_seq', {self.count})")
            )

    def _values(self) -> dict[str, Any]:
        """The fields of a product that searches look at."""
        group = int(self.random.integers(0, self.count))
        return {
            "category": str(self.random.choice(["dress", "Dress", "shirt"])),
            "group_id": f"g{group % (self.count // 4)}" if group % 2 else None,
            "price": Decimal(int(self.random.integers(5, 25))),
            "attributes": {"colour": [str(self.random.choice(COLOURS))]},
        }

    def _product(self, product_id: str, seq: int, owner: UUID) -> dict[str, Any]:
        return {
            **self._values(),
            "id": product_id, "owner_id": owner, "title": f"thing {seq % 60}", "currency": "EUR",
            "in_stock": True, "image_key": "products/x.jpg", "image_sha256": "x",
            "change_seq": seq,
        }  # fmt: skip

    def _embedding(self, product_id: str) -> dict[str, Any]:
        return {
            "product_id": product_id, "embedder_version": "fake-embedder",
            "vector": pack_vector(unit(self.random)), "image_sha256": "x",
        }  # fmt: skip

    async def write(self) -> None:
        """Deletes a product, or changes it, with another vector or the same one."""
        product_id = f"p{self.random.integers(self.count):06}"
        if product_id == self.source:
            return
        is_gone, is_moved = self.random.random() < 0.2, self.random.random() < 0.5
        async with self.studio.database.transaction() as session:
            seq = await take_change_seq(session)
            values = self._values() | {"id": product_id, "seq": seq, "gone": is_gone}
            statement = text(
                "UPDATE product SET change_seq = :seq, category = :category, price = :price,"
                " group_id = :group_id, attributes = :attributes,"
                " deleted_at = CASE WHEN :gone THEN now() END WHERE id = :id"
            ).bindparams(bindparam("attributes", type_=JSONB))
            await session.exec(statement, params=values)  # type: ignore[call-overload]
            if is_moved:
                await put_embedding(session, ProductEmbedding(**self._embedding(product_id)))
        self.written.add(product_id)
        self.groups.add(f"g{values['group_id']}" if values["group_id"] else f"p{product_id}")

    async def swap(self) -> None:
        """Activates a new index of the whole catalogue."""
        await activate_version(self.studio, await build_version(self.studio))

    def draw_form(self) -> SearchForm:
        """A random search."""
        fields: dict[str, Any] = {
            "topK": int(self.random.integers(self.count // 30, self.count // 4)),
            "sort": str(self.random.choice(["relevance", "relevance", "priceAsc", "newest"])),
        }
        if self.random.random() < 0.4:
            fields["filters"] = {"attributes": {"Colour": "RED"}}
        if self.random.random() < 0.3:
            fields["groupBy"] = "groupId"
        if self.random.random() < 0.5:
            query = "thing" + "!" * len(self.written)  # every title has the word
            return TextSearchForm.model_validate(fields | {"query": query})
        product_id = f"p{self.random.integers(self.count):06}"
        return SimilarSearchForm.model_validate(fields | {"similarTo": product_id})

    async def expected(self, form: SearchForm) -> dict[str, str]:
        """The products that a whole walk shows, unless they are written meanwhile: id -> group."""
        statement = text(
            f"SELECT id, {GROUP} FROM product"
            " WHERE deleted_at IS NULL AND (:any OR attributes->'colour'->>0 ILIKE 'red')"
        )
        async with self.studio.database.read() as session:
            rows = await session.exec(  # type: ignore[call-overload]
                statement, params={"any": form.filters is None}
            )
            groups = {str(product_id): str(group) for product_id, group in rows}
            own = await session.exec(  # type: ignore[call-overload]
                text(
                    "SELECT coalesce('g' || lower(group_id), 'p' || id) FROM product WHERE id = :id"
                ),
                params={"id": getattr(form, "similar_to", "")},
            )
            own_group = own.scalar_one_or_none()
        if form.group_by is None:
            groups.pop(getattr(form, "similar_to", ""), None)
            return groups
        return {one: group for one, group in groups.items() if group != own_group}


async def walk(
    shop: WalkedShop, knowledge: SearchKnowledge, log: SearchLogWriter, *, with_swap: bool
) -> int:
    """Goes through all pages of a random search; returns their number.

    Every product (or group) that is not written meanwhile must be there exactly once.
    """
    for live in shop.replicas.replicas:
        await live.sync()
    form, shop.written, shop.groups = shop.draw_form(), set(), set()
    shop.source = getattr(form, "similar_to", "")
    if isinstance(form, SimilarSearchForm):
        async with shop.studio.database.read() as session:
            if (await session.get_one(Product, form.similar_to)).deleted_at is not None:
                return 0
    expected = await shop.expected(form)
    listed: list[str] = []
    pages = 0
    swap_at = int(shop.random.integers(1, 4)) if with_swap else 0
    while pages == 0 or form.cursor is not None:
        page = await search(shop.studio, knowledge, log, None, form)
        assert len(page.matches) <= form.top_k
        listed += [match.product.id for match in page.matches]
        if pages == 0:
            assert page.total == len(set(expected.values()) if form.group_by else expected)
        form = form.model_copy(update={"cursor": page.next_cursor})
        pages += 1
        for _ in range(int(shop.random.integers(0, 4))):
            await shop.write()
        if pages == swap_at:
            await shop.swap()
    check_walk(shop, form, listed, expected)
    return pages


def check_walk(
    shop: WalkedShop, form: SearchForm, listed: list[str], expected: dict[str, str]
) -> None:
    """Compares what the pages have listed with what they must show."""
    written = shop.written
    if form.group_by is None:
        unwritten = [product_id for product_id in listed if product_id not in written]
        assert len(set(unwritten)) == len(unwritten)
        assert set(unwritten) == expected.keys() - written
        return
    changed = shop.groups | {expected[one] for one in written & expected.keys()}
    groups = [
        group
        for product_id in listed
        if product_id not in written and (group := expected[product_id]) not in changed
    ]
    assert len(set(groups)) == len(groups)
    assert set(groups) == set(expected.values()) - changed


async def walk_many(studio: Studio, *, count: int, walks: int, swaps: int, seed: int) -> int:
    """Walks through random searches; every few of them an index is swapped. Returns the pages."""
    log = SearchLogWriter(studio.database)
    with ThreadPoolExecutor(1) as thread:
        shop = await WalkedShop.open(studio, thread, count, seed)
        knowledge = SearchKnowledge(shop.studio)
        pages = 0
        for number in range(walks):
            is_swapped = number % max(1, walks // swaps) == 0
            pages += await walk(shop, knowledge, log, with_swap=is_swapped)
            await asyncio.sleep(0)
    await knowledge.aclose()
    await log.aclose()
    return pages
