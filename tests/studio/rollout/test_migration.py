"""A new embedder beside the running one: built, tried, switched to and taken back, search up."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlmodel import col, select

from db.model_rollouts import EMBEDDER
from db.tables import AuditLog, Prediction, ProductEmbedding
from errors import Conflict, Invalid, Unavailable
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from studio.index.live import LiveIndex
from studio.index.versions import activate_version
from studio.ports import Studio
from studio.rollout.embedders import EmbedderPair
from studio.rollout.rollouts import finish, read_rollouts, set_share
from studio.rollout.watch import RolloutState, RolloutWatch
from studio.sales.forms import PredictForm
from studio.sales.predict import predict
from studio.search.forms import SimilarSearchForm
from studio.telemetry.health import check_rec
from tests.support.fakes import FakeEmbedder
from tests.support.live import SyncedIndex
from tests.support.migration import COLOURS, NextEmbedder, open_shop

OLD, NEW = "fake-embedder", "next-embedder"
ALL = set(COLOURS)


class UnawareWatch(RolloutWatch):
    """A Gateway that has not noticed what happened since its state was read."""

    def __init__(self, state: RolloutState) -> None:
        self.fixed = state

    async def state(self) -> RolloutState:
        return self.fixed


def unaware(studio: Studio, following: NextEmbedder, active: str) -> Studio:
    """A Gateway that believes this embedder to be that of the active index."""
    assert isinstance(studio.embedder, EmbedderPair)
    watch = UnawareWatch(RolloutState({}, active, {EMBEDDER: NEW}))
    return replace(
        studio, embedder=EmbedderPair(FakeEmbedder(index=studio.index), following, watch)
    )


def similar_to(product_id: str) -> SimilarSearchForm:
    return SimilarSearchForm.model_validate({"similarTo": product_id})


async def vectors_of(studio: Studio, product_id: str) -> set[str]:
    async with studio.database.read() as session:
        query = select(ProductEmbedding.embedder_version).where(
            col(ProductEmbedding.product_id) == product_id
        )
        return set(await session.exec(query))


async def test_an_index_for_the_next_embedder_waits_beside_the_active_one(studio: Studio) -> None:
    shop = await open_shop(studio)
    active = (await studio.index.status())["version"]
    beside = await shop.rebuild(next=True)
    status = await studio.index.status()
    assert (status["version"], status["beside"]) == (active, beside)
    assert await shop.answer() == (OLD, ALL)
    assert await studio.embedder.version() == OLD


async def test_a_share_of_the_callers_is_answered_by_the_next_one_and_taken_back(
    studio: Studio,
) -> None:
    shop = await open_shop(studio)
    with pytest.raises(Conflict, match=r"jobs\.reindex --next"):
        await set_share(studio.database, EMBEDDER, 1.0)
    await shop.rebuild(next=True)
    for share, embedder in ((1.0, NEW), (0.0, OLD), (1.0, NEW)):
        await set_share(studio.database, EMBEDDER, share)
        assert await shop.answer() == (embedder, ALL)
        similar = await shop.find(similar_to("red"))
        assert {match.product.id for match in similar.matches} == ALL - {"red"}
        assert await studio.embedder.version() == OLD, "scores stay with the one in service"
    async with studio.database.read() as session:
        rows = await session.exec(select(AuditLog).where(col(AuditLog.action) == "MODEL_SHARE"))
        assert sorted(str(row.subject) for row in rows) == [
            "embedder 0", "embedder 1", "embedder 1",
        ]  # fmt: skip


async def test_products_that_change_meanwhile_are_in_both_indexes(studio: Studio) -> None:
    shop = await open_shop(studio)
    await shop.rebuild(next=True)
    await shop.put("new", "purple")
    await shop.put("red", "cyan")
    assert await vectors_of(studio, "new") == await vectors_of(studio, "red") == {OLD, NEW}
    for share in (0.0, 1.0):
        await set_share(studio.database, EMBEDDER, share)
        assert (await shop.answer())[1] == ALL | {"new"}
        nearest = await shop.find(similar_to("new"))
        assert {match.product.id for match in nearest.matches} == ALL


async def test_an_activation_switches_index_and_embedder_and_so_does_the_way_back(
    studio: Studio, following: NextEmbedder
) -> None:
    shop = await open_shop(studio)
    first = await shop.rebuild()
    second = await shop.rebuild(next=True)
    for version, embedder, other in ((second, NEW, OLD), (first, OLD, NEW), (second, NEW, OLD)):
        await set_share(studio.database, EMBEDDER, 1.0)
        await activate_version(studio, version)
        assert await studio.embedder.version() == embedder
        assert await shop.answer() == (embedder, ALL)
        (rollout,) = await read_rollouts(studio.database)
        assert (rollout.embedder_version, rollout.share) == (other, 0.0)
        for believed in (OLD, NEW):  # a Gateway that is behind is answered by either
            gateway = unaware(studio, following, believed)
            assert await shop.answer(studio=gateway) == (believed, ALL)


async def test_a_replica_that_has_not_loaded_the_new_index_answers_by_the_old_one(
    studio: Studio,
) -> None:
    shop = await open_shop(studio)
    await shop.rebuild()
    assert isinstance(studio.index, SyncedIndex)
    behind = studio.index.live
    await behind.sync()
    second = await shop.rebuild(next=True)

    class BehindIndex(SyncedIndex):
        """Does not read the catalogue before it answers."""

        async def search(self, query: SearchQuery) -> SearchAnswer:
            return await self.live.search(query)

        async def catalogue_values(self) -> CatalogueValues:
            return await self.live.catalogue_values()

    index = BehindIndex(behind)
    assert isinstance(studio.embedder, EmbedderPair)
    following = NextEmbedder(NEW, index)
    pair = EmbedderPair(FakeEmbedder(index=index), following, studio.embedder._watch)
    gateway = replace(studio, index=index, embedder=pair)
    await activate_version(studio, second)
    assert await gateway.embedder.version() == NEW
    assert await shop.answer(studio=gateway) == (OLD, ALL)
    await behind.sync()
    assert await shop.answer(studio=gateway) == (NEW, ALL)


async def test_the_former_index_follows_the_catalogue_until_the_rollout_is_finished(
    studio: Studio, following: NextEmbedder
) -> None:
    shop = await open_shop(studio)
    await shop.rebuild()
    await activate_version(studio, await shop.rebuild(next=True))
    await shop.put("later", "purple")
    gateway = unaware(studio, following, OLD)
    assert await shop.answer(studio=gateway) == (OLD, ALL | {"later"})
    await finish(studio.database, EMBEDDER)
    with pytest.raises(Conflict, match="no rollout"):
        await finish(studio.database, EMBEDDER)
    assert (await studio.index.status())["beside"] is None
    assert await shop.answer() == (NEW, ALL | {"later"})


async def test_a_next_embedder_that_is_down_costs_no_search_and_no_product(
    studio: Studio, following: NextEmbedder
) -> None:
    shop = await open_shop(studio)
    await shop.rebuild(next=True)
    await set_share(studio.database, EMBEDDER, 1.0)
    gateway_behind = unaware(
        studio, following, OLD
    )  # its state still says that the next one answers
    assert isinstance(gateway_behind.embedder, EmbedderPair)
    watch = gateway_behind.embedder._watch
    assert isinstance(watch, UnawareWatch)
    watch.fixed = replace(watch.fixed, shares={EMBEDDER: 1.0})
    following.failure = Unavailable("EmbedderNext is starting or down")
    for gateway in (studio, gateway_behind):
        assert await shop.answer(studio=gateway) == (OLD, ALL)
    shop.studio = gateway_behind
    await shop.put("new", "purple")
    assert await vectors_of(studio, "new") == {OLD}
    following.failure = None
    await shop.rebuild(next=True)
    assert await vectors_of(studio, "new") == {OLD, NEW}


async def test_a_gateway_that_still_asks_the_removed_next_one_is_answered_by_its_successor(
    studio: Studio, following: NextEmbedder
) -> None:
    """After the deploy that makes the next embedder the only one."""
    shop = await open_shop(studio)
    await activate_version(studio, await shop.rebuild(next=True))
    behind = unaware(studio, following, NEW)
    assert isinstance(behind.embedder, EmbedderPair)
    successor = NextEmbedder(NEW, studio.index)
    pair = EmbedderPair(successor, following, behind.embedder._watch)
    following.failure = Unavailable("EmbedderNext is starting or down")
    shop.studio = gateway = replace(studio, embedder=pair)
    assert await gateway.embedder.version() == NEW
    await shop.put("new", "purple")
    assert await vectors_of(studio, "new") == {NEW}
    assert await shop.answer() == (NEW, ALL | {"new"})


async def test_scores_go_on_by_the_embedder_of_the_regressor(studio: Studio) -> None:
    shop = await open_shop(studio)
    await activate_version(studio, await shop.rebuild(next=True))
    form = PredictForm.model_validate({"productId": "red", "category": "dress"})
    answer = await predict(studio, shop.owner.id, form)
    assert answer.score.model_version
    async with studio.database.read() as session:
        (row,) = await session.exec(select(Prediction))
        assert row.embedder_version == OLD


async def test_the_studio_is_well_while_a_replica_has_not_switched(
    studio: Studio, following: NextEmbedder
) -> None:
    shop = await open_shop(studio)
    await shop.rebuild(next=True)
    await check_rec(unaware(studio, following, NEW))
    await check_rec(unaware(studio, following, OLD))


async def test_words_of_a_replaced_embedder_are_embedded_again(studio: Studio) -> None:
    """After a deploy, a Gateway may know the former embedder's version and vectors."""

    class RolledEmbedder(NextEmbedder):
        """Names its former version for a while, as `EmbedderHandle.version` may."""

        async def version(self) -> str:
            return OLD

    shop = await open_shop(studio)
    await shop.rebuild()
    assert await shop.answer("dress") == (OLD, ALL)  # caches the vector of the words
    await activate_version(studio, await shop.rebuild(next=True))
    await finish(studio.database, EMBEDDER)
    assert isinstance(studio.index, SyncedIndex)
    live = studio.index.live
    await live.sync()
    live._previous = None  # as after ten minutes
    gateway = replace(studio, embedder=RolledEmbedder(NEW, studio.index))
    assert await shop.answer("dress", studio=gateway) == (NEW, ALL)
    similar = await shop.find(similar_to("red"), gateway)
    assert {match.product.id for match in similar.matches} == ALL - {"red"}


async def test_an_index_that_is_damaged_beside_leaves_the_active_one_alone(
    studio: Studio,
) -> None:
    shop = await open_shop(studio)
    version = await shop.rebuild(next=True)
    async for key in studio.blobs.list(f"indexes/{version}/"):
        await studio.blobs.delete(key)
    assert isinstance(studio.index, SyncedIndex)
    with ThreadPoolExecutor(1) as thread:
        cache = studio.settings.data_dir / "another"
        fresh = LiveIndex(studio.database, studio.blobs, thread, cache)
        await fresh.sync()
        assert fresh.status()["version"] and fresh.status()["beside"] is None


async def test_only_a_known_model_and_a_share_are_accepted(studio: Studio) -> None:
    for model, share in (("painter", 0.1), (EMBEDDER, 1.5), (EMBEDDER, -0.1)):
        with pytest.raises(Invalid, match="expected"):
            await set_share(studio.database, model, share)
