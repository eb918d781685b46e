"""Queries over the pictures of products: the first is in `product`, others in `product_image`."""

from collections.abc import Iterable, Sequence

from sqlalchemy import literal, union_all
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import Product, ProductImage

ShownPicture = Product | ProductImage
"""A row with a picture: `file_id`, `image_key`, `image_url`, `image_sha256`."""

SHOWN = union_all(
    select(
        col(Product.id).label("product_id"),
        literal(0).label("position"),
        col(Product.file_id),
        col(Product.image_key),
    ).where(col(Product.deleted_at).is_(None)),
    select(
        col(ProductImage.product_id),
        col(ProductImage.position),
        col(ProductImage.file_id),
        col(ProductImage.image_key),
    ),
).subquery("shown")
"""All pictures of live products: product_id, position, file_id, image_key."""


async def list_images(
    session: AsyncSession, product_ids: Sequence[str]
) -> dict[str, list[ProductImage]]:
    """The pictures after the first of each product, in order; products without any are left out."""
    query = (
        select(ProductImage)
        .where(col(ProductImage.product_id).in_(product_ids))
        .order_by(col(ProductImage.product_id), col(ProductImage.position))
    )
    images: dict[str, list[ProductImage]] = {}
    for image in await session.exec(query):
        images.setdefault(image.product_id, []).append(image)
    return images


async def replace_images(
    session: AsyncSession, product_id: str, images: Iterable[ProductImage]
) -> None:
    """Makes these the product's pictures after the first; the caller has locked its row."""
    await delete_images(session, [product_id])
    session.add_all(images)
    await session.flush()


async def delete_images(session: AsyncSession, product_ids: Sequence[str]) -> set[str]:
    """Deletes the pictures after the first of these products. Returns the keys of their blobs."""
    statement = delete(ProductImage).where(col(ProductImage.product_id).in_(product_ids))
    rows = await session.exec(
        statement.returning(col(ProductImage.image_key)),
        execution_options={"synchronize_session": "fetch"},
    )
    return set(rows.scalars().all())
