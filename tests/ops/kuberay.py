"""The manifests of ops/kuberay as its command prints them."""

import subprocess
import sys
from functools import cache
from typing import Any

import yaml

from settings import PROJECT_ROOT

REQUIRED = (
    "--image", "registry.example/studio:1.0", "--host", "shop.example.com",
    "--proxies", "10.244.0.0/16", "--gcs-redis", "redis-ha:6379",
)  # fmt: skip


@cache
def printed(*options: str) -> subprocess.CompletedProcess[str]:
    """The command's output for these options."""
    return subprocess.run(
        [sys.executable, "-m", "ops.kuberay", *options],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def manifests(*options: str) -> list[Any]:
    """The objects that the command prints, with the required options and these."""
    done = printed(*REQUIRED, *options)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
