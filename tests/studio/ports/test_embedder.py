"""An embedder that is alone is in service, answers every search, and has no next one."""

import pytest

from errors import SetupError
from tests.support.fakes import FakeEmbedder, picture


async def test_an_embedder_alone_stands_for_all() -> None:
    embedder = FakeEmbedder("alone")
    assert await embedder.in_order() == await embedder.search_order() == [embedder]
    assert await embedder.served_versions() == ["alone"]
    (embedding,) = await embedder.embed_for_all(picture())
    assert embedding.version == "alone"


def test_an_embedder_alone_has_no_next_one() -> None:
    with pytest.raises(SetupError, match="STUDIO_EMBEDDER_NEXT"):
        FakeEmbedder().next()
