"""The operator's own blob store: whether it answers before anything is started."""

import asyncio

from errors import SetupError, Unavailable
from integrations.blobs.store import open_blob_store
from settings import Settings


def require_blob_store(settings: Settings) -> None:
    """Requires that the store of the settings answers; replicas of Index would wait for it.

    Raises:
        SetupError: it doesn't; the message does not contain its key.
    """
    try:
        asyncio.run(_check(settings))
    except Unavailable as error:
        raise SetupError(
            f"STUDIO_BLOB_URL: {error.detail}; start that store or unset the variable to use a "
            "folder"
        ) from error


async def _check(settings: Settings) -> None:
    blobs = open_blob_store(settings)
    try:
        await blobs.check()
    finally:
        await blobs.aclose()
