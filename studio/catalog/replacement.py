"""Removes an account's products that a complete file of its catalogue does not name."""

from collections.abc import AsyncIterator

from db.catalog import list_owned_ids
from errors import Invalid, NotFound
from studio.catalog.catalog import Owner, delete_product
from studio.ports import Studio

PAGE = 1000


async def remove_unnamed(
    studio: Studio, owner: Owner, named: set[str] | None, *, force: bool
) -> int:
    """Removes the owner's products that are not named. Returns how many.

    `named`: the ids of the file; None if they are not all known.

    Raises:
        Invalid: more than half of the owner's products would be removed, or ids are unknown, and
            `force` is not set; nothing is removed then.
    """
    if named is None:
        raise Invalid(
            "nothing was removed: lines that can't be read have no id, so their products are "
            "not known; mend them. All other lines were imported"
        )
    count, unnamed = 0, []
    async for product_id in _ids_of(studio, owner):
        count += 1
        if product_id not in named:
            unnamed.append(product_id)
    if 2 * len(unnamed) > count and not force:
        raise Invalid(
            f"nothing was removed: the file does not name {len(unnamed):,} of {count:,} products, "
            "more than half; repeat it with ?force=true. All its good lines were imported"
        )
    for product_id in unnamed:
        try:
            await delete_product(studio, owner, product_id)
        except NotFound:  # deleted meanwhile
            continue
    return len(unnamed)


async def _ids_of(studio: Studio, owner: Owner) -> AsyncIterator[str]:
    after = ""
    while True:
        async with studio.database.read() as session:
            ids = await list_owned_ids(session, owner.id, after=after, limit=PAGE)
        for product_id in ids:
            yield product_id
        if len(ids) < PAGE:
            return
        after = ids[-1]
