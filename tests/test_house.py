"""The house rules that a machine can hold: who may import whom, and what belongs where."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (
    {"settings", "errors"},
    {"models", "drawing", "db", "integrations"},
    {"studio", "training"},
    {"gateway", "jobs", "local"},
    {"deployments"},
    {"gateway_app", "cli"},
)
ALSO = {("settings", "errors"), ("drawing", "models")}
ONLY_IN = {
    "fastapi": {"gateway", "deployments"},
    "torch": {"models", "training"},
    "faiss": {"models"},
    "xgboost": {"models", "training"},
    "diffusers": {"models", "training"},
    "transformers": {"models", "training"},
    "segment_anything": {"models", "training"},
    "matplotlib": {"models"},
    "authlib": {"gateway", "integrations"},
    "sqlmodel": {"db", "studio", "local"},
    "httpx": {"integrations"},
    "httpx2": {"integrations"},
    "azure": {"integrations"},
    "redis": {"integrations", "gateway"},
    "ray": {"deployments", "jobs", "local", "gateway_app"},
    "ray.serve": {"deployments", "gateway_app"},
}
SOURCES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0]
    in {name for floor in FLOORS for name in floor} | {"settings.py", "errors.py"}
    or (path.parent == ROOT and path.name.startswith("gateway_app"))
)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports while it runs (not only while it is type-checked)."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def floor_of(room: str) -> int | None:
    return next((level for level, rooms in enumerate(FLOORS) if room in rooms), None)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_run_down_only(path: Path) -> None:
    room = module_of(path).split(".")[0]
    own = floor_of(room)
    assert own is not None
    for imported in imports_of(path):
        other = imported.split(".")[0]
        level = floor_of(other)
        if level is None or other == room or (room, other) in ALSO:
            continue
        assert level < own, f"{module_of(path)} (floor {own}) imports {imported} (floor {level})"
        assert not (room == "models" and other == "settings")


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_packages_stay_in_their_rooms(path: Path) -> None:
    room = module_of(path).split(".")[0]
    for imported in imports_of(path):
        for package, rooms in ONLY_IN.items():
            if imported == package or imported.startswith(f"{package}."):
                assert room in rooms, f"{module_of(path)} imports {imported}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring is not None
    assert docstring.split("\n\n")[0].rstrip().endswith((".", "`"))


def test_the_rules_see_the_whole_house() -> None:
    assert {module_of(path).split(".")[0] for path in SOURCES} >= {
        "settings", "errors", "models", "db", "integrations", "studio", "gateway", "jobs",
        "local", "deployments", "gateway_app", "cli",
    }  # fmt: skip
