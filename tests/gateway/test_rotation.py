"""Every secret is changed under a running Gateway, which goes on without a restart."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from redis import Redis

import secret_files as module
from gateway.auth import AccessTokens
from secret_files import variable_of
from settings import load_settings
from studio.ports import Studio
from tests.gateway.resources import Account, open_account, upload
from tests.support.fakes import make_settings, open_client, open_studio

SECRETS = [f"secret number {number} of more than thirty-two bytes" for number in range(3)]


@dataclass
class Mount:
    """Files of secrets, which the studio reads again at every use."""

    folder: Path
    user: str = field(default_factory=lambda: f"rotating_{uuid4().hex}")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(f"{text}\n")

    def url_with(self, url: str, password: str) -> str:
        """The URL for the rotating user."""
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{self.user}:{password}@{place}"))


@pytest.fixture
def mount(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mount]:
    """Secrets of a studio that has a user of its own in both servers."""
    monkeypatch.setattr(module, "REREAD_S", 0.0)
    mounted = Mount(tmp_path)
    with cast(Any, Redis.from_url(redis_url)) as valkey:
        valkey.execute_command("ACL", "SETUSER", mounted.user, "on", ">one", "~*", "&*", "+@all")
        mounted.write("database_url", mounted.url_with(database_url, "one"))
        mounted.write("redis_url", mounted.url_with(redis_url, "one"))
        mounted.write("jwt_secret", SECRETS[0])
        mounted.write("jwt_previous_secret", SECRETS[2])
        for name in ("database_url", "redis_url", "jwt_secret", "jwt_previous_secret"):
            monkeypatch.setenv(variable_of(name), str(tmp_path / name))
        yield mounted
        valkey.execute_command("ACL", "DELUSER", mounted.user)


async def execute(url: str, *statements: str) -> None:
    """Runs statements as the owner of the database."""
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def studio(
    mount: Mount, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Studio]:
    owner = urlsplit(database_url).username
    await execute(
        database_url,
        f"CREATE ROLE {mount.user} LOGIN PASSWORD 'one' IN ROLE {owner}",
    )
    base = make_settings(database_url, redis_url, tmp_path / "blobs")
    names = ("database_url", "redis_url", "jwt_secret", "jwt_previous_secret")
    present = load_settings()
    settings = base.model_copy(update={name: getattr(present, name) for name in names})
    async with open_studio(settings) as opened:
        yield opened
    await execute(database_url, f"DROP ROLE {mount.user}")


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(studio) as opened:
        yield opened


@pytest.fixture
async def account(client: httpx.AsyncClient, studio: Studio) -> Account:
    return await open_account(client, studio, "customer")


async def ask(client: httpx.AsyncClient, account: Account) -> int:
    """The status of a request that needs the token, the database and the cache."""
    return (await client.get("/api/files", headers=account.headers)).status_code


async def test_the_database_password(
    client: httpx.AsyncClient, account: Account, mount: Mount, database_url: str
) -> None:
    await execute(database_url, f"ALTER ROLE {mount.user} PASSWORD 'two'")
    assert await ask(client, account) == 200  # on open connections
    mount.write("database_url", mount.url_with(database_url, "two"))
    await execute(
        database_url,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{mount.user}'",
    )
    assert [await ask(client, account) for _ in range(3)] == [200] * 3


async def test_a_password_that_is_changed_too_early_is_a_503(
    client: httpx.AsyncClient, account: Account, mount: Mount, database_url: str
) -> None:
    mount.write("database_url", mount.url_with(database_url, "two"))
    assert await ask(client, account) == 503
    await execute(database_url, f"ALTER ROLE {mount.user} PASSWORD 'two'")
    assert await ask(client, account) == 200


async def test_connections_with_an_old_url_are_replaced(
    client: httpx.AsyncClient, account: Account, mount: Mount, database_url: str
) -> None:
    assert await ask(client, account) == 200
    mount.write("database_url", database_url)  # another user
    assert [await ask(client, account) for _ in range(3)] == [200] * 3
    connection = await asyncpg.connect(database_url)
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND state <> 'idle'"
    assert await connection.fetchval(query, mount.user) == 0
    await connection.close()


async def test_the_cache_password(
    client: httpx.AsyncClient, studio: Studio, account: Account, mount: Mount, redis_url: str
) -> None:
    with cast(Any, Redis.from_url(redis_url)) as valkey:
        valkey.execute_command("ACL", "SETUSER", mount.user, "resetpass", ">two")
        mount.write("redis_url", mount.url_with(redis_url, "two"))
        valkey.execute_command("CLIENT", "KILL", "USER", mount.user)
    await studio.cache.check()
    assert await ask(client, account) == 200


async def test_the_secret_of_tokens_and_signed_urls(
    client: httpx.AsyncClient, studio: Studio, account: Account, mount: Mount
) -> None:
    old_url = (await upload(client, account))["readUrl"]
    mount.write("jwt_previous_secret", SECRETS[1])  # the new one verifies everywhere first
    assert await ask(client, account) == 200
    mount.write("jwt_secret", SECRETS[1])
    mount.write("jwt_previous_secret", SECRETS[0])
    assert await ask(client, account) == 200
    assert (await client.get(old_url)).status_code == 200
    new = await open_account(client, studio, "customer")
    only_new = AccessTokens(make_settings("x", "y", mount.folder, jwt_secret=SECRETS[1]))
    token = new.headers["Authorization"].removeprefix("Bearer ")
    assert only_new.read(token).user_id == new.id
    mount.write("jwt_previous_secret", SECRETS[2])  # the old one ends
    assert (await ask(client, account), await ask(client, new)) == (401, 200)
    assert (await client.get(old_url)).status_code == 403


async def test_an_empty_file_changes_nothing(
    client: httpx.AsyncClient, account: Account, mount: Mount
) -> None:
    for name in ("database_url", "redis_url", "jwt_secret"):
        (mount.folder / name).write_text("")
    assert await ask(client, account) == 200
