"""A share of the callers is served by the next segmenter or try-on model, all others as before.

Where the next model is down, the one in service answers its callers.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from errors import Unavailable
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from models.tryon.shapes import TryOnLoad, TryOnOrder, TryOnResult, TryOnStep, TryOnTicket
from studio.ports import Segmenter, TryOn
from studio.rollout.watch import RolloutWatch

SEGMENTER = "segmenter"
TRYON = "tryon"


class SegmenterPair:
    """`studio.ports.Segmenter` over the one in service and the next one."""

    def __init__(self, present: Segmenter, following: Segmenter, watch: RolloutWatch) -> None:
        self._present = present
        self._following = following
        self._watch = watch

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        """Segments a stored picture."""
        if await self._watch.is_for_next(SEGMENTER):
            try:
                return await self._following.segment(image_key, prompt, mask_key)
            except Unavailable:
                pass
        return await self._present.segment(image_key, prompt, mask_key)

    async def version(self) -> str:
        """Identifies the networks in service."""
        return await self._present.version()


class TryOnPair:
    """`studio.ports.TryOn` over the one in service and the next one."""

    def __init__(self, present: TryOn, following: TryOn, watch: RolloutWatch) -> None:
        self._present = present
        self._following = following
        self._watch = watch

    async def dress(
        self, order: TryOnOrder, ticket: TryOnTicket
    ) -> AsyncIterator[TryOnStep | TryOnResult]:
        """The steps of a try-on, then its result; leaving the iteration cancels it."""
        if await self._watch.is_for_next(TRYON, f"user:{ticket.owner}"):
            is_started = False
            try:
                async with aclosing(_stream(self._following, order, ticket)) as steps:
                    async for step in steps:
                        is_started = True
                        yield step
                return
            except Unavailable:
                if is_started:
                    raise
        async with aclosing(_stream(self._present, order, ticket)) as steps:
            async for step in steps:
                yield step

    async def load(self) -> TryOnLoad:
        """The backlog and the limits of the model that would serve this caller."""
        if await self._watch.is_for_next(TRYON):
            try:
                return await self._following.load()
            except Unavailable:
                pass
        return await self._present.load()


def _stream(
    tryon: TryOn, order: TryOnOrder, ticket: TryOnTicket
) -> AsyncGenerator[TryOnStep | TryOnResult, None]:
    return cast("AsyncGenerator[TryOnStep | TryOnResult, None]", tryon.dress(order, ticket))
