"""Queries over accounts and the tokens of their sessions."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from db.engine import Database
from db.tables import User
from db.users import (
    end_user,
    get_account_for_login,
    get_accounts_in_sessions,
    get_user,
    get_user_by_email,
    insert_refresh_token,
    insert_user,
    list_ended_users,
    list_users,
    lock_refresh_token,
    revoke_sessions,
)


@pytest.fixture
async def user(database: Database) -> User:
    async with database.transaction() as session:
        return await insert_user(
            session, email="Ada@example.com", password_hash="x", name="Ada", role="customer"
        )


async def open_session(database: Database, user_id: UUID, network: str) -> UUID:
    family_id = uuid4()
    async with database.transaction() as session:
        await insert_refresh_token(
            session, family_id=family_id, user_id=user_id, token_hash=family_id.bytes,
            expires_at=datetime.now(UTC) + timedelta(days=1), version=0, network=network,
        )  # fmt: skip
    return family_id


async def test_addresses_are_compared_without_case(database: Database, user: User) -> None:
    async with database.read() as session:
        row = await get_user_by_email(session, "ada@EXAMPLE.com")
        assert row is not None and row.id == user.id
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            await insert_user(
                session, email="ADA@example.com", password_hash="x", name=None, role="customer"
            )


async def test_the_network_of_a_session_is_known(database: Database, user: User) -> None:
    await open_session(database, user.id, "192.0.2.1")
    async with database.read() as session:
        for email, network, has_account, is_known in (
            ("ADA@example.com", "192.0.2.1", True, True),
            ("ada@example.com", "192.0.2.2", True, False),
            ("ada@example.com", None, True, False),
            ("Bob@example.com", "192.0.2.1", False, False),
        ):
            key, account, is_known_network = await get_account_for_login(session, email, network)
            assert key == email.lower()
            assert (account is not None, is_known_network) == (has_account, is_known)


async def test_all_sessions_but_one_are_revoked(database: Database, user: User) -> None:
    own, other = [await open_session(database, user.id, "192.0.2.1") for _ in range(2)]
    async with database.transaction() as session:
        assert await revoke_sessions(session, user.id, keep=own)
        assert not await revoke_sessions(session, uuid4())
    async with database.transaction() as session:
        accounts = await get_accounts_in_sessions(session, [(user.id, own), (user.id, other)])
        assert accounts == {(user.id, own): (user.id, "Ada@example.com", "Ada", "customer", 1)}
        assert await lock_refresh_token(session, own.bytes) is not None
        assert await lock_refresh_token(session, other.bytes) is None
        assert await lock_refresh_token(session, b"unknown") is None


async def test_an_ended_account_is_free_of_its_address(database: Database, user: User) -> None:
    own = await open_session(database, user.id, "192.0.2.1")
    async with database.transaction() as session:
        await end_user(session, user.id)
    async with database.read() as session:
        assert await get_user_by_email(session, "ada@example.com") is None
        assert await get_accounts_in_sessions(session, [(user.id, own)]) == {}
        assert await list_users(session, limit=9, after=None) == []
        assert await list_ended_users(session) == [user.id]
        row = await get_user(session, user.id)
        assert row is not None and row.ended_at is not None and row.name is None
