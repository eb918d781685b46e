"""Exports: one at a time for an account, as a ZIP in pieces."""

import io
import json
import zipfile
from uuid import UUID

import pytest

from errors import RateLimited
from studio.accounts.accounts import create_user
from studio.accounts.export import WriteBuffer, begin_export
from studio.ports import Studio


@pytest.fixture
async def user_id(studio: Studio) -> UUID:
    account = await create_user(studio.database, email="a@example.com", password="x" * 12)
    return account.id


def test_a_buffer_gives_its_bytes_once() -> None:
    buffer = WriteBuffer()
    assert buffer.write(b"ab") == 2
    buffer.write(b"c")
    assert (buffer.take(), buffer.take()) == (b"abc", b"")


async def test_an_account_has_one_export_at_a_time(studio: Studio, user_id: UUID) -> None:
    export = await begin_export(studio, user_id, ip=None)
    with pytest.raises(RateLimited):
        await begin_export(studio, user_id, ip=None)
    await export.release()
    again = await begin_export(studio, user_id, ip=None)
    await again.release()


async def test_the_pieces_are_an_archive_of_the_rows(studio: Studio, user_id: UUID) -> None:
    export = await begin_export(studio, user_id, ip=None)
    data = b"".join([piece async for piece in export.pieces])
    await export.release()
    archive = zipfile.ZipFile(io.BytesIO(data))
    (user,) = json.loads(archive.read("users.json"))
    assert user["email"] == "a@example.com" and "password_hash" not in user
    assert json.loads(archive.read("files.json")) == []
