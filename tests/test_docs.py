"""What the documents name exists: files, folders, modules of commands, and links between them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in (
        "README.md", "CONTRIBUTING.md", "docs/*.md", "docs/*/*.md", "benchmarks/results/*.md",
        "models/starter/*/MODEL_CARD.md",
    )
    for path in ROOT.glob(pattern)
)  # fmt: skip
ROOMS = "|".join(sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()))


def names_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    names = re.findall(
        rf"(?<![\w/.])((?:{ROOMS}|web|docs)/[\w/.-]*\.(?:py|md|yaml|json|html|js|css|png)"
        rf"|(?:{ROOMS}|web|docs)/(?:[a-z_]+/)*)(?=[`\s,;:)\]#])",
        document.read_text(),
    )
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of)
def test_every_module_that_a_document_runs_exists(document: Path) -> None:
    modules = re.findall(rf"python -m ((?:{ROOMS})(?:\.\w+)*)", document.read_text())
    paths = [ROOT / Path(*module.split(".")) for module in modules]
    assert [
        str(path.relative_to(ROOT))
        for path in paths
        if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists()
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names_of)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
