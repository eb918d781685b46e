"""A share of the callers reaches the next segmenter or try-on model; a failure costs no answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from errors import Unavailable
from integrations.fair_semaphore import Caller
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from models.tryon.shapes import TryOnLoad, TryOnOrder, TryOnResult, TryOnStep, TryOnTicket
from studio.context import acting_for
from studio.ports import Studio
from studio.rollout.pairs import SEGMENTER, TRYON, SegmenterPair, TryOnPair
from studio.rollout.rollouts import set_share
from studio.rollout.watch import RolloutWatch, place_of
from tests.support.fakes import FakeSegmenter, FakeTryOn, picture

ORDER = TryOnOrder(person_key="person", garment_key="garment", mask_key="mask", category="upper")
TICKET = TryOnTicket("tryon/output.png", 0.0, "shopper", "")


class NextSegmenter(FakeSegmenter):
    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        return replace(await super().segment(image_key, prompt, mask_key), version="next")


class NextTryOn(FakeTryOn):
    """Names itself in its answers; may fail after its first step."""

    fails_late = False

    async def dress(
        self, order: TryOnOrder, ticket: TryOnTicket
    ) -> AsyncIterator[TryOnStep | TryOnResult]:
        async for step in super().dress(order, ticket):
            yield replace(step, model_version="next") if isinstance(step, TryOnResult) else step
            if self.fails_late:
                raise Unavailable("TryOnNext is starting or down")

    async def load(self) -> TryOnLoad:
        return replace(await super().load(), model_version="next")


async def put_pictures(studio: Studio) -> None:
    for key in ("person", "garment", "mask"):
        await studio.blobs.put(key, picture(), "image/jpeg")


async def dress(pair: TryOnPair) -> str:
    """The model that made the picture."""
    async for step in pair.dress(ORDER, TICKET):
        if isinstance(step, TryOnResult):
            return step.model_version
    raise AssertionError("there was no result")


async def test_a_share_is_segmented_by_the_next_one(studio: Studio) -> None:
    await put_pictures(studio)
    following = NextSegmenter(studio.blobs)
    watch = RolloutWatch(studio.database, {SEGMENTER: following.version})
    pair = SegmenterPair(FakeSegmenter(studio.blobs), following, watch)

    async def model() -> str:
        prompt = SegmentPrompt(target="garment")
        return (await pair.segment("garment", prompt, "mask-2")).version

    for share, version in ((0.0, "fake-segmenter"), (1.0, "next"), (0.0, "fake-segmenter")):
        await set_share(studio.database, SEGMENTER, share)
        assert await model() == version
    await set_share(studio.database, SEGMENTER, 1.0)
    following.failure = Unavailable("SegmenterNext is starting or down")
    assert await model() == "fake-segmenter"


async def test_a_share_is_dressed_by_the_next_one(studio: Studio) -> None:
    await put_pictures(studio)
    following = NextTryOn(studio.blobs)

    async def version() -> str:
        return (await following.load()).model_version

    pair = TryOnPair(
        FakeTryOn(studio.blobs), following, RolloutWatch(studio.database, {TRYON: version})
    )
    for share, model in ((0.0, "fake-tryon"), (1.0, "next"), (0.0, "fake-tryon")):
        await set_share(studio.database, TRYON, share)
        assert await dress(pair) == model
        with acting_for(Caller("user:shopper", "")):
            assert (await pair.load()).model_version == model
    await set_share(studio.database, TRYON, 1.0)
    following.fails_late = True
    with pytest.raises(Unavailable):  # half a try-on is not made again by another model
        await dress(pair)
    following.failure = Unavailable("TryOnNext is starting or down")
    assert await dress(pair) == "fake-tryon"


async def test_a_next_model_that_never_answers_delays_nobody(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr("studio.rollout.watch.PROBE_S", 0.01)
    watch = RolloutWatch(studio.database, {SEGMENTER: hang})
    await set_share(studio.database, SEGMENTER, 1.0)
    assert not await watch.is_for_next(SEGMENTER)
    assert (await watch.state()).next == {}


def test_a_caller_keeps_its_side_and_a_larger_share_takes_nobody_back() -> None:
    places = [place_of("embedder", f"user:{number}") for number in range(4000)]
    assert places == [place_of("embedder", f"user:{number}") for number in range(4000)]
    assert min(places) >= 0 and max(places) < 1
    for share in (0.05, 0.5, 0.95):
        assert sum(place < share for place in places) / len(places) == pytest.approx(
            share, abs=0.03
        )
    others = [place_of("tryon", f"user:{number}") for number in range(4000)]
    both = sum(a < 0.5 and b < 0.5 for a, b in zip(places, others, strict=True))
    assert both / len(places) == pytest.approx(0.25, abs=0.03), "models roll out independently"
