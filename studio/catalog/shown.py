"""Products as everyone sees them: live ones, with all their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import get_product, list_products
from db.product_images import ShownPicture, list_images
from db.tables import Product, ProductImage
from errors import NotFound
from studio.ports import Studio


@dataclass(frozen=True)
class ShownProduct:
    """A live product with its pictures after the first."""

    product: Product
    images: Sequence[ProductImage] = ()

    @property
    def id(self) -> str:
        """The product's id."""
        return self.product.id

    @property
    def created_at(self) -> datetime:
        """When the product was created."""
        return self.product.created_at

    @property
    def pictures(self) -> list[ShownPicture]:
        """All its pictures, in order."""
        return [self.product, *self.images]


async def find_product(studio: Studio, product_id: str) -> ShownProduct:
    """A live product.

    Raises:
        NotFound: there is no such product.
    """
    async with studio.database.read() as session:
        product = await find_shown(session, product_id)
    if product is None:
        raise NotFound(f"there is no product {product_id}")
    return product


async def find_shown(
    session: AsyncSession, product_id: str, *, lock: bool = False
) -> ShownProduct | None:
    """A live product, or None; `lock` locks its row until the transaction ends."""
    product = await get_product(session, product_id, lock=lock)
    if product is None:
        return None
    images = await list_images(session, [product_id])
    return ShownProduct(product, images.get(product_id, ()))


async def list_page(
    studio: Studio, *, limit: int, after: tuple[datetime, str] | None
) -> list[ShownProduct]:
    """Live products, newest first, those that come after the given (created_at, id)."""
    async with studio.database.read() as session:
        products = await list_products(session, limit=limit, after=after)
        images = await list_images(session, [product.id for product in products])
    return [ShownProduct(product, images.get(product.id, ())) for product in products]
