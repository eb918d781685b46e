"""A blob store that does not answer is named, without its key, before anything starts."""

from pathlib import Path

import pytest

from errors import SetupError
from local.running import free_port, studio
from local.servers.blob_store import require_blob_store
from settings import Settings

AZURE = "azure://shop;AccountName=shop;AccountKey=aGlkZGVuLXdvcmQ=;BlobEndpoint=http://127.0.0.1:{}/shop;"


def test_a_folder_answers(tmp_path: Path) -> None:
    require_blob_store(Settings(blob_url=f"file://{tmp_path}", jwt_secret="x" * 8 + "abcdefgh" * 4))


def test_a_store_that_is_down() -> None:
    with pytest.raises(SetupError, match=r"STUDIO_BLOB_URL: .*start that store") as refused:
        require_blob_store(Settings(blob_url=AZURE.format(free_port())))
    assert "aGlk" not in str(refused.value)


def test_up_does_not_wait_for_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    ports = {"STUDIO_PORT": str(free_port()), "STUDIO_DASHBOARD_PORT": str(free_port())}
    refused = studio(tmp_path / "data", "up", STUDIO_BLOB_URL=AZURE.format(free_port()), **ports)
    output = refused.stdout + refused.stderr
    assert refused.returncode == 1, output
    assert "STUDIO_BLOB_URL: " in output and "PostgreSQL" not in output
