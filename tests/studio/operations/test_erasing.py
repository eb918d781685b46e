"""Deletions that are repeated after a restore."""

from uuid import UUID, uuid4

import pytest

from db.tables import Erasure, File, SegmentationResult, User
from errors import Invalid
from studio.operations.erasing import ERASERS, repeat_erasure
from studio.ports import Studio
from tests.studio.deletion.rows import FILE, KEY, rows


async def test_a_file_is_deleted_again_with_its_masks(studio: Studio, owner: UUID) -> None:
    await repeat_erasure(studio, "file", str(FILE))
    assert await rows(studio, File.id) == await rows(studio, SegmentationResult.id) == []
    assert await studio.blobs.head(KEY) is None
    assert await rows(studio, User.id) == [owner]
    assert await rows(studio, Erasure.subject) == [str(FILE)]


@pytest.mark.parametrize("kind", sorted(ERASERS))
async def test_what_does_not_exist_is_left_alone(studio: Studio, kind: str) -> None:
    await repeat_erasure(studio, kind, str(uuid4()))
    assert await rows(studio, Erasure.subject) == []


async def test_other_kinds_are_refused(studio: Studio) -> None:
    with pytest.raises(Invalid):
        await repeat_erasure(studio, "table", str(uuid4()))
