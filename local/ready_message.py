"""The reports of a running studio: lines for the operator, addresses for `studio` commands."""

import os
from typing import Any

from local.cluster import submit_line
from settings import Settings

DEMO_ACCOUNTS = (
    ("admin@demo.studio", "admin", "Demo admin"),
    ("merchant@demo.studio", "merchant", "Demo merchant"),
    ("shopper@demo.studio", "customer", "Demo shopper"),
)
"""E-mail address, role and name of each."""


def running_addresses(settings: Settings) -> dict[str, Any]:
    """The addresses by which other `studio` commands find the running servers."""
    return {
        "base_url": settings.base_url,
        "ports": [settings.port, settings.dashboard_port],
        "database_url": settings.database_url,
        "redis_url": settings.redis_url,
        "blob_url": settings.blob_url,
        "ray_address": os.environ["RAY_ADDRESS"],
    }


def ready_lines(settings: Settings, *, demo: bool) -> list[str]:
    """The lines for the operator; scripts wait for the first one."""
    base = settings.base_url
    lines = [
        f"Studio is ready: {base}/",
        f"  API docs       {base}/api/docs",
        f"  Studio page    {base}/",
        f"  Ray dashboard  http://127.0.0.1:{settings.dashboard_port}/",
    ]
    if demo:
        password = settings.demo_password.get_secret_value()
        emails = ", ".join(email for email, *_ in DEMO_ACCOUNTS)
        lines.append(f"  Demo accounts  {emails} (password: {password})")
    return [
        *lines,
        f"  Re-index       {submit_line(settings)}",
        f"  Logs           {settings.data_dir / 'logs'}",
    ]
