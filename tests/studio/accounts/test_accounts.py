"""Accounts and their roles, below HTTP."""

import asyncio
from uuid import uuid4

import pytest
from sqlmodel import col, update

from db.tables import User
from db.users import lock_admins
from errors import Conflict, Invalid, NotFound
from studio.accounts import passwords
from studio.accounts.accounts import change_role, create_user
from studio.accounts.forms import RoleForm
from studio.ports import Studio
from tests.support.fakes import PASSWORD

CUSTOMER = RoleForm(role="customer")


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 4)


async def test_any_role_for_operators_and_none_invented(studio: Studio) -> None:
    account = await create_user(
        studio.database, email="m@example.com", password=PASSWORD, role="merchant", name="M"
    )
    assert (account.role, account.name, account.token_version) == ("merchant", "M", 0)
    with pytest.raises(Invalid):
        await create_user(studio.database, email="x@example.com", password=PASSWORD, role="root")
    with pytest.raises(Conflict):
        await create_user(studio.database, email="M@EXAMPLE.com", password=PASSWORD)


async def test_roles_of_others_only(studio: Studio) -> None:
    admin = await create_user(
        studio.database, email="a@example.com", password=PASSWORD, role="admin"
    )
    with pytest.raises(Conflict):
        await change_role(studio, admin.id, CUSTOMER, actor_id=admin.id, ip=None)
    with pytest.raises(NotFound):
        await change_role(studio, uuid4(), CUSTOMER, actor_id=admin.id, ip=None)


async def test_admins_who_demote_each_other_leave_one(studio: Studio) -> None:
    for turn in range(5):
        first, second = [
            await create_user(
                studio.database, email=f"{name}{turn}@example.com", password=PASSWORD, role="admin"
            )
            for name in ("a", "b")
        ]
        answers = await asyncio.gather(
            change_role(studio, first.id, CUSTOMER, actor_id=second.id, ip=None),
            change_role(studio, second.id, CUSTOMER, actor_id=first.id, ip=None),
            return_exceptions=True,
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Account", "Forbidden"]
        async with studio.database.transaction() as session:
            (last,) = await lock_admins(session)
            await session.exec(update(User).where(col(User.id) == last).values(role="customer"))
