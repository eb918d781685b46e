"""The house rules that a machine can hold: floors, names, sizes, and where tests stand."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (
    {"settings", "errors", "secret_files"},
    {"models", "drawing", "db", "integrations"},
    {"studio", "training"},
    {"gateway", "jobs", "local"},
    {"deployments"},
    {"gateway_app", "cli", "ops"},
    {"tests", "benchmarks"},
)
PRODUCT = {room for floor in FLOORS[:-1] for room in floor}
"""(room, room on its own floor) that may be imported all the same, and what of it."""
EXCEPTIONS = {
    ("settings", "errors"): "errors", ("settings", "secret_files"): "secret_files",
    ("secret_files", "errors"): "errors", ("drawing", "models"): "models.segmenter.atr",
}  # fmt: skip
NEVER = {("models", "settings")}
ONLY_IN = {
    "fastapi": {"gateway", "deployments"},
    "torch": {"models", "training"},
    "faiss": {"models"},
    "xgboost": {"models", "training"},
    "diffusers": {"models", "training"},
    "transformers": {"models", "training"},
    "segment_anything": {"models", "training"},
    "open_clip": {"models", "training"},
    "matplotlib": {"models"},
    "authlib": {"gateway", "integrations"},
    "sqlmodel": {"db", "studio", "local"},
    "httpx": {"integrations", "local"},
    "httpx2": {"integrations"},
    "azure": {"integrations"},
    "redis": {"integrations", "gateway"},
    "ray": {"deployments", "jobs", "local", "gateway_app"},
    "ray.serve": {"deployments", "gateway_app"},
}
PARTICIPLES = {
    "told", "asked", "seen", "made", "kept", "found", "given", "shown", "wanted", "taken", "sent",
    "held", "heard", "meant", "chosen", "got", "known",
}  # fmt: skip
OVERRIDDEN = {"connection_made"}  # of asyncio.Protocol
QUESTIONS = {"is", "was", "were", "are", "be", "has", "have", "can", "must", "may", "not", "test"}
"""One thing that several floors have by the same name: the deployment, its port, its predictor."""
SHARED_NAMES = {
    "Dispatcher", "Embedder", "Gateway", "Index", "Regressor", "Segmenter", "TryOn",
}  # fmt: skip
FILES_IN_A_FOLDER = 16
LINES_IN_A_FILE = 350
LONGER_FILES = {"db/tables.py"}
STUDIO_ARROWS, MODELS_ARROWS = 70, 20


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(path: Path) -> str:
    return module_of(path).split(".")[0]


SOURCES = sorted(
    path
    for room in sorted({room for floor in FLOORS for room in floor})
    for path in ([ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else [])
    + list((ROOT / room).rglob("*.py"))
    if ".venv" not in path.parts
)
MIGRATIONS = {path for path in SOURCES if "versions" in path.parts and room_of(path) == "db"}
PRODUCT_SOURCES = [path for path in SOURCES if room_of(path) in PRODUCT]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file imports while it runs (not only while it is type-checked)."""
    imports: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            imports.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree_of(path))
    return frozenset(imports)


def floor_of(room: str) -> int | None:
    return next((level for level, rooms in enumerate(FLOORS) if room in rooms), None)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_run_down_only(path: Path) -> None:
    room = room_of(path)
    own = floor_of(room)
    assert own is not None
    for imported in imports_of(path):
        other = imported.split(".")[0]
        level = floor_of(other)
        if level is None or other == room:
            continue
        assert (room, other) not in NEVER
        exception = EXCEPTIONS.get((room, other))
        if exception and f"{imported}.".startswith(f"{exception}."):
            continue
        assert level < own, f"{module_of(path)} (floor {own}) imports {imported} (floor {level})"


@pytest.mark.parametrize("path", PRODUCT_SOURCES, ids=module_of)
def test_packages_stay_in_their_rooms(path: Path) -> None:
    for imported in imports_of(path):
        for package, rooms in ONLY_IN.items():
            if imported == package or imported.startswith(f"{package}."):
                assert room_of(path) in rooms, f"{module_of(path)} imports {imported}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    if path.name == "__init__.py" and room_of(path) == "tests":
        return
    docstring = ast.get_docstring(tree_of(path))
    assert docstring is not None
    assert docstring.split("\n\n")[0].rstrip().endswith((".", "`", ":"))


def test_routes_leave_queries_to_the_studio() -> None:
    """A route opens no session, and of `db` it knows only the tables."""
    for path in (ROOT / "gateway" / "routes").rglob("*.py"):
        assert not re.search(r"database\.(transaction|read)\(", path.read_text()), path
        modules = {name for name in imports_of(path) if name.split(".")[0] == "db"}
        assert [name for name in modules if not name.startswith("db.tables.")] == [], path


def names_in(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(name, line) of every variable, parameter, attribute, function and class that is defined."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name):
                yield name, node.lineno


def is_participle(name: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").split("_")
    if words[0] in QUESTIONS or name in OVERRIDDEN:
        return False
    return words[-1] in PARTICIPLES or (len(words) > 1 and words[0] == "told")


@pytest.mark.parametrize("room", sorted({room_of(path) for path in SOURCES}))
def test_values_are_named_by_nouns(room: str) -> None:
    """`told`, `asked` and `found` say what happened to a value, not what it holds."""
    assert [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        if room_of(path) == room
        for name, line in names_in(tree_of(path))
        if is_participle(name)
    ] == []


def test_a_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        if room_of(path) == "tests":
            continue
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module_of(path))
    twice = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert {name: twice[name] for name in twice.keys() - SHARED_NAMES} == {}


def test_a_docstring_says_more_than_where_to_look() -> None:
    pointers = []
    for path in PRODUCT_SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                docstring = (ast.get_docstring(node) or "").strip()
                if re.fullmatch(r"See (also )?`[^`]*`\.?|Row -> wire\.", docstring):
                    pointers.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}")
    assert pointers == []


def test_a_docstring_begins_with_a_sentence() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (ast.get_docstring(node) or "").startswith(("Raises:", "Returns:"))
        and (line := getattr(node, "lineno", 1))
    ] == []


def test_no_cancellation_is_lost() -> None:
    """`asyncio.wait_for` of Python 3.11 returns as if nothing had happened where a cancellation
    reaches it just after its work (cpython issue 86296); `asyncio.timeout` doesn't.
    """
    assert [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PRODUCT_SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "asyncio.wait_for"
    ] == []


def test_folders_and_files_are_small() -> None:
    flat = {
        str(folder.relative_to(ROOT)): len(files)
        for folder in {path.parent for path in PRODUCT_SOURCES}
        if folder != ROOT and folder.name != "versions"
        and len(files := [p for p in folder.glob("*.py") if p.name != "__init__.py"])
        > FILES_IN_A_FOLDER
        and not any(child.is_dir() and list(child.glob("*.py")) for child in folder.iterdir())
    }  # fmt: skip
    assert flat == {}
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PRODUCT_SOURCES
        if path not in MIGRATIONS
        and (lines := len(path.read_text().splitlines())) > LINES_IN_A_FILE
    }
    assert {name: lines for name, lines in long.items() if name not in LONGER_FILES} == {}


def arrows_of(room: str) -> Counter[tuple[str, str]]:
    """Imports between the folders (and the single files) right below a room."""
    modules = {
        module_of(path): path.relative_to(ROOT / room).parts[0].removesuffix(".py")
        for path in PRODUCT_SOURCES
        if room_of(path) == room and path.parent != ROOT
    }
    arrows: Counter[tuple[str, str]] = Counter()
    for path in PRODUCT_SOURCES:
        own = modules.get(module_of(path))
        for imported in imports_of(path) if own else ():
            other = modules.get(imported) or modules.get(imported.rpartition(".")[0])
            if other and other not in (own, "__init__") and own != "__init__":
                arrows[str(own), other] += 1
    return arrows


@pytest.mark.parametrize(("room", "most"), [("studio", STUDIO_ARROWS), ("models", MODELS_ARROWS)])
def test_few_arrows_run_between_areas_and_none_in_a_circle(room: str, most: int) -> None:
    arrows = arrows_of(room)
    assert len(arrows) < most, sorted(arrows)
    below: dict[str, set[str]] = {}
    for own, other in arrows:
        below.setdefault(own, set()).add(other)
        below.setdefault(other, set())
    while leaves := {name for name, others in below.items() if not others}:
        below = {name: others - leaves for name, others in below.items() if name not in leaves}
    assert below == {}, "these import each other"


def test_tests_stand_in_the_folder_of_what_they_test() -> None:
    folders = {
        path.parent.relative_to(ROOT / "tests")
        for path in SOURCES
        if room_of(path) == "tests" and path.name.startswith("test_")
    }
    own = {Path("acceptance"), Path("production"), Path("proof"), Path("web"), Path("ops"), Path()}
    assert {str(folder) for folder in folders - own if not (ROOT / folder).is_dir()} == set()


def test_the_rules_see_the_whole_house() -> None:
    """A folder of Python files that no floor names would escape every rule above."""
    rooms = {
        path.parts[0].removesuffix(".py")
        for path in (path.relative_to(ROOT) for path in ROOT.glob("*/**/*.py"))
        if not path.parts[0].startswith(".") and path.parts[0] not in ("build", "node_modules")
    } | {path.stem for path in ROOT.glob("*.py")}
    assert rooms == {room for floor in FLOORS for room in floor} & rooms
    assert len(SOURCES) > 600 and {room_of(path) for path in SOURCES} == rooms
