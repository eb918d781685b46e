"""Checkpoints that are published as one file, not as a folder: SAM's and SCHP's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.checkpoints.pins import Pinning, pinned_folder
from models.checkpoints.weights import HUB_PREFIX, LOCAL_PREFIX, checkpoint_folder


@contextmanager
def open_single_file(
    checkpoint: str, pinning: Pinning, *, starter: str, example: str
) -> Iterator[Path]:
    """The checkpoint's file, or its folder, on this machine; a hub's file is fetched.

    checkpoint: "starter", "local-dir:/path" or a path, of the file or of a folder; or
    "hf-hub:owner/name/path/of/file". starter: the folder's name among the shipped weights. example:
    a published file's name, for the message.

    Raises:
        ValueError: it names a repository of the hub, but no file in it.
        SetupError: the file is not pinned and must be, or is not the pinned one.
    """
    folder = checkpoint_folder(checkpoint, starter=starter)
    if folder is not None:
        yield folder
        return
    if not checkpoint.startswith(HUB_PREFIX):
        yield Path(checkpoint.removeprefix(LOCAL_PREFIX))
        return
    owner, name, file = [*checkpoint.removeprefix(HUB_PREFIX).split("/", 2), "", ""][:3]
    if not (owner and name and file):
        raise ValueError(
            f"{checkpoint!r} names no file: a {starter} of the hub is named "
            f"{HUB_PREFIX}owner/name/path/of/{example}"
        )
    with pinned_folder(checkpoint, pinning) as pinned:
        if pinned is not None:
            yield pinned / file
            return
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - only hub names need it

        yield Path(hf_hub_download(f"{owner}/{name}", file))
