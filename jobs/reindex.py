"""Batch re-index on the running cluster: `ray job submit … -- python -m jobs.reindex [--full]`."""

import argparse
import asyncio

from deployments.launch import running_studio
from settings import load_settings
from studio.index_versions import activate_version
from studio.indexing import build_version, embed_missing


def report(done: int, total: int, message: str) -> None:
    """One line of the job's log."""
    print(f"{done}{f' of {total}' if total else ''} {message}", flush=True)  # noqa: T201


async def reindex(*, full: bool) -> str:
    """Embeds what is missing (everything if `full`), builds a version and activates it."""
    import ray  # noqa: PLC0415 - only a process that Ray started gets here

    ray.init(address="auto", log_to_driver=False, ignore_reinit_error=True)
    async with running_studio(load_settings()) as studio:
        await embed_missing(studio, report, full=full)
        version = await build_version(studio, report)
        await activate_version(studio, version)
    return version


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="embed every picture again")
    version = asyncio.run(reindex(full=parser.parse_args().full))
    print(f"index {version} is active", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
