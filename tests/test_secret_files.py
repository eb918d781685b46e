"""Secrets in files: read instead of the variable, and again after a change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import secret_files as module
from errors import SetupError
from secret_files import PREFIX, SECRETS, Following, variable_of
from settings import Settings, load_settings, unknown_variables

SECRET = "a secret of more than thirty-two bytes"
OTHER = "another secret of more than thirty-two bytes"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces mounted secrets as Kubernetes does: a symlink leads to a new folder."""
    monkeypatch.setattr(module, "REREAD_S", 0.0)
    versions = 0

    def replace(**secrets: str) -> None:
        nonlocal versions
        versions += 1
        folder = tmp_path / f"..{versions}"
        folder.mkdir()
        for name, text in secrets.items():
            (folder / name).write_text(text)
            monkeypatch.setenv(variable_of(name), str(tmp_path / "data" / name))
        (tmp_path / "new").symlink_to(folder)
        (tmp_path / "new").rename(tmp_path / "data")

    return replace


@pytest.mark.parametrize("name", SECRETS)
def test_each_secret_may_be_in_a_file(name: str, mount: Callable[..., None]) -> None:
    mount(**{name: f"{SECRET}\n"})
    assert load_settings_with(name).required(name) == SECRET


def load_settings_with(name: str) -> Settings:
    """The settings; an OpenID provider needs all of its settings."""
    provider: dict[str, Any] = {"oidc_issuer": "https://id.example", "oidc_client_id": "studio"}
    return Settings(**(provider if name == "oidc_client_secret" else {}))


def test_a_changed_file_is_read_again(mount: Callable[..., None]) -> None:
    mount(jwt_secret=SECRET, jwt_previous_secret=OTHER, database_url="postgresql://db/a")
    settings = load_settings()
    database_url = settings.secret("database_url")
    assert (database_url(), settings.jwt_secrets()) == ("postgresql://db/a", (SECRET, OTHER))
    mount(jwt_secret=OTHER, jwt_previous_secret=SECRET, database_url="postgresql://db/b\r\n")
    assert (database_url(), settings.jwt_secrets()) == ("postgresql://db/b", (OTHER, SECRET))


@pytest.mark.parametrize("text", ["", "\n", "short"])
def test_a_wrong_file_changes_nothing(mount: Callable[..., None], text: str) -> None:
    mount(jwt_secret=SECRET)
    settings = load_settings()
    mount(jwt_secret=text)
    assert settings.jwt_secrets() == (SECRET,)
    mount(jwt_secret=OTHER)
    assert settings.jwt_secrets() == (OTHER,)


def test_a_file_that_is_gone_changes_nothing(mount: Callable[..., None], tmp_path: Path) -> None:
    mount(jwt_secret=SECRET)
    settings = load_settings()
    (tmp_path / "data").unlink()
    assert settings.jwt_secrets() == (SECRET,)


def test_files_are_not_read_at_every_use(
    mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REREAD_S", 60.0)
    mount(jwt_secret=SECRET)
    settings = load_settings()
    mount(jwt_secret=OTHER)
    assert settings.jwt_secrets() == (SECRET,)


def test_a_start_needs_the_file(
    mount: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(jwt_secret="")
    with pytest.raises(SetupError, match=r"STUDIO_JWT_SECRET_FILE: .* is empty"):
        load_settings()
    (tmp_path / "data").unlink()
    with pytest.raises(SetupError, match=r"STUDIO_JWT_SECRET_FILE: .* can't be read: No such file"):
        load_settings()
    monkeypatch.setenv("STUDIO_JWT_SECRET_FILE", "secret.txt")
    with pytest.raises(SetupError, match="absolute path"):
        load_settings()


def test_one_secret_has_one_place(
    mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(jwt_secret=SECRET)
    monkeypatch.setenv("STUDIO_JWT_SECRET", SECRET)
    with pytest.raises(SetupError, match="STUDIO_JWT_SECRET and STUDIO_JWT_SECRET_FILE"):
        load_settings()


def test_no_variable_counts_as_misspelt(mount: Callable[..., None]) -> None:
    mount(**dict.fromkeys(SECRETS, SECRET))
    assert not {PREFIX + name.upper() + "_FILE" for name in SECRETS} & set(unknown_variables())


def test_what_follows_a_secret_outlives_a_bad_one() -> None:
    texts = ["1"]
    number = Following(lambda: texts[-1], int)
    texts.append("two")
    assert number() == 1
    texts.append("3")
    assert number() == 3
