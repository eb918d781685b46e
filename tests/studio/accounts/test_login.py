"""Logins by password."""

import pytest

from errors import NotAuthenticated
from studio.accounts import passwords
from studio.accounts.accounts import create_user
from studio.accounts.forms import LoginForm
from studio.accounts.login import log_in
from studio.ports import Studio
from tests.support.fakes import PASSWORD


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", 4)


async def test_a_success_forgets_the_failures(studio: Studio) -> None:
    await create_user(studio.database, email="a@example.com", password=PASSWORD)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(NotAuthenticated):
                await log_in(studio, LoginForm(email="a@example.com", password="wrong"), ip=None)
        await log_in(studio, LoginForm(email="A@example.com ", password=PASSWORD), ip=None)
