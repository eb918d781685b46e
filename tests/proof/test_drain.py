"""`make proof`: the drain of a pod's hook moves its replicas elsewhere, and no call fails."""

import json
import shlex
import subprocess
import sys

import pytest

from settings import PROJECT_ROOT
from tests.ops.kuberay import manifests


@pytest.mark.proof
def test_replicas_leave_a_drained_node_without_a_failed_call() -> None:
    service = next(one for one in manifests() if one["kind"] == "RayService")
    group = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    hook = group["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    words = shlex.split(hook.splitlines()[0].removesuffix(" || true"))
    assert words[:4] == ["timeout", "30", "ray", "drain-node"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.drained_node", *words[2:]],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    result = json.loads(line)
    assert result["drain"] == 0 and result["has_moved"], result
    assert result["calls"] > 8
