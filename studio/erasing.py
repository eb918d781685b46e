"""Deletions as deeds of their own: each is recorded, so that a restored backup can repeat it."""

from errors import Invalid
from studio.ports import Studio


async def erase_again(studio: Studio, kind: str, subject: str) -> None:
    """Applies a deletion once more; nothing happens where its subject isn't there.

    Only for rows of `erasure` that are younger than the backup: what was deleted before it and
    made again since is another thing of the same name.

    Raises:
        Invalid: no such kind.
        Unavailable: database or blob store are away; it can be repeated.
    """
    raise Invalid(f"no such kind of erasure: {kind}")
