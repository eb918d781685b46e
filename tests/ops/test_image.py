"""The Dockerfile: its steps are the Makefile's; tests/proof/test_image_steps.py runs them."""

import re

import pytest

from settings import PROJECT_ROOT
from tests.ops.dockerfile import Step, context, stages

TEXT = (PROJECT_ROOT / "Dockerfile").read_text()
STAGES = stages(TEXT)
STEPS = [step for steps in STAGES.values() for step in steps]


def runs(stage: str) -> list[str]:
    return [step.text for step in STAGES[stage] if step.word == "RUN"]


def variables(stage: str) -> dict[str, str]:
    return {
        name: value
        for step in STAGES[stage]
        if step.word == "ENV"
        for name, value in re.findall(r"(\w+)=(\S+)", step.text)
    }


def test_the_installation_is_that_of_make() -> None:
    """The lines of `make install` and `make install-test`, without the packages of tests."""
    text = (PROJECT_ROOT / "Makefile").read_text().replace("\\\n", " ")
    pip = re.findall(r"^PIP := \$\(BIN\)/(.*)$", text, re.M)[0]
    lines = [" ".join(line.split()) for line in re.findall(r"@\$\(PIP\) (.*)$", text, re.M)]
    expected = [f".venv/bin/{pip} {line}" for line in lines if "requirements-dev.lock" not in line]
    own = [line for run in runs("packages") for line in run.split(" && ") if " pip " in line]
    assert len(own) == 3 and sorted(own) == sorted(expected)
    assert all("--require-hashes" in line or "--no-deps" in line for line in own)


def test_a_stage_without_and_one_with_checkpoints() -> None:
    assert list(STAGES) == ["", "packages", "app", "checkpoints"]
    bases = {name: steps[0].text.partition(" AS ")[0] for name, steps in STAGES.items() if name}
    assert bases == {
        "packages": "${PYTHON_IMAGE}", "app": "${PYTHON_IMAGE}", "checkpoints": "app",
    }  # fmt: skip
    (fetch,) = runs("checkpoints")
    assert fetch.endswith(" studio models fetch")
    assert variables("checkpoints") == {"HF_HUB_OFFLINE": "1"}
    assert "models fetch" not in "".join(runs("app"))


def test_the_base_is_named_and_can_be_pinned() -> None:
    (argument,) = STAGES[""]
    name, _, tag = argument.text.removeprefix("PYTHON_IMAGE=").partition(":")
    assert (argument.word, name) == ("ARG", "python")
    assert re.fullmatch(r"3\.1[12]-slim-\w+", tag)


def test_nothing_in_it_is_secret_and_nothing_runs_as_root() -> None:
    assert [step for step in STEPS if step.word == "ADD" or "sudo" in step.text] == []
    for step in STEPS:
        if step.word in ("ENV", "ARG"):
            assert not re.search(r"(?i)token|secret|password|_url|ray_", step.text)
    users = [step.text for step in STAGES["app"] if step.word == "USER"]
    assert users == ["1000:1000"] and not any(step.word == "USER" for step in STAGES["checkpoints"])
    assert "--uid 1000" in " ".join(runs("app"))


def test_the_package_lists_of_the_system_stay_outside() -> None:
    (system,) = [run for run in runs("app") if "apt-get" in run]
    assert "--no-install-recommends" in system and "rm -rf /var/lib/apt/lists/*" in system
    for program in ("openssh-client", "rsync", "wget"):  # `ray up`, and the health check
        assert program in system
    assert any(step.word == "HEALTHCHECK" and '"wget"' in step.text for step in STAGES["app"])


def test_the_context_holds_what_runs_and_no_data() -> None:
    files = {str(path) for path in context()}
    for needed in (
        "gateway_app.py", "requirements.lock", "README.md", "serve_config.yaml", "web/index.html",
        "ops/kuberay/__main__.py", "local/serve_config.yaml", "models/starter/sam/MODEL_CARD.md",
    ):  # fmt: skip
        assert needed in files
    rooms = {path.split("/")[0] for path in files}
    assert not rooms & {".git", ".venv", ".studio", "tests", "benchmarks", "docs", "Dockerfile"}
    assert [path for path in files if path.endswith((".pyc", ".pem", ".key"))] == []


@pytest.mark.parametrize("run", ["RUN x \\\n  && y", "# c\nRUN  x && y", "RUN x \\\n# c\n&& y"])
def test_lines_are_joined(run: str) -> None:
    steps = stages(f"FROM a AS b\n{run}\n")["b"]
    assert steps == [Step("FROM", "a AS b"), Step("RUN", "x && y")]
