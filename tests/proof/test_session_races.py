"""`make proof`: two hundred races of a sign-in or a refresh against the end of all sessions."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from studio.accounts import passwords
from studio.ports import Studio
from tests.support.fakes import make_settings, open_studio
from tests.support.session_races import ENDINGS, OPENINGS, PAUSED, race

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

RACES = 200


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    async with open_studio(make_settings(database_url, redis_url, tmp_path / "blobs")) as opened:
        yield opened


async def test_two_hundred_races_leave_no_session(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "COST", 6)
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    random.seed(seed)
    survivors = []
    for number in range(RACES):
        opening, ending, pause = PAUSED[number // 2 % len(PAUSED)]
        if number % 2:
            opening, ending = OPENINGS[number // 2 % 2], ENDINGS[number // 4 % 3]
            pause = "none"
        if await race(studio, opening, ending, pause):
            survivors.append((number, opening, ending, pause))
    assert survivors == []
