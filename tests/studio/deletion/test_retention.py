"""Old rows and index versions end, blobs and rows that miss each other are found and removed."""

import ast
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import SQLModel, col, select

from db.deletion.erasures import doom_blobs
from db.search_log import insert_searches
from db.tables import (
    AuditLog,
    DoomedBlob,
    File,
    IndexVersion,
    Prediction,
    Product,
    RefreshToken,
    SearchLog,
    SegmentationResult,
    TryonJob,
    User,
    WebhookEvent,
)
from errors import Unavailable
from integrations.blobs.keys import BlobEntry
from studio.deletion.blob_removal import remove_doomed
from studio.deletion.lifecycle import BLOBS, TABLES
from studio.deletion.retention import (
    end_forgotten_products,
    end_old_rows,
    end_old_versions,
    sweep_daily,
    tidy,
)
from studio.deletion.sweep import compare, rule_of, sweep
from studio.ports import Studio
from tests.support.fakes import make_settings, open_studio

ROOT = Path(__file__).parents[3]
NOW = datetime.now(UTC)
OWNER = uuid4()


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    settings = make_settings(
        database_url, redis_url, tmp_path / "blobs", search_log_days=20, search_personal_days=10,
        audit_days=20, webhook_event_days=20,
    )  # fmt: skip
    async with open_studio(settings) as opened:
        await add(opened, User(id=OWNER, email="a@example.com", password_hash="x"))
        yield opened


async def add(studio: Studio, *rows: SQLModel) -> None:
    async with studio.database.transaction() as session:
        session.add_all(rows)


async def ids(studio: Studio, column: Any) -> set[Any]:
    async with studio.database.read() as session:
        return set((await session.exec(select(column))).all())


def searched(days: float) -> SearchLog:
    params = {"query": "dress", "image_url": "https://x", "file_id": "f", "top_k": 10}
    return SearchLog(
        at=ago(days), user_id=OWNER, type="hybrid", params=params, results=["p"], latency_ms=1,
        index_version="v", embedder_version="e", request_id="r",
    )  # fmt: skip


def token(expires_in_days: float, revoked: datetime | None = None) -> RefreshToken:
    return RefreshToken(
        family_id=uuid4(), user_id=OWNER, token_hash=uuid4().bytes, revoked_at=revoked,
        expires_at=NOW + timedelta(days=expires_in_days),
    )  # fmt: skip


def test_every_table_has_a_rule() -> None:
    assert set(TABLES) == set(SQLModel.metadata.tables)
    for name, rule in TABLES.items():
        columns = SQLModel.metadata.tables[name].columns
        assert rule.retention and (rule.owned or rule.why), name
        assert (rule.owned is None) == (rule.deletion == "none"), name
        assert rule.is_exported or rule.why, f"{name} is not exported: say why"
        assert {rule.key, *rule.cleared, *rule.withheld} <= set(columns.keys()), name


def prefixes_in(folder: str) -> set[str]:
    """What keys begin with, where code puts one together."""
    texts = [
        node.values[0].value
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant)
    ]
    return {match[1] for text in texts if (match := re.match(r"([a-z]+)/", str(text)))}


def test_every_kind_of_blob_has_a_rule() -> None:
    in_archives = {"pictures", "backups", "blobs"}
    written = set[str]()
    for folder in ("studio", "jobs", "deployments", "local"):
        written |= prefixes_in(folder)
    ruled = {rule.pattern.partition("/")[0] for rule in BLOBS}
    assert written - in_archives == ruled
    assert all(rule.deletion and rule.retention for rule in BLOBS)
    assert [rule for rule in BLOBS if rule.key_query is None] == [rule_of(PLOT)]
    assert [rule for rule in BLOBS if not rule.is_in_backup] == [rule_of(PLOT)]


def test_every_table_about_an_account_is_owned() -> None:
    """A table that refers to users, or names one, has rows about an account."""
    for name, table in SQLModel.metadata.tables.items():
        about = {column.name for column in table.columns} & {"user_id", "owner_id", "actor_id"}
        refers = any(key.column.table.name == "users" for key in table.foreign_keys)
        assert TABLES[name].owned is not None or not (about or refers), name


async def test_logs_events_and_tokens_end(studio: Studio) -> None:
    searches = [searched(days) for days in (21, 11, 1)]
    audits = [AuditLog(at=ago(days), action="LOGIN") for days in (21, 19)]
    events = [
        WebhookEvent(event_id=name, type="t", received_at=ago(21), applied_at=applied)
        for name, applied in (("applied", ago(21)), ("waiting", None))
    ]
    tokens = [token(-8), token(-6), token(20, ago(8)), token(20, ago(6)), token(20)]
    await add(studio, *searches, *audits, *events, *tokens)
    ended = await end_old_rows(studio.database, studio.settings)
    assert ended == {"search_log": 1, "audit_log": 1, "webhook_event": 1, "refresh_token": 2}
    async with studio.database.read() as session:
        rows = (await session.exec(select(SearchLog).order_by(col(SearchLog.at)))).all()
    assert [row.user_id for row in rows] == [None, OWNER]
    assert (rows[0].params, rows[0].results) == ({"top_k": 10}, ["p"])
    assert set(rows[1].params) == {"query", "image_url", "file_id", "top_k"}
    assert await ids(studio, WebhookEvent.event_id) == {"waiting"}
    assert sum((await end_old_rows(studio.database, studio.settings)).values()) == 0


async def test_the_active_index_and_three_others_stay(studio: Studio) -> None:
    statuses = ("active", "failed", "retired", "retired", "ready", "retired", "building", "failed")
    for age, status in enumerate(reversed(statuses)):
        version = f"v{age}"
        await studio.blobs.put(f"indexes/{version}/faiss", b"x", "application/json")
        await add(
            studio,
            IndexVersion(
                version=version, embedder_version="e", status=status, base_seq=9,
                created_at=ago(age if status != "failed" else 8 * (age > 1)),
            ),
        )  # fmt: skip
    removed = await end_old_versions(studio.database, studio.blobs)
    assert set(removed) == {"v5", "v6"}  # the oldest retired one, and a failed one of last week
    left = await ids(studio, IndexVersion.version)
    assert {key async for key in studio.blobs.list("indexes/")} == {
        f"indexes/{version}/faiss" for version in left
    }


async def test_deleted_products_stay_until_every_index_knows(studio: Studio) -> None:
    await add(studio, IndexVersion(version="v", embedder_version="e", status="active", base_seq=5))
    for seq, days in ((4, 8), (5, 6), (6, 8)):
        await add(
            studio,
            Product(
                id=f"p-{seq}", title="", category="", price=Decimal(1), currency="EUR",
                image_key="", image_sha256="", change_seq=seq, deleted_at=ago(days),
            ),
        )  # fmt: skip
    assert await end_forgotten_products(studio.database) == 1
    assert await ids(studio, Product.id) == {"p-5", "p-6"}


async def test_searches_of_a_deleted_account_are_not_written(studio: Studio) -> None:
    async with studio.database.transaction() as session:
        rows = [searched(1).model_dump() | {"user_id": one} for one in (OWNER, uuid4(), None)]
        await insert_searches(session, rows)
    assert await ids(studio, SearchLog.user_id) == {OWNER, None}


async def fill_store(studio: Studio) -> dict[str, str]:
    """A row with its blob of each kind; prefix -> key."""
    keys = {
        "uploads": f"uploads/{OWNER}/{uuid4()}.png", "masks": f"masks/{OWNER}/{uuid4()}.png",
        "tryon": f"tryon/{uuid4()}.png", "heatmaps": f"heatmaps/{uuid4()}.png",
        "fetched": f"uploads/{OWNER}/fetched/{uuid4()}-person.png",
        "products": "products/a/b.jpg", "indexes": "indexes/v/faiss",
    }  # fmt: skip
    await add(
        studio,
        File(
            owner_id=OWNER, purpose="selfie", filename="x", content_type="image/png",
            size_bytes=1, blob_key=keys["uploads"], status="ready",
        ),
        SegmentationResult(
            user_id=OWNER, input_key="https://x", mask_key=keys["masks"], label="x", area=1,
            score=1, model_version="v", latency_ms=1, request_id="r",
        ),
        TryonJob(
            user_id=OWNER, person_key=keys["fetched"], garment_key="x", output_key=keys["tryon"],
            seed=1, state="succeeded", request_id="r",
        ),
        Prediction(
            user_id=OWNER, input_key="https://x", score=1, err_low=1, err_high=1, coverage=1,
            heatmap_key=keys["heatmaps"], model_version="v", embedder_version="e", request_id="r",
        ),
        Product(
            id="p", owner_id=OWNER, title="x", category="x", price=Decimal(1), currency="EUR",
            image_key=keys["products"], image_sha256="x", change_seq=1,
        ),
        IndexVersion(version="v", embedder_version="e", status="active"),
    )  # fmt: skip
    for key in keys.values():
        await studio.blobs.put(key, b"x", "image/png")
    return keys


STRAYS = (
    f"uploads/{OWNER}/{UUID(int=1)}.png", f"uploads/{OWNER}/fetched/{UUID(int=1)}-person.png",
    f"uploads/imports/{UUID(int=1)}.csv", f"masks/{OWNER}/{UUID(int=1)}.png",
    f"tryon/{UUID(int=1)}.png", f"heatmaps/{UUID(int=1)}.png", "products/a/stray.jpg",
    "indexes/gone/faiss", "regressors/gone/trees",
)  # fmt: skip
PLOT = "regressors/starter/evaluations/1/plot.png"


class OldStore:
    """The studio's store, a day later: its blobs are told as older than they are."""

    def __init__(self, studio: Studio) -> None:
        self._blobs = studio.blobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        async for entry in self._blobs.scan(prefix, after=after):
            yield BlobEntry(entry.key, entry.size, ago(2), entry.is_tombstone)


async def test_the_sweep_removes_what_has_no_row_after_a_day(studio: Studio) -> None:
    keys = await fill_store(studio)
    foreign = "elsewhere/x.png"  # not the studio's
    for key in (*STRAYS, PLOT, foreign):
        assert (rule_of(key) is None) == (key == foreign)
        await studio.blobs.put(key, b"x", "image/png")
    young = await sweep(studio.database, studio.blobs)
    assert (young.strays, young.expired) == ([], [])
    old: Any = OldStore(studio)
    found = await compare(studio.database, old)
    assert (sorted(found.strays), found.expired) == (sorted(STRAYS), [PLOT])
    assert (found.blobs, found.missing_count) == (len(keys) + len(STRAYS), 0)
    await sweep(studio.database, old)
    assert {key async for key in studio.blobs.list("")} == {*keys.values(), foreign}


async def test_the_sweep_removes_rows_whose_blob_is_gone(studio: Studio) -> None:
    keys = await fill_store(studio)
    for prefix in ("uploads", "masks", "tryon", "heatmaps", "products"):
        await studio.blobs.delete(keys[prefix])
    found = await sweep(studio.database, studio.blobs)
    assert found.missing_count == 5
    for column in (File.id, SegmentationResult.id, TryonJob.id, Prediction.id):
        assert await ids(studio, column) == set()
    assert await ids(studio, Product.id) == {"p"}  # its merchant gives it another picture
    assert await studio.blobs.head(keys["fetched"]) is None  # went with its try-on


async def test_another_studios_store_is_left_alone(studio: Studio) -> None:
    await fill_store(studio)
    others = [f"masks/{uuid4()}/{uuid4()}.png" for _ in range(30)]
    for key in others:
        await studio.blobs.put(key, b"x", "image/png")
    old: Any = OldStore(studio)
    assert len((await sweep(studio.database, old)).strays) == 30
    assert set(others) <= {key async for key in studio.blobs.list("masks/")}


async def test_plots_of_evaluations_never_keep_the_sweep_from_its_work(studio: Studio) -> None:
    """Nothing stands for a plot, so any number of them says nothing about the store."""
    keys = await fill_store(studio)
    plots = [f"regressors/starter/evaluations/{uuid4()}/plot.png" for _ in range(60)]
    for key in (*plots, STRAYS[3]):
        await studio.blobs.put(key, b"x", "image/png")
    old: Any = OldStore(studio)
    await sweep(studio.database, old)
    assert {key async for key in studio.blobs.list("")} == set(keys.values())


async def test_a_kind_that_is_refused_keeps_no_other_from_removal(studio: Studio) -> None:
    keys = await fill_store(studio)
    others = [f"masks/{uuid4()}/{uuid4()}.png" for _ in range(30)]
    for key in others:
        await studio.blobs.put(key, b"x", "image/png")
    await studio.blobs.delete(keys["masks"])
    heatmaps = [f"heatmaps/{uuid4()}.png" for _ in range(3)]
    for key in heatmaps:
        await studio.blobs.put(key, b"x", "image/png")
        await add(
            studio,
            Prediction(
                user_id=OWNER, input_key="https://x", score=1, err_low=1, err_high=1, coverage=1,
                heatmap_key=key, model_version="v", embedder_version="e", request_id="r",
            ),
        )  # fmt: skip
    await studio.blobs.put(STRAYS[5], b"x", "image/png")
    old: Any = OldStore(studio)
    await sweep(studio.database, old)
    assert {key async for key in studio.blobs.list("heatmaps/")} == {keys["heatmaps"], *heatmaps}
    assert {key async for key in studio.blobs.list("masks/")} == set(others)
    assert len(await ids(studio, SegmentationResult.id)) == 1  # nor are rows of the kind removed


class StubbornStore:
    """A store that can't delete one of its blobs."""

    def __init__(self, studio: Studio, stubborn: str) -> None:
        self._blobs, self._stubborn = studio.blobs, stubborn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def delete(self, key: str) -> None:
        if key == self._stubborn:
            raise Unavailable("the blob store does not answer")
        await self._blobs.delete(key)


async def test_one_blob_that_stays_keeps_no_other(studio: Studio) -> None:
    for name in ("a", "b"):
        await studio.blobs.put(f"masks/{name}.png", b"x", "image/png")
    async with studio.database.transaction() as session:
        await doom_blobs(session, ["masks/a.png", "masks/b.png"])
        await doom_blobs(session, ["masks/later.png"], due_at=NOW + timedelta(hours=1))
    stubborn: Any = StubbornStore(studio, "masks/a.png")
    assert await remove_doomed(studio.database, stubborn) == 1
    assert {key async for key in studio.blobs.list("masks/")} == {"masks/a.png"}
    assert await ids(studio, DoomedBlob.key) == {"masks/a.png", "masks/later.png"}


async def test_the_tidy_does_all_of_it_and_sweeps_once_a_day(studio: Studio) -> None:
    await add(studio, searched(21))
    old: Any = OldStore(studio)
    await studio.blobs.put(STRAYS[4], b"x", "image/png")
    await tidy(studio.database, old, studio.cache, studio.settings)
    assert await ids(studio, SearchLog.id) == set()
    assert await studio.blobs.head(STRAYS[4]) is None
    await studio.blobs.put(STRAYS[4], b"x", "image/png")
    await sweep_daily(studio.database, old, studio.cache)
    assert await studio.blobs.head(STRAYS[4]) is not None
