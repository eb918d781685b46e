"""The pictures of products: all of them in one view, replaced and deleted by product."""

from db.engine import Database
from db.files import get_public_key, is_on_sale
from db.product_images import delete_images, list_images, replace_images
from db.tables import File, Product, ProductImage, User
from tests.studio.deletion.rows import FILE, KEY, OWNER, product


def image(position: int, number: int = 1) -> ProductImage:
    return ProductImage(
        product_id=f"p-{number}", position=position, image_key=f"products/{number}/{position}.jpg",
        image_sha256="s", file_id=FILE if position == 2 else None,
    )  # fmt: skip


async def test_a_picture_at_any_place_is_on_sale_while_its_product_is_live(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=1)
    async with database.transaction() as session:
        session.add(User(id=OWNER, email="a@example.com", password_hash="x"))
        await session.flush()
        file = File(
            id=FILE, owner_id=OWNER, purpose="product", filename="a", size_bytes=1,
            content_type="image/png", blob_key=KEY, status="ready",
        )  # fmt: skip
        session.add_all([file, product(1), product(2)])
        await session.flush()
        await replace_images(session, "p-1", [image(1), image(2)])
        await replace_images(session, "p-2", [image(3, 2), image(1, 2)])
    async with database.transaction() as session:
        images = await list_images(session, ["p-1", "p-2", "p-3"])
        assert {name: [one.position for one in row] for name, row in images.items()} == {
            "p-1": [1, 2], "p-2": [1, 3],
        }  # fmt: skip
        assert await is_on_sale(session, file_id=FILE, blob_key="x")
        assert await is_on_sale(session, file_id=None, blob_key="products/2/3.jpg")
        assert await get_public_key(session, file_id=FILE, blob_key=KEY) == "products/1/2.jpg"
        await replace_images(session, "p-1", [image(1)])
        assert not await is_on_sale(session, file_id=FILE, blob_key=KEY)
        assert await delete_images(session, ["p-2"]) == {"products/2/1.jpg", "products/2/3.jpg"}
        assert await list_images(session, ["p-2"]) == {}
        row = await session.get(Product, "p-1")
        await session.delete(row)
    async with database.transaction() as session:
        assert await list_images(session, ["p-1"]) == {}, "they go with their product"
    await database.aclose()
