"""Products with random vectors, written to the database as an import would leave them."""

from decimal import Decimal

import numpy as np
from sqlalchemy import insert, text

from db.engine import Database
from db.tables import Product, ProductEmbedding
from models.embedder.shapes import pack_vector
from studio.accounts.accounts import create_user
from tests.support.fakes import DIM

EMBEDDER = "fake-embedder"


async def insert_products(database: Database, count: int) -> None:
    """Inserts products p0, p1, … of one merchant, each with a unit vector of DIM numbers."""
    owner = await create_user(database, email="m@example.com", password="x" * 12, role="merchant")
    vectors = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    products = [
        {
            "id": f"p{row}", "owner_id": owner.id, "title": f"thing {row}", "category": "dress",
            "price": Decimal(9), "currency": "EUR", "in_stock": True, "attributes": {},
            "image_key": "products/x.jpg", "image_sha256": "x", "change_seq": row + 1,
        }
        for row in range(count)
    ]  # fmt: skip
    embeddings = [
        {
            "product_id": f"p{row}", "embedder_version": EMBEDDER,
            "vector": pack_vector(vectors[row]), "image_sha256": "x",
        }
        for row in range(count)
    ]  # fmt: skip
    async with database.transaction() as session:
        await session.exec(insert(Product), params=products)
        await session.exec(insert(ProductEmbedding), params=embeddings)
        await session.exec(text(f"SELECT setval('product_change_seq', {count})"))  # type: ignore[call-overload]
