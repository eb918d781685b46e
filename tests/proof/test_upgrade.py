"""`make proof`: the whole studio is upgraded under load as docs/operations.md says, and back.

Three nodes with a Gateway on two of them, behind a balancer that asks /api/health/ready. Releases
that can't start are deployed as well: the release before goes on serving.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.production.balancer import Balancer
from tests.support.production.cluster import ProductionCluster, describe, make_folder
from tests.support.production.mixed_load import MixedLoad
from tests.support.production.nodes import BIN, HEAD_ADDRESS
from tests.support.production.own_address import OWN_ADDRESS
from tests.support.production.releases import make_release
from tests.support.production.shop import Shop

pytestmark = [pytest.mark.proof, pytest.mark.timeout(2400)]

PRODUCTS, REQUESTS = 12, 5000
ROLLOUT_S = 600.0
VERSION = 'version="0.1.0"'
GATEWAY = "prepare_ingress(HeadLimitProtocol)\n"


@dataclass
class Config:
    """serve_config.yaml as an operator edits it: for several GPUs, with one release's environment.

    poll_s: how often Index looks for changes; a number of the file that differs between releases.
    """

    runtime_env: dict[str, Any] = field(default_factory=dict)
    poll_s: float = 0.2

    def write(self, schema: dict[str, Any]) -> None:
        application = schema["applications"][0]
        application["args"]["index"]["poll_s"] = self.poll_s
        if self.runtime_env:
            application["runtime_env"] = self.runtime_env
        for deployment in application["deployments"]:
            if deployment["name"] == "TryOn":
                deployment["max_surge_percent"] = 100  # as the comment in the file says


@contextmanager
def serving(config: Config) -> Iterator[tuple[ProductionCluster, MixedLoad]]:
    """The cluster under load, until the block ends."""
    cluster = ProductionCluster(
        make_folder(), change=config.write, STUDIO_ACCESS_TOKEN_MINUTES="60",
        RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=OWN_ADDRESS,
    )  # fmt: skip
    try:
        cluster.start(gpu_nodes=2)
        nodes = [node for name, node in cluster.nodes.nodes.items() if name != "head"]
        urls = [f"http://{node.address}:{cluster.port}" for node in nodes]
        with Balancer(urls) as balancer, httpx.Client(base_url=balancer.pick(), timeout=60) as http:
            shop = Shop(http)
            shop.open(PRODUCTS)
            shop.send_pictures()
            with MixedLoad(balancer, shop) as load:
                yield cluster, load
            load.require_no_failure()
    finally:
        cluster.end()


def await_failure(cluster: ProductionCluster) -> str:
    """What `serve status` says about a deploy that fails."""
    deadline_s = time.monotonic() + ROLLOUT_S
    while cluster.application()["status"] != "DEPLOY_FAILED":
        assert time.monotonic() < deadline_s, describe(cluster.application())
        time.sleep(0.5)
    return operate(cluster, "serve", "status", "--address", cluster.nodes.dashboard_url)


def operate(cluster: ProductionCluster, program: str, *words: str) -> str:
    """The output of a command on the head, as an operator runs it there."""
    done = subprocess.run(
        [str(BIN / program), *words], cwd=cluster.folder, capture_output=True, text=True,
        env=cluster.nodes.environment_of("head") | {
            "RAY_ADDRESS": f"{HEAD_ADDRESS}:{cluster.nodes.port}", "COLUMNS": "1000",
        }, check=False, timeout=180,
    )  # fmt: skip
    return done.stdout + done.stderr


def pids(cluster: ProductionCluster, *names: str) -> set[int]:
    """The processes of the running replicas, of all deployments if none is named."""
    return {
        one.pid for one in cluster.replicas()
        if one.state == "RUNNING" and (not names or one.deployment in names)
    }  # fmt: skip


def versions(load: MixedLoad) -> set[str]:
    """The version that each ready node says it has."""
    return {
        httpx.get(f"{url}/api/openapi.json", timeout=30).json()["info"]["version"]
        for url in load.balancer.ready
    }


def damage(folder: Path) -> Path:
    """A copy of the embedder's checkpoint whose weights end too early."""
    copy = folder.with_name("damaged")
    shutil.copytree(folder, copy)
    weights = max(copy.iterdir(), key=lambda path: path.stat().st_size)
    weights.write_bytes(weights.read_bytes()[:100_000])
    return copy


def test_an_upgrade_and_the_way_back_fail_no_request() -> None:
    config = Config()
    with serving(config) as (cluster, load):
        first = pids(cluster)
        config.runtime_env, config.poll_s = make_second(cluster), 0.3
        upgrade_s = deploy(cluster)
        assert not pids(cluster) & first and len(pids(cluster)) == len(first)
        assert versions(load) == {"0.2.0"}
        load.require_no_failure()
        config.runtime_env, config.poll_s = {}, 0.2
        back_s = deploy(cluster)
        assert versions(load) == {"0.1.0"}
        load.end(REQUESTS)
    print(f"\nupgraded in {upgrade_s:.0f} s, back in {back_s:.0f} s: {load.summary}")  # noqa: T201


def test_releases_that_can_not_start_leave_the_former_one() -> None:
    config = Config()
    with serving(config) as (cluster, load):
        second = make_second(cluster)
        checkpoint = damage(cluster.folder / "checkpoints" / "fashion-siglip")
        config.runtime_env = with_variables(second, STUDIO_EMBEDDER=f"local-dir:{checkpoint}")
        embedder = pids(cluster, "Embedder")
        cluster.deploy()
        reason = f"while loading the checkpoint local-dir:{checkpoint}"
        assert reason in await_failure(cluster)
        assert pids(cluster, "Embedder") == embedder
        doctor = operate(cluster, "studio", "doctor")
        assert "Embedder: DEPLOY_FAILED, 1 RUNNING" in doctor and reason in doctor, doctor
        addresses = [node.address for node in cluster.nodes.nodes.values()]
        assert all(f" {address}: " in doctor for address in addresses), doctor
        load.require_no_failure()

        before = pids(cluster)
        config.runtime_env = with_variables(second, STUDIO_TRUSTED_PROXIES='["0.0.0.0/0"]')
        cluster.deploy()
        assert "STUDIO_TRUSTED_PROXIES" in await_failure(cluster)
        assert all(map(psutil.pid_exists, before))  # Serve lists nothing until the next deploy
        doctor = operate(cluster, "studio", "doctor")
        assert "the last deploy failed: " in doctor and "STUDIO_TRUSTED_PROXIES" in doctor, doctor
        load.require_no_failure()

        config.runtime_env = make_release(
            cluster.folder / "0.3.0",
            {"deployments/gateway.py": (GATEWAY, f"{GATEWAY}        raise ValueError('no way')\n")},
        )
        cluster.deploy()
        assert "no way" in await_failure(cluster)
        assert versions(load) == {"0.2.0"}  # one Gateway of the deploy before is left
        load.require_no_failure()

        config.runtime_env = {}
        back_s = deploy(cluster)
        assert versions(load) == {"0.1.0"}
        load.end()
    print(f"\nback from failed releases in {back_s:.0f} s: {load.summary}")  # noqa: T201


def make_second(cluster: ProductionCluster) -> dict[str, Any]:
    """Another release, which says another version."""
    return make_release(cluster.folder / "0.2.0", {"gateway/app.py": (VERSION, 'version="0.2.0"')})


def deploy(cluster: ProductionCluster) -> float:
    """Deploys and waits for all replicas; the seconds that it took."""
    started_s = time.monotonic()
    cluster.deploy()
    cluster.await_running(ROLLOUT_S)
    return time.monotonic() - started_s


def with_variables(runtime_env: dict[str, Any], **variables: str) -> dict[str, Any]:
    return runtime_env | {"env_vars": runtime_env["env_vars"] | variables}
