"""Rotating refresh tokens: one chain a session, and theft ends it."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func
from sqlmodel import select, update

from db.tables import RefreshToken
from errors import NotAuthenticated
from studio.accounts import passwords
from studio.accounts.accounts import OpenAccounts, create_user
from studio.accounts.sessions import (
    IDLE,
    SessionGrant,
    close_session,
    close_session_of,
    hash_token,
    open_session,
    refresh_session,
)
from studio.ports import Studio
from tests.support.fakes import PASSWORD


@pytest.fixture
async def first(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> SessionGrant:
    """A session that was just opened."""
    monkeypatch.setattr(passwords, "COST", 4)
    account = await create_user(studio.database, email="a@example.com", password=PASSWORD)
    async with studio.database.transaction() as session:
        return await open_session(session, account.id, 30)


async def refresh(studio: Studio, token: str) -> SessionGrant:
    return await refresh_session(studio, token, ip=None)


async def age(studio: Studio, token: str, seconds: float) -> None:
    """Moves the use of a token into the past."""
    async with studio.database.transaction() as session:
        row = (
            await session.exec(
                select(RefreshToken).where(RefreshToken.token_hash == hash_token(token))
            )
        ).one()
        assert row.used_at is not None
        row.used_at -= timedelta(seconds=seconds)


async def is_open(studio: Studio, session_id: UUID, user_id: UUID) -> bool:
    return await OpenAccounts(studio.database).find(user_id, session_id) is not None


async def test_a_chain_of_tokens(studio: Studio, first: SessionGrant) -> None:
    grant = first
    for _ in range(5):
        following = await refresh(studio, grant.refresh_token)
        assert following.session_id == first.session_id
        assert following.refresh_token != grant.refresh_token
        grant = following
    assert await is_open(studio, first.session_id, first.user_id)


async def test_a_lost_answer_may_be_asked_again_once(studio: Studio, first: SessionGrant) -> None:
    lost = await refresh(studio, first.refresh_token)
    again = await refresh(studio, first.refresh_token)
    assert (await refresh(studio, again.refresh_token)).session_id == first.session_id
    # The lost one was replaced; whoever holds it is not the one who went on.
    await age(studio, lost.refresh_token, 11)
    with pytest.raises(NotAuthenticated):
        await refresh(studio, lost.refresh_token)
    assert not await is_open(studio, first.session_id, first.user_id)


async def test_a_third_time_is_theft(studio: Studio, first: SessionGrant) -> None:
    await refresh(studio, first.refresh_token)
    last = await refresh(studio, first.refresh_token)
    with pytest.raises(NotAuthenticated):
        await refresh(studio, first.refresh_token)
    with pytest.raises(NotAuthenticated):
        await refresh(studio, last.refresh_token)


async def test_reuse_after_the_grace_ends_the_session(studio: Studio, first: SessionGrant) -> None:
    second = await refresh(studio, first.refresh_token)
    await age(studio, first.refresh_token, 11)
    with pytest.raises(NotAuthenticated):
        await refresh(studio, first.refresh_token)
    with pytest.raises(NotAuthenticated):
        await refresh(studio, second.refresh_token)


async def test_many_at_once_leave_one_living_end(studio: Studio, first: SessionGrant) -> None:
    answers = await asyncio.gather(
        *(refresh(studio, first.refresh_token) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(answer, SessionGrant) for answer in answers) <= 2
    assert all(isinstance(answer, SessionGrant | NotAuthenticated) for answer in answers)
    assert not await is_open(studio, first.session_id, first.user_id)


async def test_a_session_has_an_end_that_refreshing_does_not_move(
    studio: Studio, first: SessionGrant
) -> None:
    second = await refresh(studio, first.refresh_token)
    async with studio.database.transaction() as session:
        ends = (await session.exec(select(RefreshToken.expires_at))).all()
        assert len(set(ends)) == 1
        await session.exec(update(RefreshToken).values(expires_at=ends[0] - timedelta(days=31)))
    with pytest.raises(NotAuthenticated):
        await refresh(studio, second.refresh_token)


async def test_a_session_that_nobody_continues_is_over(studio: Studio, first: SessionGrant) -> None:
    second = await refresh(studio, first.refresh_token)
    async with studio.database.transaction() as session:
        await session.exec(update(RefreshToken).values(issued_at=func.now() - IDLE))
    with pytest.raises(NotAuthenticated):
        await refresh(studio, second.refresh_token)
    # That is no theft: the account may go on elsewhere, and the access token until it ends.
    assert await is_open(studio, first.session_id, first.user_id)


async def test_other_sessions_go_on(studio: Studio, first: SessionGrant) -> None:
    async with studio.database.transaction() as session:
        other = await open_session(session, first.user_id, 30)
    await close_session_of(studio, first.refresh_token, ip=None)
    await close_session_of(studio, "unknown", ip=None)
    assert not await is_open(studio, first.session_id, first.user_id)
    assert await is_open(studio, other.session_id, first.user_id)
    for token in ("", "unknown", "\ud800", "é" * 300, first.refresh_token):
        with pytest.raises(NotAuthenticated):
            await refresh(studio, token)


async def test_accounts_asked_for_at_once_are_told_apart(
    studio: Studio, first: SessionGrant
) -> None:
    other = await create_user(studio.database, email="b@example.com", password=PASSWORD)
    async with studio.database.transaction() as session:
        opened = [await open_session(session, other.id, 30) for _ in range(2)]
    await close_session(studio, opened[1].session_id, other.id, ip=None)
    sessions = [
        (first.user_id, first.session_id),
        (other.id, opened[0].session_id),
        (other.id, opened[1].session_id),  # has ended
        (other.id, first.session_id),  # another's
        (uuid4(), first.session_id),
    ] * 30
    accounts = OpenAccounts(studio.database)
    results = await asyncio.gather(*(accounts.find(*key) for key in sessions))
    assert [account and account.id for account in results] == [
        first.user_id,
        other.id,
        None,
        None,
        None,
    ] * 30
