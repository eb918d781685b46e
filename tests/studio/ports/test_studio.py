"""A process opens only the parts of the studio that it needs, and closes them all at once."""

import copy
import pickle
from typing import Any, cast

import pytest

from errors import Unavailable
from settings import Settings
from studio.ports import ABSENT, Absent, Studio


class Part:
    """Counts how often it is closed."""

    def __init__(self) -> None:
        self.closings = 0

    async def aclose(self) -> None:
        self.closings += 1


def parts(*names: str) -> Any:
    return {name: cast(Any, Part()) for name in names}


async def test_a_part_that_was_left_out_says_so() -> None:
    studio = Studio(Settings(), **parts("database"))
    with pytest.raises(Unavailable, match="without this part"):
        await studio.embedder.version()
    with pytest.raises(Unavailable):
        await studio.cache.get("key")


async def test_every_connection_is_closed_once() -> None:
    opened = parts("database", "blobs", "cache", "fetcher", "paypal")
    await Studio(Settings(), **opened).aclose()
    assert [part.closings for part in opened.values()] == [1] * 5


async def test_parts_that_were_left_out_are_not_closed() -> None:
    opened = parts("database", "blobs")
    await Studio(Settings(), **opened).aclose()
    assert [part.closings for part in opened.values()] == [1, 1]


def test_an_absent_part_can_be_copied_and_pickled() -> None:
    for other in (copy.copy(ABSENT), pickle.loads(pickle.dumps(ABSENT))):
        assert isinstance(other, Absent)
