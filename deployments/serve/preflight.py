"""Checks before the application is deployed: a closed cluster, and a database of this version."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from db.migrate import missing_migrations
from deployments.serve.patches import is_token_auth_enabled
from errors import SetupError, Unavailable
from settings import Settings


def require_closed_cluster(settings: Settings) -> None:
    """Checks that Ray requires a token in production; without one, Ray runs anybody's code.

    Raises:
        SetupError: Ray was started without token authentication.
    """
    if settings.env == "production" and not is_token_auth_enabled():
        raise SetupError(
            "STUDIO_ENV=production needs a Ray cluster with token authentication: start every "
            "node with RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN"
        )


def require_schema(settings: Settings) -> None:
    """Checks that the database has every migration of this version; newer ones are allowed.

    A database that does not answer does not stop the deployment: the replicas wait for it.

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
