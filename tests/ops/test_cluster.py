"""cluster.yaml: Ray accepts it as it stands, and its commands do on a machine what they promise."""

import copy
import json
import os
import re
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.lock import blocks_of, requirement_of
from settings import PROJECT_ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Ray imports
    import ray
    from ray.autoscaler._private.util import prepare_config, validate_config

RAY = Path(ray.__file__).parent
AZURE = RAY / "autoscaler" / "_private" / "_azure"


@pytest.fixture(scope="module")
def written() -> Any:
    return yaml.safe_load((PROJECT_ROOT / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def resolved(written: Any) -> Any:
    """As `ray up` fills it in, before it asks Azure."""
    config = prepare_config(copy.deepcopy(written))
    validate_config(config)
    return config


def test_ray_adds_no_installation_of_its_own(written: Any, resolved: Any) -> None:
    for name in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        assert resolved[name] == []
    assert resolved["initialization_commands"] == written["initialization_commands"]
    assert resolved["file_mounts"] == {}  # the image has the code


def test_machines(resolved: Any) -> None:
    kinds = resolved["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}
    workers = {name: kind for name, kind in kinds.items() if name != "head"}
    assert resolved["max_workers"] >= sum(kind["max_workers"] for kind in workers.values())
    assert {name for name, kind in workers.items() if kind["resources"].get("GPU")} == {"gpu"}
    parameters = json.loads((AZURE / "azure-vm-template.json").read_text())["parameters"]
    for kind in kinds.values():
        arm = kind["node_config"]["azure_arm_parameters"]
        assert arm.keys() <= parameters.keys()  # Azure refuses others
        assert arm["osDiskSize"] >= 128


def test_the_head_needs_no_azure_command_line(resolved: Any) -> None:
    """Ray's provider would ask `az` for the subscription, by a package that is gone."""
    assert re.fullmatch(r"[0-9a-f-]{36}", resolved["provider"]["subscription_id"])


def test_the_identity_is_the_operators(resolved: Any) -> None:
    """Of an identity that Ray makes itself nobody could grant the vault before the first start."""
    script = (
        "import sys, json; from ray.autoscaler._private._azure.config import _is_shared_msi;"
        "print(_is_shared_msi(json.load(sys.stdin)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(resolved["provider"]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.stdout == "True\n", answer.stderr


def test_rays_provider_works_with_the_locked_packages() -> None:
    """In a process of its own: `make install-test` installs requirements-azure.lock."""
    script = (
        "from azure.identity import DefaultAzureCredential as Credential;"
        "from ray.autoscaler._private._azure import node_provider as provider;"
        "credential = Credential();"
        "provider.ResourceManagementClient(credential, 'x').deployments.begin_create_or_update;"
        "provider.ComputeManagementClient(credential, 'x').virtual_machines.begin_delete;"
        "provider.NetworkManagementClient(credential, 'x').network_interfaces.begin_delete;"
        "print(provider.DeploymentMode.incremental)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\nrequirements-azure.lock has what Ray needs"


def test_the_lock_has_the_major_versions_that_ray_names() -> None:
    defaults = (RAY / "autoscaler" / "azure" / "defaults.yaml").read_text()
    named = dict(re.findall(r"(azure-(?:mgmt-\w+|common)|msrest\w*)==(\d+)", defaults))
    assert {"azure-mgmt-compute", "azure-mgmt-network", "azure-mgmt-resource"} <= named.keys()
    text = (PROJECT_ROOT / "requirements-azure.lock").read_text()
    blocks = {name: str(requirement_of(block).specifier) for name, block in blocks_of(text).items()}
    assert {name: blocks[name].removeprefix("==").partition(".")[0] for name in named} == named


def test_every_ray_process_has_the_same_environment(written: Any) -> None:
    options = " ".join(written["docker"]["run_options"])
    for setting in ("RAY_AUTH_MODE=token", "STUDIO_ENV=production", "STUDIO_PROFILE=production"):
        assert f"--env {setting}" in options
    assert "--env-file /etc/studio.env" in options and "nofile=65536:65536" in options
    for kind in ("head", "worker"):
        stop, start = written[f"{kind}_start_ray_commands"]
        assert stop == "ray stop"
        assert start.startswith(
            'eval "$(python -m deployments.serve.ingress 8000)"; ulimit -n 65536; '
        )
    assert "--dashboard-host=127.0.0.1" in written["head_start_ray_commands"][1]


@pytest.mark.parametrize(("redis", "expected"), [("", ""), ("key", "--redis-password=key")])
def test_the_head_starts_ray(written: Any, tmp_path: Path, redis: str, expected: str) -> None:
    programs = stubs(
        tmp_path, ray=f'echo "$RAY_SERVE_ENABLE_DIRECT_INGRESS $@" > {tmp_path}/started'
    )
    (programs / "python").symlink_to(sys.executable)
    environment = os.environ | {
        "PATH": f"{programs}:/usr/bin:/bin",
        "RAY_REDIS_PASSWORD": redis,
        "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), *sys.path]),
    }
    start = written["head_start_ray_commands"][1].replace("~/", "/home/studio/")
    subprocess.run(["/bin/bash", "-c", start], env=environment, cwd=PROJECT_ROOT, check=True)
    words = (tmp_path / "started").read_text().split()
    assert words[:3] == ["1", "start", "--head"]
    assert (expected in words) == bool(expected)
    assert words[-1] == "--autoscaling-config=/home/studio/ray_bootstrap_config.yaml"


def stubs(folder: Path, **programs: str) -> Path:
    """A folder of programs, each a line of shell."""
    place = folder / "bin"
    place.mkdir()
    for name, line in programs.items():
        program = place / name
        program.write_text(f"#!/bin/bash\n{line}\n")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return place


CURL = """
for word in "$@"; do case "$word" in
  *metadata/identity*resource=*) echo "{\\"access_token\\": \\"for-${word##*=}\\"}"; exit;;
  *secrets/studio-env*) [[ "$*" == *"Bearer for-https://vault.azure.net"* ]] || exit 22
    [ -z "$DENIED" ] || exit 22
    echo '{"value": "STUDIO_JWT_SECRET=a=b\\nRAY_AUTH_TOKEN=t"}'; exit;;
  *oauth2/exchange) [[ "$*" == *"access_token=for-https://management.azure.com/"* ]] || exit 22
    echo '{"refresh_token": "refresh"}'; exit;;
esac; done; exit 3"""


def run_initialization(
    written: Any, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs the second command as Ray would, with a cloud of its own and /etc in the folder."""
    sudo = f'[ "$1" = sh ] && exec sh -c "${{3//\\/etc/{folder}}}"'
    programs = stubs(
        folder, curl=CURL, sudo=sudo, docker=f'echo "$@ $(cat)" > {folder}/login', chown="true"
    )
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder)} | variables
    command = f"source ~/.bashrc; export A=1 && ({written['initialization_commands'][1]})"
    return subprocess.run(
        ["/bin/bash", "-c", command],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_machine_fetches_its_secrets_and_signs_in(written: Any, tmp_path: Path) -> None:
    (tmp_path / ".bashrc").touch()
    done = run_initialization(written, tmp_path)
    assert done.returncode == 0, done.stderr
    secrets = tmp_path / "studio.env"
    assert secrets.read_text() == "STUDIO_JWT_SECRET=a=b\nRAY_AUTH_TOKEN=t\n"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    login = (tmp_path / "login").read_text()
    assert login.endswith("--password-stdin refresh\n")
    registry = login.split()[1]
    assert written["docker"]["image"].startswith(f"{registry}/")


def test_a_machine_without_access_to_the_vault_does_not_start(written: Any, tmp_path: Path) -> None:
    (tmp_path / ".bashrc").touch()
    done = run_initialization(written, tmp_path, DENIED="1")
    assert done.returncode != 0
    assert not (tmp_path / "login").exists()
