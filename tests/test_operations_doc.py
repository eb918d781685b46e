"""Every command of docs/operations.md and of the pages below it.

Each is parsed with the program that it belongs to; those that need no cluster run as they stand, on
a small studio and a small hub.
"""

import asyncio
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from db.tables import Erasure
from local.running import studio as run_studio
from models.checkpoints.weights import STARTER_FOLDER
from settings import PROJECT_ROOT
from tests.support.backups import fill, scalar
from tests.support.fakes import SECRET, make_settings
from tests.support.hub import Hub
from tests.support.live import open_live_studio
from tests.support.production.releases import environment_of

DOC = (PROJECT_ROOT / "docs" / "operations.md").read_text()
PAGES = [DOC] + [
    page.read_text() for page in sorted((PROJECT_ROOT / "docs" / "operations").glob("*.md"))
]
LINES = sorted({line for page in PAGES for line in re.findall(r"^    (\S.*)$", page, re.M)})
"""Every indented line of the pages: a command."""
OPTIONS = {
    ("kubectl", "get"): {"-l", "-n"},
    ("kubectl", "logs"): {"-l", "-f", "-c", "-n"},
    ("kubectl", "port-forward"): {"-n"},
    ("kubectl", "apply"): {"-f", "-"},
    ("kubectl", "wait"): {"--for=condition=complete", "--timeout=1h", "--all"},
    ("kubectl", "create", "secret", "generic"): {"--from-env-file=secrets.env"},
    ("kubectl", "create", "secret", "tls"): {"--cert=tls.crt", "--key=tls.key"},
    ("kubectl", "create", "configmap"): {"--from-env-file=settings.env"},
    ("docker", "build"): {"--target", "-t"},
    ("docker", "push"): set(),
    ("curl",): {"-fsS"},
    ("openssl", "rand"): {"-base64"},
    ("az", "storage", "cors", "add"): {
        "--services",
        "--account-name",
        "--methods",
        "--origins",
        "--allowed-headers",
        "--exposed-headers",
        "--max-age",
    },
}
"""Of programs that a test machine need not have."""


def commands(section: str) -> list[list[str]]:
    """The indented lines of a section that start with `studio`."""
    text = DOC.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [shlex.split(line)[1:] for line in re.findall(r"^    (studio .*)$", text, re.M)]


USAGE_ERRORS: tuple[type[Exception], ...] = (click.UsageError, typer.BadParameter.__mro__[1])
"""Of Ray's commands, and of typer's."""


def parse(words: list[str]) -> None:
    """Parses one command with the program that it names, without running it.

    Raises:
        AssertionError, click.UsageError: the program has no such command or option.
    """
    if "|" in words:
        parse(words[: words.index("|")])
        parse(words[words.index("|") + 1 :])
        return
    program, *rest = words
    if program in CLICK_PROGRAMS:
        parse_click(CLICK_PROGRAMS[program](), rest)
    elif program == "python":
        parse_module(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(), re.M)
        assert set(rest) <= set(targets)
    else:
        name = next((key for key in OPTIONS if tuple(words[: len(key)]) == key), None)
        assert name is not None, f"no test knows {program}"
        assert {word for word in rest if word.startswith("-")} <= OPTIONS[name]


def studio_command() -> Any:
    from cli.main import app

    return typer.main.get_command(app)


def serve_command() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
        from ray.serve.scripts import cli

    return cli


def ray_command() -> Any:
    from ray.scripts.scripts import cli

    return cli


CLICK_PROGRAMS: dict[str, Callable[[], Any]] = {
    "studio": studio_command, "serve": serve_command, "ray": ray_command,
}  # fmt: skip


def parse_click(command: Any, words: list[str]) -> None:
    """Descends to the command of a group, parses its words, and those of a command among them."""
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"{command.name} has no command {name}"
        command = command.commands[name]
    if "--" in words:  # `ray job submit -- python …`
        parse(words[words.index("--") + 1 :])
    if command.name == "exec":  # `ray exec cluster.yaml "studio …"`
        parse(shlex.split(words[1]))
    command.make_context(command.name, list(words))


def parse_module(words: list[str]) -> None:
    """A module of the repository, whose own help knows the options."""
    assert words[0] == "-m"
    path = PROJECT_ROOT / Path(*words[1].split("."))
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    options = [word for word in words[2:] if word.startswith("-")]
    if options:
        help_text = subprocess.run(
            [sys.executable, "-m", words[1], "--help"],
            cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert [option for option in options if option not in help_text] == []


def test_serve_takes_the_environment_of_a_release() -> None:
    """Of the same shape as the one that tests/proof/test_upgrade.py deploys."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", DOC, re.M | re.S)
    runtime_env = yaml.safe_load(block)["runtime_env"]
    release, program = runtime_env["env_vars"]["PYTHONPATH"], runtime_env["py_executable"]
    assert runtime_env == environment_of(Path(release))
    assert program.startswith(f"{release}/")
    config = yaml.safe_load((PROJECT_ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["runtime_env"] = runtime_env
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
        from ray.serve.schema import ServeDeploySchema

        schema = ServeDeploySchema.model_validate(config)
    assert schema.applications[0].runtime_env == runtime_env


@pytest.mark.parametrize("line", LINES)
def test_a_command_exists(line: str) -> None:
    parse(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    ["studio nothing", "studio migrate --now", "studio index verify", "ray up --yess x",
     "ray job submit -- python -m jobs.reindex --all", "serve undeploy", "make nothing",
     "kubectl get pods --watch", "rm -rf /", "python -m ops.nothing"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises((AssertionError, *USAGE_ERRORS)):
        parse(shlex.split(line))


def test_a_secret_and_the_environment_of_ray() -> None:
    (secret,) = [line for line in LINES if line.startswith("openssl")]
    printed = subprocess.run(shlex.split(secret), capture_output=True, text=True, check=True)
    assert len(printed.stdout.strip()) == 64
    (ingress,) = [line for line in LINES if line.startswith("python -m deployments.serve.ingress")]
    words = [sys.executable, *shlex.split(ingress)[1:]]
    exports = subprocess.run(words, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    names = re.findall(r"^export (\w+)=\S+$", exports.stdout, re.M)
    assert {"RAY_SERVE_ENABLE_DIRECT_INGRESS", "RAY_gcs_rpc_server_reconnect_timeout_s"} <= {*names}


# Slow: every command is a process of its own.
def test_the_database_and_its_first_account(empty_database_url: str, tmp_path: Path) -> None:
    migrate, create, _ = commands("Settings and secrets")
    for words in (migrate, create, *commands("First catalogue")):
        output_of(run_studio(tmp_path / "data", *words, STUDIO_DATABASE_URL=empty_database_url))
    count = "SELECT count(*) FROM users WHERE role = 'admin'"
    assert asyncio.run(scalar(empty_database_url, count)) == 1


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub().running() as hub:
        yield hub


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Slow: every command is a process of its own.
def test_backup_and_restore(
    database_url: str, empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    blobs, other = tmp_path / "blobs", tmp_path / "elsewhere"

    async def prepare() -> None:
        settings = make_settings(database_url, redis_url, blobs)
        async with open_live_studio(settings, activate=False) as studio:
            await fill(studio, 5)
            async with studio.database.transaction() as session:
                session.add(Erasure(kind="product", subject="gone"))

    asyncio.run(prepare())

    def run(words: list[str], url: str, folder: Path) -> str:
        place = [word.replace("/mnt/backups", str(tmp_path / "backups")) for word in words]
        return output_of(
            run_studio(
                tmp_path / "data", *place, STUDIO_DATABASE_URL=url, STUDIO_BLOB_URL=f"file://{folder}",
                STUDIO_JWT_SECRET=SECRET, STUDIO_REDIS_URL=redis_url,
            )
        )  # fmt: skip

    backup, erasures, check, restore = commands("Backup and restore")
    assert re.search(r"backup \S+: \d+ rows .* \d+ blobs", run(backup, database_url, blobs))
    assert "1 deletions are recorded" in run(erasures, database_url, blobs)
    assert "every checksum as in the manifest" in run(check, database_url, blobs)
    assert "0 deletions applied again" in run(restore, empty_database_url, other)
    assert asyncio.run(scalar(empty_database_url, "SELECT count(*) FROM product")) == 5
    refused = run_studio(
        tmp_path / "data", "restore", str(tmp_path / "backups"), STUDIO_DATABASE_URL=database_url,
        STUDIO_BLOB_URL=f"file://{blobs}", STUDIO_JWT_SECRET=SECRET,
    )  # fmt: skip
    assert refused.returncode == 1 and "not empty" in refused.stderr


# Slow: every command is a process of its own, and most of them import torch.
def test_published_checkpoints(hub: Hub, tmp_path: Path) -> None:
    hub.push_folder("shop/tiny-embedder", STARTER_FOLDER / "embedder")
    lock = tmp_path / "models.lock"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return run_studio(
            tmp_path / "data", *words, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "cache"),
            STUDIO_PROFILE="production", STUDIO_EMBEDDER="hf-hub:shop/tiny-embedder",
            STUDIO_SAM="off", STUDIO_TRYON="composite", STUDIO_MODELS_LOCK=str(lock),
            STUDIO_PRECISION="fp32", STUDIO_DATA_DIR=str(tmp_path / "data"),
            STUDIO_ALLOW_NONCOMMERCIAL="true",
        )  # fmt: skip

    pin, fetch, verify = commands("Published checkpoints")
    refused = run(*fetch)
    assert refused.returncode == 1 and "studio models lock" in refused.stderr
    assert "shop/tiny-embedder: 2 files at" in output_of(run(*pin))
    assert str(tmp_path / "cache") in output_of(run(*fetch))
    assert "2 files as in models.lock" in (answer := output_of(run(*verify)))
    assert "ok   openclip-" in answer
    lock.write_text(lock.read_text().replace('json": "', 'json": "0', 1))
    refused = run(*verify)
    assert refused.returncode == 1 and "is not the file that is pinned" in refused.stderr
