"""The Dispatcher's background tasks: each of them is killed, and the health check fails."""

import asyncio
import io
import warnings
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from db.tables import AuditLog
from errors import Unavailable
from models.embedder.embedder import EmbedderConfig
from studio import background
from studio.files import unfinished
from studio.jobs import old_jobs
from studio.telemetry.logs import configure_logging
from tests.support.fakes import make_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve's own, of what it imports
    from deployments import dispatcher as module
    from deployments.dispatcher import Dispatcher, DispatcherConfig
    from deployments.serve import replica

NAMES = ("watch", "tidy", "job-notices")


class NoIndex:
    """A handle whose calls fail at once; these tests are about tasks, not about the index."""

    def __getattr__(self, _: str) -> Any:
        raise AttributeError


class OwnedDispatcher(Dispatcher):
    """Serve awaits `__del__`, which Python itself can't do."""

    def __del__(self) -> None:  # type: ignore[override]
        """Does nothing: the fixture has closed the dispatcher."""


@pytest.fixture
async def dispatcher(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Dispatcher]:
    async def not_due(*_: object) -> None:
        return None

    monkeypatch.setattr(module, "rebuild_if_due", not_due)
    monkeypatch.setattr(replica, "prepare_replica", lambda: None)
    monkeypatch.setattr(replica, "log_to_worker_files", lambda: None)
    monkeypatch.setattr(module, "log_to_worker_files", lambda: configure_logging(io.StringIO()))
    monkeypatch.setattr(background, "FIRST_PAUSE_S", 0.01)
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    monkeypatch.setattr(module, "load_settings", lambda: settings)
    opened = OwnedDispatcher(DispatcherConfig(), EmbedderConfig(), cast(Any, NoIndex()))
    await asyncio.sleep(0)
    yield opened
    await Dispatcher.__del__(opened)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def tasks(dispatcher: Dispatcher) -> dict[str, "asyncio.Task[None] | None"]:
    return dispatcher._background.tasks | dispatcher._jobs.background.tasks


@pytest.mark.parametrize("name", NAMES)
async def test_a_task_that_keeps_dying_is_seen(dispatcher: Dispatcher, name: str) -> None:
    await until(lambda: tasks(dispatcher).get(name) is not None)
    for _ in range(background.MOST_FAILURES):
        await dispatcher.check_health()
        task = tasks(dispatcher)[name]
        assert task is not None
        task.cancel()
        await until(lambda: tasks(dispatcher)[name] not in (task, None))  # noqa: B023
        assert f"the background task {name} has failed" in cast(
            list[str], (await dispatcher.status())["warnings"]
        )
    with pytest.raises(RuntimeError, match=name):
        await dispatcher.check_health()


async def test_a_reaper_that_fails_keeps_no_other_step_of_the_tidy_from_its_turn(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise Unavailable("out of order")

    for reaper, step in ((unfinished, "lock_unfinished"), (old_jobs, "lock_old_jobs")):
        monkeypatch.setattr(reaper, step, refuse)
    monkeypatch.setattr(module, "TIDY_S", 0.01)
    old = AuditLog(at=datetime.now(UTC) - timedelta(days=5000), action="LOGIN")
    async with dispatcher._database.transaction() as session:
        session.add(old)
    task = tasks(dispatcher)["tidy"]
    assert task is not None
    task.cancel()  # its successor sleeps for `TIDY_S` as it is now
    async with asyncio.timeout(10):
        while await is_there(dispatcher, old.id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def is_there(dispatcher: Dispatcher, audit_id: UUID) -> bool:
    async with dispatcher._database.read() as session:
        return await session.get(AuditLog, audit_id) is not None


async def test_a_dispatcher_that_no_longer_claims_is_seen(dispatcher: Dispatcher) -> None:
    await dispatcher.check_health()
    dispatcher._running.cancel()
    await asyncio.wait({dispatcher._running})
    with pytest.raises(RuntimeError, match="dispatcher has ended"):
        await dispatcher.check_health()


async def test_every_task_is_known(dispatcher: Dispatcher) -> None:
    await until(lambda: len(tasks(dispatcher)) == len(NAMES))
    assert set(tasks(dispatcher)) == set(NAMES), "and settlement, where there is PayPal"
