"""No session outlives a password change, a sign-out everywhere or a take-over beside of it."""

import asyncio

import pytest

from studio.accounts import passwords
from studio.accounts.accounts import OpenAccounts
from studio.accounts.sessions import SessionGrant, close_session, refresh_session
from studio.ports import Studio
from tests.support.session_races import (
    PAUSED,
    Ending,
    Opening,
    Pause,
    Sides,
    is_alive,
    open_sides,
    paused,
    race,
)


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 4)


@pytest.fixture
async def sides(studio: Studio) -> Sides:
    return await open_sides(studio)


@pytest.mark.parametrize(("opening", "ending", "pause"), PAUSED)
async def test_no_session_survives_its_end(
    studio: Studio, opening: Opening, ending: Ending, pause: Pause
) -> None:
    survivors = [await race(studio, opening, ending, pause) for _ in range(2)]
    assert not any(survivors)


async def test_a_logout_beside_a_refresh_ends_the_session(studio: Studio, sides: Sides) -> None:
    """The logout uses the access token, which contains the session's id but no refresh token."""
    with paused("read") as pausing:
        refreshing = asyncio.create_task(sides.open("refresh"))
        await pausing.reached.wait()
        logout = asyncio.create_task(
            close_session(studio, sides.stolen.session_id, sides.user_id, ip=None)
        )
        pausing.other.set_result(logout)
        successor, _ = await asyncio.gather(refreshing, logout)
    assert not await is_alive(studio, successor)


async def test_every_mass_end_raises_the_version_and_keeps_what_it_says(
    studio: Studio, sides: Sides
) -> None:
    accounts = OpenAccounts(studio.database)
    before = await accounts.find(sides.user_id, sides.own.session_id)
    await sides.end("password")
    after = await accounts.find(sides.user_id, sides.own.session_id)
    assert before is not None and after is not None
    assert after.token_version == before.token_version + 1
    own = await refresh_session(studio, sides.own.refresh_token, ip=None)
    assert isinstance(own, SessionGrant) and not await is_alive(studio, sides.stolen)
    await sides.end("everywhere")
    assert not await is_alive(studio, own)
