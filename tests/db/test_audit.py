"""The audit log is read in pages, newest first."""

from db.audit import insert_audit, list_audit
from db.engine import Database


async def test_pages_go_back_in_time(database: Database) -> None:
    for number in range(3):
        async with database.transaction() as session:
            insert_audit(
                session, "LOGIN" if number else "LOGOUT", actor_id=None, subject=str(number)
            )
    async with database.read() as session:
        first = await list_audit(session, limit=2, after=None)
        assert [row.subject for row in first] == ["2", "1"]
        (last,) = await list_audit(session, limit=2, after=(first[-1].at, first[-1].id))
        assert (last.subject, last.outcome, last.detail) == ("0", "ok", {})
        (logout,) = await list_audit(session, limit=9, after=None, action="LOGOUT")
        assert logout.id == last.id
