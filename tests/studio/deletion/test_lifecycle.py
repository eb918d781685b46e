"""Every table and every kind of blob has a rule."""

import ast
import re
from pathlib import Path

from sqlmodel import SQLModel

from studio.deletion.lifecycle import BLOBS, TABLES, rule_of
from tests.studio.deletion.rows import PLOT

ROOT = Path(__file__).parents[3]


def test_every_table_has_a_rule() -> None:
    assert set(TABLES) == set(SQLModel.metadata.tables)
    for name, rule in TABLES.items():
        columns = SQLModel.metadata.tables[name].columns
        assert rule.retention and (rule.owned or rule.why), name
        assert (rule.owned is None) == (rule.deletion == "none"), name
        assert rule.is_exported or rule.why, f"{name} is not exported: say why"
        assert {rule.key, *rule.cleared, *rule.withheld} <= set(columns.keys()), name


def prefixes_in(folder: str) -> set[str]:
    """The first parts of the keys that the code of a folder builds."""
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
    """A table that refers to users, or has a column with a user's id, has rows about an account."""
    for name, table in SQLModel.metadata.tables.items():
        about = {column.name for column in table.columns} & {"user_id", "owner_id", "actor_id"}
        refers = any(key.column.table.name == "users" for key in table.foreign_keys)
        assert TABLES[name].owned is not None or not (about or refers), name
