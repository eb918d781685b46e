"""The name of an IP-Adapter: its repository, its file, and the image encoder that it needs."""

from dataclasses import dataclass
from pathlib import Path

from errors import SetupError
from models.checkpoints.weights import HUB_PREFIX, LOCAL_PREFIX


@dataclass(frozen=True)
class AdapterName:
    """The parts of "repository:folder:file" or "repository:folder:file:encoder".

    repository: a hub's "owner/name", or a folder in its format ("local-dir:/path" or its path).
    encoder: the image encoder's folder within `folder`, or within the repository if it has a slash,
    as in diffusers' `image_encoder_folder`.
    """

    repository: str
    folder: str
    file: str
    encoder: str = "image_encoder"

    @classmethod
    def parse(cls, name: str) -> "AdapterName":
        """Reads a name.

        Raises:
            SetupError: it does not have three or four parts.
        """
        parts = name.removeprefix(HUB_PREFIX).removeprefix(LOCAL_PREFIX).split(":")
        if len(parts) not in (3, 4) or not all(parts):
            raise SetupError(
                f"the adapter {name!r} must be named repository:folder:file or "
                "repository:folder:file:encoder-folder"
            )
        return cls(*parts)

    @property
    def local_folder(self) -> Path | None:
        """The repository's folder on this machine; None for a hub's name."""
        folder = Path(self.repository)
        return folder if folder.is_absolute() or folder.is_dir() else None

    @property
    def paths(self) -> tuple[str, str]:
        """The prefixes of the files that it needs: of its weights, and of its image encoder."""
        encoder = self.encoder if "/" in self.encoder else f"{self.folder}/{self.encoder}"
        return f"{self.folder}/{self.file}", f"{encoder}/"
