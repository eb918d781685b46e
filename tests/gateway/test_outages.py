"""PostgreSQL, Valkey and the blob store stop under load: callers get right errors, then recover."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from db.migrate import upgrade
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
from tests.support.fakes import make_settings, open_client, sign_in
from tests.support.live import open_live_studio
from tests.support.outages import Callers, Server, interrupt


@pytest.fixture
def servers() -> Iterator[tuple[Postgres, Valkey, Path]]:
    """A PostgreSQL, a Valkey and a folder for this test only."""
    with tempfile.TemporaryDirectory(prefix="studio-outage-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres, valkey = Postgres(folder), Valkey(folder)
        upgrade(postgres.start())
        valkey.start()
        yield postgres, valkey, folder
        valkey.stop()
        postgres.stop()


@pytest.fixture
async def callers(servers: tuple[Postgres, Valkey, Path]) -> AsyncIterator[Callers]:
    postgres, valkey, folder = servers
    settings = make_settings(postgres.url(), valkey.url, folder / "blobs")
    async with open_live_studio(settings) as studio, open_client(studio) as client:
        group = Callers(client, await sign_in(client, studio, "merchant"))
        await group.prepare()
        yield group


# Slow: three servers stop and start under load.
async def test_servers_come_and_go_and_nothing_acknowledged_is_lost(
    servers: tuple[Postgres, Valkey, Path], callers: Callers
) -> None:
    postgres, valkey, folder = servers
    blobs, aside = folder / "blobs", folder / "aside"

    def lose_blobs() -> None:
        blobs.rename(aside)
        blobs.write_text("no folder any more")

    def find_blobs() -> None:
        blobs.unlink()
        aside.rename(blobs)

    turns = [
        Server("PostgreSQL", postgres.stop, postgres.start),
        Server("Valkey", valkey.stop, valkey.start),
        Server("blob store", lose_blobs, find_blobs),
    ]
    await interrupt(callers, turns, down_s=1.0)
    log = callers.log
    refused = {name for (name, status) in log.statuses if status == 503}
    went_on = {name for (name, status) in log.statuses if status in {200, 201}}
    assert {"register", "search"} < refused and refused & {"put", "complete"}, log.statuses
    assert {"register", "put", "search", "complete"} <= went_on, log.statuses
    assert all(len(log.acknowledged[what]) > 3 for what in ("account", "product", "file"))
