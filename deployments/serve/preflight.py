"""What must hold before the application is deployed: a closed cluster and a schema of this code."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ray._private.authentication.authentication_utils import is_token_auth_enabled

from db.migrate import missing_migrations
from errors import SetupError, Unavailable
from settings import Settings


def require_closed_cluster(settings: Settings) -> None:
    """In production Ray itself must ask for a token: whoever reaches an open Ray runs code.

    Raises:
        SetupError: Ray was started without token authentication.
    """
    if settings.env == "production" and not is_token_auth_enabled():
        raise SetupError(
            "STUDIO_ENV=production needs a Ray cluster with token authentication: start every "
            "node with RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN"
        )


def require_schema(settings: Settings) -> None:
    """The database must have every migration of this code; newer ones are fine.

    A database that does not answer is no reason to stay away: the replicas wait for it.

    Raises:
        SetupError: `studio migrate` has not run.
    """
    url = settings.required("database_url")
    with ThreadPoolExecutor(1) as pool:  # the caller may be inside of an event loop
        try:
            missing = pool.submit(asyncio.run, missing_migrations(url)).result()
        except Unavailable:
            return
    if missing:
        raise SetupError(
            f"the database lacks {len(missing)} migration(s) of this version, from {missing[0]} "
            "on: run `studio migrate` first"
        )
