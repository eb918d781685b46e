"""`studio models share, back, status, finish` and `studio index activate` on a real database."""

import asyncio

import pytest
from typer.testing import CliRunner

from cli.main import app
from db.engine import Database
from db.model_rollouts import EMBEDDER, put_embedder_beside
from db.tables import IndexVersion


async def roll_out(url: str) -> None:
    """An active index, and one of the next embedder."""
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        session.add(IndexVersion(version="a", embedder_version="old", status="active"))
        session.add(IndexVersion(version="b", embedder_version="new", status="ready"))
        await put_embedder_beside(session, "new")
    await database.aclose()


def run(*words: str) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_DATABASE_URL", database_url)


def test_a_next_model_is_tried_and_taken_back_by_one_command_each(database_url: str) -> None:
    asyncio.run(roll_out(database_url))
    assert "5.0%" in run("models", "share", EMBEDDER, "0.05")
    assert "5.0%" in run("models", "status") and "new" in run("models", "status")
    assert "nobody" in run("models", "back", EMBEDDER)
    assert "0.0%" in run("models", "status")
    run("models", "share", "tryon", "0.5")
    assert "tryon" in run("models", "status")
    run("models", "finish", "tryon")
    assert "tryon" not in run("models", "status")


def test_either_embedder_s_index_is_activated_without_loading_a_model(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("cli.index.load_embedder", refuse)
    asyncio.run(roll_out(database_url))
    for version, beside in (("b", "old"), ("a", "new"), ("b", "old")):
        assert f"{version} is active" in run("index", "activate", version)
        assert run("models", "status").rstrip().endswith(beside)


def test_a_wrong_share_is_one_line() -> None:
    result = CliRunner().invoke(app, ["models", "share", "painter", "0.5"])
    assert result.exit_code == 1
    assert result.output == (
        "studio: painter is not a model; expected embedder, segmenter, tryon\n"
    )
