"""`studio models`: pins, fetches and verifies the published checkpoints of the profile."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli import rollout
from cli.setup import plain_errors
from errors import SetupError
from settings import Settings, load_settings

if TYPE_CHECKING:
    from jobs.checkpoints.preparation import ModelConfig
    from models.embedder.embedder import Embedder

ONLINE = {"HF_HUB_OFFLINE": "0"}
OFFLINE = {"HF_HUB_OFFLINE": "1"}

commands = typer.Typer(
    help="Checkpoints of the profile, and next models beside those in service.",
    no_args_is_help=True,
)
commands.command("share")(rollout.share_traffic)
commands.command("back")(rollout.take_back)
commands.command("status")(rollout.show_rollouts)
commands.command("finish")(rollout.finish_rollout)
EveryNode = Annotated[
    bool,
    typer.Option("--every-node", help="On every node of the Ray cluster, not only on this one."),
]


@commands.command("lock")
def lock_models() -> None:
    """Write the current revision and checksums of the profile's checkpoints into models.lock."""
    with plain_errors():
        os.environ.update(ONLINE)
        from deployments.profile import model_configs
        from jobs.checkpoints.preparation import hub_checkpoints
        from models.checkpoints.hub import pins_of
        from models.checkpoints.pins import read_lock, write_lock

        settings = load_settings()
        pins = read_lock(settings.models_lock)
        for each in hub_checkpoints(model_configs(settings)):
            for name, pin in pins_of(each.name, each.model, each.precision):
                pins[name] = pin
                typer.echo(f"{name}: {len(pin.files)} files at {pin.revision}")
        write_lock(settings.models_lock, pins)


@commands.command("fetch")
def fetch_models(every_node: EveryNode = False) -> None:
    """Download the profile's checkpoints into HF_HOME, so that a start needs no network."""
    with plain_errors():
        os.environ.update(ONLINE)
        from jobs.checkpoints.preparation import fetch_checkpoints

        run(fetch_checkpoints, ONLINE, every_node=every_node)


@commands.command("verify")
def verify_models(every_node: EveryNode = False) -> None:
    """Compare the files of all pinned checkpoints, then load and run every model once."""
    with plain_errors():
        os.environ.update(OFFLINE)
        from jobs.checkpoints.preparation import verify_checkpoints

        environment = OFFLINE | {"CUDA_VISIBLE_DEVICES": ""}  # the replicas have the nodes' GPUs
        lines = run(verify_checkpoints, environment, every_node=every_node)
        if len({tuple(each) for each in lines.values()}) > 1:
            raise SetupError("the nodes have different models: compare the lines above")


def run(
    function: "Callable[[Sequence[ModelConfig]], Iterator[str]]", environment: dict[str, str], *,
    every_node: bool,
) -> dict[str, list[str]]:  # fmt: skip
    """Runs a function on the profile's models, here or on every node; prints and returns its lines.

    Raises:
        SetupError: it failed; on a cluster: on one of the nodes at least.
    """
    from deployments.profile import model_configs

    configs = model_configs(load_settings())
    lines: dict[str, list[str]] = {}
    if not every_node:
        for line in function(configs):
            typer.echo(line)
        return lines
    from jobs.checkpoints.nodes import run_on_nodes

    failures = set()
    for report in run_on_nodes(function, configs, environment=environment):
        typer.echo(f"{report.node}: {'failed: ' if report.is_failure else ''}{report.line}")
        lines.setdefault(report.node, []).append(report.line)
        failures |= {report.node} if report.is_failure else set()
    if failures:
        raise SetupError(f"failed on {len(failures)} of {len(lines)} nodes: see the lines above")
    return lines


def load_embedder(settings: Settings) -> "Embedder":
    """Loads the profile's embedder on the CPU or GPU of this machine.

    Raises:
        SetupError: its checkpoint can't be read or downloaded.
    """
    from deployments.profile import embedder_config
    from models.embedder.embedder import load

    config = embedder_config(settings)
    try:
        return load(config)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise SetupError(f"the checkpoint {config.checkpoint} can't be loaded: {error}") from error
