"""Instructions a request in the Gateway's process: a figure that a busy machine does not change.

    python -m benchmarks.serving.instructions [other tree ...]

Seconds of CPU differ by a fifth and more between two starts of one program on a shared machine; the
count of its instructions differs by one to four hundredths. Valgrind's callgrind counts them in the
whole application of `benchmarks.serving.gateway_cost` (variant "all: with auth"), for this tree and
for each other tree that is named, with this interpreter. It needs `valgrind`, and counts only what
the Gateway's process does: neither Ray nor the kernel.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import head, keep
from benchmarks.serving.gateway_cost import VARIANTS, free_port, prepare, run_variant, servers

ROUTES = {
    "GET /api/health/live": ("GET", "/api/health/live", None),
    "GET /api/auth/me": ("GET", "/api/auth/me", None),
    "POST /api/search/text": ("POST", "/api/search/text", {"query": "red dress", "topK": 10}),
}
WARM_UP = 15
REQUESTS = 60
START_S = 300.0
TREE = Path(__file__).resolve().parents[2]


def count(tree: Path, folder: Path) -> dict[str, float]:
    """Instructions a request of each route, in thousands."""
    with servers(folder) as addresses:
        prepared = prepare(addresses)
        token = prepared.pop("token")
        environment = addresses | prepared | {"port": str(free_port())}
        output = folder / "callgrind"
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", "--smc-check=none",
            f"--callgrind-out-file={output}", *run_variant(VARIANTS[-1], environment),
        ]  # fmt: skip
        variables = os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
        process = subprocess.Popen(
            command, cwd=tree, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            base = f"http://127.0.0.1:{environment['port']}"
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=base, headers=headers, timeout=120) as client:
                wait(client, process)
                return {route: count_route(client, process, output, route) for route in ROUTES}
        finally:
            process.terminate()
            process.wait(60)


def wait(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    """Waits until the application answers; under valgrind that takes half a minute."""
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            client.get("/api/health/live")
        except httpx.TransportError:
            time.sleep(1)
        else:
            return
    raise RuntimeError(f"the application did not start under valgrind (exit {process.poll()})")


def count_route(
    client: httpx.Client, process: "subprocess.Popen[bytes]", output: Path, route: str
) -> float:
    """Thousands of instructions a request, after a warm-up."""
    method, path, body = ROUTES[route]
    for _ in range(WARM_UP):
        client.request(method, path, json=body).raise_for_status()
    control(process, "--zero")
    control(process, "--instr=on")
    for _ in range(REQUESTS):
        client.request(method, path, json=body)
    control(process, "--instr=off")
    control(process, "--dump")
    return read_total(output) / REQUESTS / 1000


def control(process: "subprocess.Popen[bytes]", option: str) -> None:
    """Tells callgrind in that process to zero, count, pause or dump."""
    command = ["callgrind_control", option, str(process.pid)]
    subprocess.run(command, check=True, capture_output=True)


def read_total(output: Path) -> int:
    """The instructions of the newest dump, which is removed."""
    time.sleep(1)
    dumps = list(output.parent.glob(f"{output.name}.*"))
    text = max(dumps, key=lambda path: path.stat().st_mtime).read_text()
    for path in dumps:
        path.unlink()
    return max(int(number) for number in re.findall(r"^(?:totals|summary): (\d+)", text, re.M))


def main() -> None:
    """Counts this tree and the others, and writes the table."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed (Debian: apt install valgrind)")
    others = [Path(name).resolve() for name in sys.argv[1:]]
    counts: list[dict[str, float]] = []
    for tree in (TREE, *others):
        print(f"counting {tree.name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="studio-count-") as name:
            Path(name).chmod(0o711)  # PostgreSQL runs as another user where this one is root
            counts.append(count(tree, Path(name)))
    names = ["this tree", *(path.name for path in others)]
    lines = [
        head(" ".join(["python -m benchmarks.serving.instructions", *sys.argv[1:]])), "",
        f"| thousand instructions a request | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {route} | {' | '.join(f'{each[route]:,.0f}' for each in counts)} |"
            for route in ROUTES
        ),
    ]  # fmt: skip
    keep("instructions", lines)


if __name__ == "__main__":
    main()
