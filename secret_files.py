"""Secrets in files: `STUDIO_…_FILE` names one, and what is built from it follows its changes."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import structlog
from pydantic import PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from errors import SetupError, StudioError

PREFIX = "STUDIO_"
REREAD_S = 20.0
"""How long the secrets in files are used before the files are read again."""
SECRETS = (
    "database_url", "redis_url", "blob_url", "jwt_secret", "jwt_previous_secret",
    "oidc_client_secret", "paypal_client_secret",
)  # fmt: skip
"""The settings that may be in a file: those that are secrets, or contain one."""

Source = TypeVar("Source")
Value = TypeVar("Value")

log = structlog.get_logger("studio.secrets")


def variable_of(name: str) -> str:
    """The variable that names the file of a secret."""
    return f"{PREFIX}{name.upper()}_FILE"


def names_with_files() -> frozenset[str]:
    """The secrets that this process reads from files."""
    return frozenset(name for name in SECRETS if os.environ.get(variable_of(name)))


def read_secret(name: str) -> str:
    """A secret in its file, without the line break at its end.

    Kubernetes replaces the folder of such files by a symlink, so the path is followed each time.

    Raises:
        SetupError: the file can't be read or is empty, or the secret is also set directly.
    """
    variable = variable_of(name)
    if os.environ.get(variable.removesuffix("_FILE")):
        raise SetupError(f"{variable.removesuffix('_FILE')} and {variable} are both set; unset one")
    path = Path(os.environ[variable])
    if not path.is_absolute():
        raise SetupError(f"{variable} must be an absolute path, because workers run elsewhere")
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SetupError(f"{variable}: {path} can't be read: {reason}") from None
    if not secret:
        raise SetupError(f"{variable}: {path} is empty")
    return secret


class SecretFileSource(PydanticBaseSettingsSource):
    """Gives the settings the values of secrets whose files are named in the environment."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one field; None where it has no file."""
        has_file = field_name in names_with_files()
        return (read_secret(field_name) if has_file else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values by field.

        Raises:
            SetupError: as `read_secret`.
        """
        return {name: read_secret(name) for name in sorted(names_with_files())}


class SecretSettings(BaseSettings):
    """Settings whose secrets may be in files, which are read again after a change."""

    _in_files: frozenset[str] = PrivateAttr(default_factory=names_with_files)
    _newest: Self | None = PrivateAttr(default=None)
    _read_again_s: float = PrivateAttr(default_factory=lambda: time.monotonic() + REREAD_S)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the files of secrets, then the environment."""
        return init_settings, SecretFileSource(settings_cls), env_settings

    @classmethod
    def load(cls) -> Self:
        """Reads the settings from the environment and from the files that it names.

        Raises:
            SetupError: a variable is wrong; the message names it and says why.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [
                f"{PREFIX}{'_'.join(str(part) for part in problem['loc']).upper()}: "
                f"{problem['msg']}"
                if problem["loc"]
                else problem["msg"].removeprefix("Value error, ")
                for problem in error.errors(include_input=False, include_url=False)
            ]
            raise SetupError("; ".join(problems)) from None

    def required(self, name: str) -> str:
        """The value of a setting that a running studio needs, as text.

        Raises:
            SetupError: the variable is unset; the message names it.
        """
        value = getattr(self, name)
        if value is None:
            raise SetupError(
                f"{PREFIX}{name.upper()} is not set (`studio up` sets it to an embedded server)"
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    def secret(self, name: str) -> Callable[[], str]:
        """A function that returns a secret as it is now; see `present`.

        Raises:
            SetupError: the variable is unset; the message names it.
        """
        self.required(name)
        return partial(self.present, name)

    def present(self, name: str) -> str:
        """A secret as it is now: at most `REREAD_S` old where it is in a file."""
        return (self._reread() if name in self._in_files else self).required(name)

    def _reread(self) -> Self:
        """The settings with the present secrets; the last good ones where a file is wrong."""
        if time.monotonic() >= self._read_again_s:
            self._read_again_s = time.monotonic() + REREAD_S
            try:
                self._newest = self.load()
            except SetupError as error:
                log.error("secrets.unusable", reason=error.detail)
        return self._newest or self


class Following(Generic[Source, Value]):
    """A value that is built from a secret, and built again when the secret has changed."""

    def __init__(self, secret: Callable[[], Source], build: Callable[[Source], Value]) -> None:
        """Builds the first value; its errors are raised."""
        self._secret = secret
        self._build = build
        self._source = secret()
        self._value = build(self._source)

    def __call__(self) -> Value:
        """The value of the present secret; the last good one where nothing can be built of it."""
        source = self._secret()
        if source != self._source:
            self._source = source
            try:
                self._value = self._build(source)
            except (StudioError, ValueError) as error:
                log.error("secrets.unusable", reason=type(error).__name__)
        return self._value
