"""Copies the logs of a Ray node to stdout as JSON lines, where a cluster collects them.

Ray writes the output of every worker into a file of its own below its temporary folder, so a pod's
stdout has nothing of the replicas. This runs beside Ray (in Kubernetes as a sidecar container that
shares the folder; on a machine as a service) and is the only writer of its stdout, so no two lines
mix. `RAY_LOG_TO_STDERR=1` is no substitute: it mixes long lines of several processes, adds Ray's
own output in plain text, and leaves Ray's dashboard without logs.

    python -m ops.log_tail --folder /tmp/ray
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from studio.telemetry.logs import scrub

PATTERNS = tuple(
    f"session_2*/logs/{name}" for name in ("worker-*.err*", "job-driver-*.log*", "serve/*.log*")
)
"""The files of all sessions; the last star is for files that are rotated."""
POLL_S = 0.5
PORTION_BYTES = 1 << 20
"""The most that is read of one file at a time; a longer line is cut."""


class LogTail:
    """Knows how far each file has been copied; a file keeps its place when it is renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[tuple[int, int], int] = {}

    def read(self) -> Iterator[bytes]:
        """The complete lines that have been added since the last call, as JSON."""
        present = set()
        for path in [path for pattern in PATTERNS for path in self._folder.glob(pattern)]:
            try:
                with path.open("rb") as file:
                    state = os.fstat(file.fileno())
                    key = (state.st_dev, state.st_ino)
                    present.add(key)
                    yield from self._read_file(path.name, file, key, state.st_size)
            except OSError:
                continue  # rotated away or removed
        self._offsets = {key: at for key, at in self._offsets.items() if key in present}

    def _read_file(
        self, name: str, file: BinaryIO, key: tuple[int, int], size_bytes: int
    ) -> Iterator[bytes]:
        offset = self._offsets.get(key, 0)
        if offset > size_bytes:  # truncated, or another file with the number of a removed one
            offset = 0
        file.seek(offset)
        while data := file.read(PORTION_BYTES):
            end = data.rfind(b"\n") + 1
            if not end and len(data) < PORTION_BYTES:
                break  # the line is still being written
            portion = data[: end or len(data)]
            offset += len(portion)
            file.seek(offset)
            yield from (as_json(name, line) for line in portion.splitlines() if line.strip())
        self._offsets[key] = offset


def as_json(file_name: str, line: bytes) -> bytes:
    """The line if it is a JSON object, else one around it, as of a traceback of a crash."""
    text = scrub(line.decode(errors="replace"))
    if text.startswith("{") and text.endswith("}"):
        return text.encode()
    return json.dumps({"event": text, "logger": "ray", "file": file_name}).encode()


def copy_lines(tail: LogTail, output: BinaryIO) -> None:
    """Writes what is new; nothing is lost while the reader of the output is slow."""
    for line in tail.read():
        output.write(line + b"\n")
    output.flush()


def main() -> None:
    """Copies until SIGTERM or SIGINT, and once more then."""
    parser = argparse.ArgumentParser(prog="python -m ops.log_tail", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/ray"), help="Ray's --temp-dir")  # noqa: S108
    tail = LogTail(parser.parse_args().folder)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(POLL_S):
        copy_lines(tail, sys.stdout.buffer)
    copy_lines(tail, sys.stdout.buffer)


if __name__ == "__main__":
    main()
