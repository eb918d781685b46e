"""The data folder: its files, its lock, and what it keeps between starts."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import SetupError
from local import folder as folder_module
from local.folder import DataFolder
from local.running import studio
from local.servers.tcp_ports import is_free, require_free


def test_secrets_are_kept_and_private(tmp_path: Path) -> None:
    secret = DataFolder(tmp_path).secret("jwt_secret")
    assert len(secret) >= 32
    assert DataFolder(tmp_path).secret("jwt_secret") == secret
    assert DataFolder(tmp_path).secret("other") != secret
    assert DataFolder(tmp_path).secret("jwt_secret") == secret
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00"])
def test_damaged_secrets_are_named_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(SetupError, match=r"secrets\.json is damaged"):
        DataFolder(tmp_path).secret("jwt_secret")
    assert (tmp_path / "secrets.json").read_text() == text


def test_one_studio_a_folder(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "data")
    first.open()
    with pytest.raises(SetupError, match=rf"already runs in .*data \(process {os.getpid()}\)"):
        DataFolder(tmp_path / "data").open()
    first.close()
    second = DataFolder(tmp_path / "data")
    second.open()
    second.close()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SetupError, match=r"data folder .*data can't be used"):
        DataFolder(tmp_path / "data").open()


def test_what_a_dead_studio_said_does_not_count(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.write_running_file({"base_url": "http://x"})
    assert (folder.running() or {})["base_url"] == "http://x"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder.write_running_file({"pid": dead.pid})
    assert folder.running() is None
    folder.remove_running_file()
    assert folder.running() is None


def test_too_little_room_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "NEEDED_BYTES", 2**60)
    with pytest.raises(SetupError, match=r"the disk of .* has \d+ MB free and the studio needs"):
        DataFolder(tmp_path).open()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("a small disk can't be mounted here (needs root)")
        pytest.skip("needs root: a small disk can't be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_stops_the_start_in_words(small_disk: Path) -> None:
    refused = studio(small_disk / "data", "up")
    assert refused.returncode == 1
    assert "MB free and the studio needs 1024 MB: free some" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(SetupError, match=f"port {port} is taken by process {os.getpid()}, .*X"):
            require_free(port, "127.0.0.1", "STUDIO_X")
    assert is_free(port)


def test_a_port_on_all_addresses_is_taken_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_strange_address_is_named() -> None:
    with pytest.raises(SetupError, match=r"not\.an\.address is no address"):
        is_free(8000, "not.an.address")
