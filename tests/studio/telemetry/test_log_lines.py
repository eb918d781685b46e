"""No line of a log names a person, whoever writes it: every call of every logger is read here."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from sqlalchemy.exc import IntegrityError

from db.users import insert_user
from studio.ports import Studio
from studio.telemetry.logs import configure_logging

ROOT = Path(__file__).parents[3]
ROOMS = ("deployments", "gateway", "jobs", "local", "studio", "db", "integrations", "models")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
ERRORS = {"error", "refusal", "conflict"}
"""Variables with exceptions, whose texts are ours; PostgreSQL's additions are hidden."""
PERSONAL = {
    "email", "mail", "address", "name", "payer", "person", "password", "payload", "body", "form",
    "text", "content", "user", "account", "query", "title", "url", "seen", "row",
}  # fmt: skip
ALLOWED = {("gateway/envelope.py", "client")}
"""Access logs contain network addresses; docs/security.md says so."""


def calls() -> Iterator[tuple[str, str, ast.expr]]:
    """(file, field, value) of every argument of a logger's calls."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id in ("log", "logger")
                    and node.func.attr in LEVELS
                ):
                    name = str(path.relative_to(ROOT))
                    yield from (
                        (name, str(keyword.arg), keyword.value) for keyword in node.keywords
                    )
                    yield from ((name, "event", value) for value in node.args[:1])


def words_of(value: ast.expr) -> set[str]:
    """The names in a value; of `payment.order_id` only the last one."""
    owners = {
        id(node.value)
        for node in ast.walk(value)
        if isinstance(node, ast.Attribute | ast.Subscript)
    }
    last_nodes = [node for node in ast.walk(value) if id(node) not in owners]
    names = {node.id for node in last_nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in last_nodes if isinstance(node, ast.Attribute)}


def is_whole_thing(value: ast.expr) -> bool:
    """Whether it is `repr(x)` or `str(x)` of a whole object, unless of an error or an id."""
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("repr", "str")
        and isinstance(value.args[0], ast.Name)
        and value.args[0].id not in ERRORS
    )


def test_no_call_of_a_logger_is_given_a_person() -> None:
    fields = list(calls())
    assert len(fields) > 40
    personal = [
        (file, field, ast.unparse(value))
        for file, field, value in fields
        if (words_of(value) & PERSONAL or field in PERSONAL or is_whole_thing(value))
        and (file, field) not in ALLOWED
    ]
    assert personal == []


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The output of the studio's loggers during one test."""
    logger = logging.getLogger("studio")
    before, logger.handlers = logger.handlers, []
    captured = io.StringIO()
    configure_logging(captured)
    yield captured
    logger.handlers = before


async def test_what_postgresql_repeats_of_a_row_is_hidden(
    studio: Studio, stream: io.StringIO
) -> None:
    log = structlog.get_logger("studio.any")
    email = f"{uuid4().hex}\\@example.com"
    for _ in range(2):
        try:
            async with studio.database.transaction() as session:
                await insert_user(session, email=email, password_hash="", name=None, role="admin")
        except IntegrityError as error:
            log.warning("refused", error=repr(error))
            log.exception("refused")
    lines = stream.getvalue()
    assert len([json.loads(line) for line in lines.splitlines()]) == 2
    assert "uq_users_email" in lines and "DETAIL" in lines
    assert email.partition("\\")[0] not in lines and "example.com" not in lines
