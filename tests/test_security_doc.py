"""docs/security.md names tests that exist, and files that exist, in every row."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOC = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`([a-z_/0-9]+)::([a-z_0-9]+)`", DOC)


def test_every_named_test_exists() -> None:
    assert len(set(NAMED)) > 60
    absent = [
        f"{file}::{name}"
        for file, name in NAMED
        if not re.search(
            rf"^(async )?def test_{name}\(",
            path.read_text() if (path := ROOT / "tests" / f"{file}.py").exists() else "",
            re.M,
        )
    ]
    assert absent == []


def test_every_named_file_exists() -> None:
    files = re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]+\.py|[a-z]+/|settings\.py)`", DOC)
    assert len(files) > 30
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_every_threat_and_requirement_has_a_test() -> None:
    _, threats, rest = re.split(r"^## ", DOC, maxsplit=2, flags=re.M)
    asvs = rest.partition("### Not met")[0]
    for section in (threats, asvs):
        rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
        assert len(rows) > 20
        assert [row for row in rows if "::" not in row] == []
