"""A version that its changes have outgrown asks for its own rebuild, once."""

from collections.abc import Mapping

from sqlmodel import select

from db.engine import Database
from db.tables import Job
from studio.ports import IndexAnswer, IndexQuery
from studio.rebuild import rebuild_if_due


class Outgrown:
    """An index that says what it is told to say."""

    def __init__(self, version: str, due: bool) -> None:
        self.version, self.due = version, due

    async def search(self, query: IndexQuery) -> IndexAnswer:
        return IndexAnswer(self.version, [])

    async def status(self) -> Mapping[str, object]:
        return {"version": self.version, "rebuildDue": self.due}


async def test_an_outgrown_version_is_rebuilt_once(database_url: str) -> None:
    database = Database(database_url)
    for version, due in (("a", False), ("a", True), ("a", True), ("b", False), ("b", True)):
        await rebuild_if_due(database, Outgrown(version, due))
    async with database.read() as session:
        jobs = (await session.exec(select(Job).order_by("created_at"))).all()
    assert [(job.type, job.payload, job.state) for job in jobs] == [
        ("rebuild-index", {"full": False}, "queued")
    ] * 2
    await database.aclose()
