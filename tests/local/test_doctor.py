"""What `studio doctor` finds, and what it advises."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local import doctor
from local.doctor import Finding, examine
from local.folder import DataFolder
from local.running import free_port, studio
from settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STUDIO_PORT", str(free_port()))
    monkeypatch.setenv("STUDIO_DASHBOARD_PORT", str(free_port()))
    monkeypatch.setenv("STUDIO_DATA_DIR", str(tmp_path))
    return Settings()


def of(subject: str, settings: Settings) -> list[Finding]:
    return [finding for finding in examine(settings, None) if finding.subject == subject]


def test_a_sound_machine(settings: Settings) -> None:
    findings = list(examine(settings, lambda: None))
    assert [finding for finding in findings if finding.status == "fail"] == []
    assert {"python", "settings", "disk", "memory", "port", "models", "processes"} <= {
        finding.subject for finding in findings
    }


def test_a_misspelt_variable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_DATABSE_URL", "postgresql://x")
    (finding,) = of("settings", settings)
    assert (finding.status, "STUDIO_DATABSE_URL" in finding.detail) == ("warn", True)


def test_a_taken_port(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.port)):
        first, second = of("port", settings)
    assert first.status == "fail"
    assert "set STUDIO_PORT" in first.advice
    assert second.status == "ok"


def test_packages_unlike_the_lock(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text('# made\npsutil==0.1\nno-such-thing==1.0 ; sys_platform == "linux"\n')
    monkeypatch.setattr(doctor, "LOCK", lock)
    (finding,) = of("packages", settings)
    assert finding.status == "warn"
    assert "locked 0.1" in finding.detail
    assert "no-such-thing missing" in finding.detail
    lock.unlink()
    assert of("packages", settings)[0].status == "fail"


def test_a_broken_database_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "postgres" / "cluster").mkdir(parents=True)
    (finding,) = of("database", settings)
    assert (finding.status, "PG_VERSION" in finding.detail) == ("fail", True)


def test_damaged_secrets(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    assert [finding.status for finding in of("data folder", settings)] == ["fail"]


def test_a_lost_server(settings: Settings, tmp_path: Path) -> None:
    url = f"postgresql://me:hidden-word@127.0.0.1:{free_port()}/x"
    DataFolder(tmp_path).write_running_file({"database_url": url, "ports": []})
    (finding,) = of("server", settings)
    assert finding.status == "fail"
    assert "hidden-word" not in finding.detail


def test_a_process_left_over(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", f"{tmp_path}/postgres"]
    process = subprocess.Popen(command)
    try:
        (finding,) = of("processes", settings)
    finally:
        process.kill()
        process.wait()
    assert (finding.status, f"({process.pid})" in finding.detail) == ("warn", True)


def test_weights_that_do_not_work(settings: Settings) -> None:
    def broken() -> None:
        raise RuntimeError("a vector of length nan")

    finding = next(finding for finding in examine(settings, broken) if finding.subject == "models")
    assert (finding.status, "length nan" in finding.detail) == ("fail", True)


# Slow: the command loads every network in a new process.
def test_the_command_fails_when_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    done = studio(tmp_path, "doctor")
    assert done.returncode == 1
    assert "fail data folder" in done.stdout


@pytest.mark.parametrize(
    ("connections", "status"), [({"Gateway": 60}, "ok"), ({"Gateway": 98}, "warn")]
)
def test_pools_beside_what_the_server_allows(
    settings: Settings, database_url: str, connections: dict[str, int], status: str
) -> None:
    changed = settings.model_copy(update={"database_url": database_url})
    (finding,) = [
        finding
        for finding in examine(changed, None, connections)
        if finding.subject == "connections"
    ]
    assert finding.status == status
    assert "of 97 that the server allows" in finding.detail  # 100, 3 kept for administrators
    assert "max_connections" in finding.advice or status == "ok"


def test_a_standby_is_named(settings: Settings, database_url: str) -> None:
    url = f"{database_url}?default_transaction_read_only=on"
    changed = settings.model_copy(update={"database_url": url})
    findings = [finding for finding in examine(changed, None, {}) if finding.subject == "database"]
    assert [one.status for one in findings] == ["fail"]


def test_blobs_without_rows_are_counted(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    urls = {"database_url": database_url, "blob_url": f"file://{tmp_path}/pictures"}
    changed = settings.model_copy(update=urls)
    assert [finding.status for finding in of("blobs", changed)] == ["ok"]
    for name in ("old", "new"):
        path = tmp_path / "pictures" / "masks" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        if name == "old":
            os.utime(path, (0, 0))
    (finding,) = of("blobs", changed)
    assert finding.status == "warn"
    assert "2 blobs, 1 without a row" in finding.detail
