"""Accounts and their roles, below HTTP."""

import asyncio
from uuid import uuid4

import pytest
from sqlmodel import col, update

from db.tables import User
from db.users import lock_admins
from errors import Conflict, Invalid, NotAuthenticated, NotFound
from studio.accounts import passwords
from studio.accounts.accounts import change_role, create_user, log_in, normalise_email
from studio.accounts.slowdown import ACCOUNT, ADDRESS, LoginThrottle, SlowDown
from studio.ports import Studio
from tests.support.fakes import PASSWORD


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 4)


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("  Ada@Example.COM ", "Ada@example.com"),
        ("admin@demo.studio", "admin@demo.studio"),
        ("ünï@example.com", "ünï@example.com"),
        ("a+b@sub.example.com", "a+b@sub.example.com"),
    ],
)
def test_how_addresses_are_stored(address: str, stored: str) -> None:
    assert normalise_email(address) == stored


@pytest.mark.parametrize(
    "text",
    ["", "a", "@b.com", "a@", "a@b", "a b@example.com", "a@exa mple.com", "a@b@example.com",
     "a@[127.0.0.1]", "a\n@example.com", "a@example.com\r\nBcc: x"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Invalid):
        normalise_email(text)


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
        await change_role(studio, admin.id, "customer", actor_id=admin.id, ip=None)
    with pytest.raises(NotFound):
        await change_role(studio, uuid4(), "customer", actor_id=admin.id, ip=None)


async def test_admins_who_demote_each_other_leave_one(studio: Studio) -> None:
    for turn in range(5):
        first, second = [
            await create_user(
                studio.database, email=f"{name}{turn}@example.com", password=PASSWORD, role="admin"
            )
            for name in ("a", "b")
        ]
        answers = await asyncio.gather(
            change_role(studio, first.id, "customer", actor_id=second.id, ip=None),
            change_role(studio, second.id, "customer", actor_id=first.id, ip=None),
            return_exceptions=True,
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Account", "Forbidden"]
        async with studio.database.transaction() as session:
            (last,) = await lock_admins(session)
            await session.exec(update(User).where(col(User.id) == last).values(role="customer"))


def test_waits_double_up_to_their_end() -> None:
    assert [ACCOUNT.wait_s(failures) for failures in (0, 4, 5, 6, 7, 8, 50)] == [
        0, 0, 1, 2, 4, 8, 60,
    ]  # fmt: skip
    assert ADDRESS.wait_s(19) == 0
    assert ADDRESS.wait_s(10_000) == 900


async def fail_login(studio: Studio, email: str, address: str | None) -> None:
    """One attempt that was admitted and failed."""
    pace = LoginThrottle(studio.cache, account=email, address=address)
    await pace.admit()
    await pace.shut()


async def test_one_try_per_wait_however_many_come(studio: Studio) -> None:
    for _ in range(5):
        await fail_login(studio, "a@example.com", None)
    pace = LoginThrottle(studio.cache, account="a@example.com", address="192.0.2.1")
    for _ in range(3):  # who was refused doesn't make the wait longer
        with pytest.raises(SlowDown) as slowed:
            await pace.admit()
        assert slowed.value.retry_after_s == 1
    await pace.forgive()
    await pace.admit()


async def test_tries_side_by_side_are_counted_before_they_are_judged(studio: Studio) -> None:
    paces = [LoginThrottle(studio.cache, account="a@example.com", address=None) for _ in range(40)]
    answers = await asyncio.gather(*(pace.admit() for pace in paces), return_exceptions=True)
    # Five are free, and of the others one a wait; the first waits are a second or two.
    assert 5 <= sum(answer is None for answer in answers) <= 9
    assert all(answer is None or isinstance(answer, SlowDown) for answer in answers)


async def test_an_address_slows_down_over_many_accounts(studio: Studio) -> None:
    for number in range(20):
        await fail_login(studio, f"a{number}@example.com", "192.0.2.1")
    fresh = LoginThrottle(studio.cache, account="new@example.com", address="192.0.2.1")
    with pytest.raises(SlowDown):
        await fresh.admit()
    await LoginThrottle(studio.cache, account="new@example.com", address="192.0.2.2").admit()


async def test_own_successes_do_not_whitewash_an_address(studio: Studio) -> None:
    for number in range(20):
        await fail_login(studio, f"a{number}@example.com", "192.0.2.1")
        own = LoginThrottle(studio.cache, account="own@example.com", address="192.0.2.1")
        if number < 19:
            await own.admit()
            await own.forgive()
    with pytest.raises(SlowDown):
        await own.admit()


async def test_a_success_forgets_the_failures(studio: Studio) -> None:
    await create_user(studio.database, email="a@example.com", password=PASSWORD)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(NotAuthenticated):
                await log_in(studio, email="a@example.com", password="wrong", ip=None)
        await log_in(studio, email="A@example.com ", password=PASSWORD, ip=None)
