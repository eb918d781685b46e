"""The source of an embedder for open_clip's factory: a folder, a pinned checkpoint, or a tag."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import SetupError
from models.checkpoints.hub import CONFIG_FILE, borrowed_tokenizer
from models.checkpoints.pins import Pinning, fetch, find_pin, pinned_folder
from models.checkpoints.weights import HUB_PREFIX, LOCAL_PREFIX, checkpoint_folder

Source = tuple[str, str | None]
"""The two arguments of open_clip's factory: name and pretrained tag."""


@contextmanager
def open_clip_source(checkpoint: str, pinning: Pinning) -> Iterator[Source]:
    """The source of a checkpoint; valid while the block runs.

    Raises:
        SetupError: the checkpoint must be pinned and is not, or its files differ from the pin.
        ValueError: the name has no supported form.
    """
    if not checkpoint.startswith(HUB_PREFIX):
        yield _unpinned(checkpoint, pinning)
        return
    with pinned_folder(checkpoint, pinning) as folder:
        if folder is None:
            yield checkpoint, None
            return
        _link_tokenizer(folder, pinning)
        yield f"{LOCAL_PREFIX}{folder}", None


def _unpinned(checkpoint: str, pinning: Pinning) -> Source:
    folder = checkpoint_folder(checkpoint, starter="embedder")
    if folder is not None:
        return f"{LOCAL_PREFIX}{folder}", None
    architecture, slash, tag = checkpoint.partition("/")
    if not slash:
        raise ValueError(f"{checkpoint!r} is not a folder, an hf-hub: name or architecture/tag")
    if pinning.required:
        raise SetupError(
            f"the embedder {checkpoint} can't be pinned by open_clip's tag: name its repository as "
            "hf-hub:owner/name, then run `studio models lock`"
        )
    return architecture, tag


def _link_tokenizer(folder: Path, pinning: Pinning) -> None:
    """Links the files of a tokenizer from another repository into the checkpoint's folder."""
    tokenizer = borrowed_tokenizer(folder / CONFIG_FILE)
    pin = find_pin(tokenizer, pinning) if tokenizer else None
    if pin is None:
        return
    source = fetch(pin)
    for file in pin.files:
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to((source / file).resolve())
