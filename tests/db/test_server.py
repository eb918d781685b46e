"""What the server and the rows say for the metrics."""

from db.engine import Database
from db.regressor_versions import least_coverage
from db.server import count_connections
from db.tables import RegressorVersion, User


async def test_connections_are_counted(database: Database) -> None:
    async with database.transaction() as session:
        connections, most = await count_connections(session)
    assert 1 <= connections <= most == 97  # 100, 3 of them for administrators


async def test_the_least_coverage_of_active_versions(database: Database) -> None:
    async with database.transaction() as session:
        assert await least_coverage(session) is None
        for number, (status, coverage) in enumerate(
            [("active", 0.91), ("active", 0.78), ("retired", 0.1)]
        ):
            user = User(email=f"{number}@shop.example", password_hash="x", role="merchant")
            session.add(user)
            await session.flush()
            session.add(
                RegressorVersion(
                    version=f"v{number}", owner_id=user.id, embedder_version="e", status=status,
                    metrics={"coverage": coverage},
                )
            )  # fmt: skip
        await session.flush()
        assert await least_coverage(session) == 0.78
