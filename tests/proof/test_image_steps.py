"""`make proof`: the Dockerfile's steps, run in order in an empty root, leave a working image."""

import re
import stat
from pathlib import Path

import pytest

from tests.ops.dockerfile import Image
from tests.ops.test_image import STAGES, runs, variables


@pytest.mark.proof
def test_the_steps_run_in_order_in_an_empty_root(tmp_path: Path) -> None:
    image = Image(tmp_path / "root")
    for step in [*STAGES["packages"], *STAGES["app"]]:
        image.take(step)
    assert (image.root / "system").read_text().count("apt-get") == 2
    profile = (image.root / "etc/profile.d/studio.sh").read_text()
    assert profile.strip() == 'export PATH="/srv/studio/.venv/bin:$PATH"'.replace(
        "/srv", f"{image.root}/srv"
    )
    for folder in (variables("app")["STUDIO_DATA_DIR"], variables("app")["HF_HOME"]):
        assert image.place(folder).is_dir()
    command = image.place(".venv/bin/studio")
    assert command.stat().st_mode & stat.S_IXOTH
    (default,) = [step.text for step in STAGES["app"] if step.word == "CMD"]
    done = image.run(" ".join(re.findall(r'"([^"]+)"', default)))
    assert done.returncode == 0 and "Start and operate" in done.stdout, done.stderr
    fetch = re.sub(r"--mount=\S+ ", "", runs("checkpoints")[0])
    refused = image.run(fetch, STUDIO_MODELS_LOCK="/no/models.lock")
    assert refused.returncode == 1 and "studio models lock" in refused.stderr
