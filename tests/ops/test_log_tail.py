"""The logs of a node on stdout: every line once, as JSON, whatever happens to the files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops import log_tail
from ops.log_tail import LogTail
from settings import PROJECT_ROOT


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The log folder of a session."""
    folder = tmp_path / "session_2026-01-01_00-00-00_000000_1" / "logs"
    (folder / "serve").mkdir(parents=True)
    return folder


def events(tail: LogTail) -> list[str]:
    return [json.loads(line)["event"] for line in tail.read()]


def add(path: Path, *texts: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(texts) + end)


def test_lines_come_once_and_whole(logs: Path, tmp_path: Path) -> None:
    tail, file = LogTail(tmp_path), logs / "worker-1.err"
    add(file, '{"event": "a"}', '{"event": "b')
    assert events(tail) == ["a"] * 1 + ['{"event": "b']
    add(file, '{"event": "c', end="")
    assert events(tail) == []
    add(file, '"}')
    assert events(tail) == ["c"]
    assert events(tail) == []


def test_only_the_logs_of_the_studio_are_copied(logs: Path, tmp_path: Path) -> None:
    for name in ("raylet.out", "worker-1.out", "gcs_server.err"):
        add(logs / name, "noise")
    add(logs / "serve" / "controller_1.log", '{"event": "deployed"}')
    add(logs / "job-driver-1.log", "progress")
    assert sorted(events(LogTail(tmp_path))) == ["deployed", "progress"]


def test_what_is_no_json_is_wrapped_and_secrets_are_hidden(logs: Path, tmp_path: Path) -> None:
    add(logs / "worker-1.err", "Traceback: GET https://x/?sig=abcdef Bearer abc.def.ghi")
    (line,) = map(json.loads, LogTail(tmp_path).read())
    assert line["file"] == "worker-1.err" and line["logger"] == "ray"
    assert "abcdef" not in line["event"] and "abc.def" not in line["event"]


def test_a_rotated_file_is_read_to_its_end(logs: Path, tmp_path: Path) -> None:
    tail, file = LogTail(tmp_path), logs / "worker-1.err"
    add(file, "one")
    assert events(tail) == ["one"]
    add(file, "two")
    file.rename(logs / "worker-1.err.1")
    add(file, "three")
    assert sorted(events(tail)) == ["three", "two"]


def test_a_truncated_file_begins_again(logs: Path, tmp_path: Path) -> None:
    tail, file = LogTail(tmp_path), logs / "worker-1.err"
    add(file, "a long line")
    assert events(tail) == ["a long line"]
    file.write_text("new\n")
    assert events(tail) == ["new"]


def test_a_line_without_an_end_does_not_fill_the_memory(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tail, "PORTION_BYTES", 10)
    add(logs / "worker-1.err", "x" * 25, "y")
    assert "".join(events(LogTail(tmp_path))) == "x" * 25 + "y"


def test_the_command_copies_until_it_is_stopped(logs: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.log_tail", "--folder", str(tmp_path)],
            cwd=PROJECT_ROOT, stdout=stdout, env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
        )  # fmt: skip
    try:
        add(logs / "worker-1.err", '{"event": "first"}')
        deadline_s = time.monotonic() + 30
        while b"first" not in output.read_bytes():
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        add(logs / "worker-2.err", '{"event": "last"}')
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert [json.loads(line)["event"] for line in output.read_bytes().splitlines()] == [
        "first",
        "last",
    ]
