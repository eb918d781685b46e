"""`studio models share, back, status, finish`: the next models and their share of the traffic."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import typer

from cli.database import on_database
from cli.setup import plain_errors


def share_traffic(model: str, share: float) -> None:
    """Let the next embedder, segmenter or tryon answer a share of the callers, from 0 to 1."""
    with plain_errors():
        from studio.rollout.rollouts import set_share

        on_database(lambda database: set_share(database, model, share))
        typer.echo(f"the next {model} answers {share:.1%} of the callers")


def take_back(model: str) -> None:
    """Take the next embedder, segmenter or tryon back: it answers nobody, within two seconds."""
    with plain_errors():
        from studio.rollout.rollouts import set_share

        on_database(lambda database: set_share(database, model, 0.0))
        typer.echo(f"the next {model} answers nobody")


def show_rollouts() -> None:
    """Show the share of each next model, and the embedder beside that of the active index."""
    with plain_errors():
        from studio.rollout.rollouts import read_rollouts

        for row in on_database(read_rollouts):
            typer.echo(
                f"{row.model:<9}  {row.share:>6.1%}  {row.changed_at:%Y-%m-%d %H:%M}  "
                f"{row.embedder_version or ''}".rstrip()
            )


def finish_rollout(model: str) -> None:
    """End a rollout; replicas of Index then hold the active index only."""
    with plain_errors():
        from studio.rollout.rollouts import finish

        on_database(lambda database: finish(database, model))
        typer.echo(f"the rollout of {model} is finished")
