"""`studio models`: pins, fetches and verifies the published checkpoints of the profile."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli import rollout
from cli.setup import plain_errors
from errors import SetupError
from settings import Settings, load_settings

if TYPE_CHECKING:
    from models.checkpoints.pins import Pin
    from models.checkpoints.registry import Model
    from models.embedder.embedder import Embedder

commands = typer.Typer(
    help="Checkpoints of the profile, and next models beside those in service.",
    no_args_is_help=True,
)
commands.command("share")(rollout.share_traffic)
commands.command("back")(rollout.take_back)
commands.command("status")(rollout.show_rollouts)
commands.command("finish")(rollout.finish_rollout)


@commands.command("lock")
def lock_models() -> None:
    """Write the current revision and checksums of the profile's checkpoints into models.lock."""
    with plain_errors():
        from models.checkpoints.hub import pins_of
        from models.checkpoints.pins import read_lock, write_lock

        settings = load_settings()
        pins = read_lock(settings.models_lock)
        for checkpoint, model in hub_checkpoints(settings):
            for name, pin in pins_of(checkpoint, model):
                pins[name] = pin
                typer.echo(f"{name}: {len(pin.files)} files at {pin.revision}")
        write_lock(settings.models_lock, pins)


@commands.command("fetch")
def fetch_models() -> None:
    """Download the profile's checkpoints to this node, so that a start needs no network."""
    with plain_errors():
        from deployments.profile import pinning
        from models.checkpoints.hub import pins_of
        from models.checkpoints.pins import fetch, find_pin

        settings = load_settings()
        for checkpoint, model in hub_checkpoints(settings):
            pin = find_pin(checkpoint, pinning(settings))
            pins = list_pins(checkpoint, settings) if pin else pins_of(checkpoint, model)
            for name, name_pin in pins:
                typer.echo(f"{name} at {name_pin.revision}: {fetch(name_pin)}")
        if not settings.embedder_checkpoint.startswith("hf-hub:"):
            typer.echo(f"{settings.embedder_checkpoint}: {load_embedder(settings).version}")


@commands.command("verify")
def verify_models() -> None:
    """Compare the files of all pinned checkpoints, then load the embedder and run it once."""
    with plain_errors():
        settings = load_settings()
        from models.checkpoints.pins import fetch

        for checkpoint, _ in hub_checkpoints(settings):
            for name, pin in list_pins(checkpoint, settings):
                fetch(pin)
                typer.echo(f"ok   {name}: {len(pin.files)} files as in models.lock")
        embedder = load_embedder(settings)
        check(settings.embedder_checkpoint, embedder.check)
        typer.echo(f"ok   {embedder.version}: {embedder.dim} dimensions")


def hub_checkpoints(settings: Settings) -> "list[tuple[str, Model]]":
    """The profile's checkpoints that come from a hub, each with the model that loads it."""
    checkpoints: list[tuple[str | None, Model]] = [
        (settings.embedder_checkpoint, "embedder"),
        (settings.parser_checkpoint, "parser"),
        (settings.sam_checkpoint, "sam"),
        (settings.tryon_checkpoint, "tryon"),
        (settings.tryon_adapter_checkpoint, "tryon"),
    ]
    own = {"starter", "off", "composite"}
    return [
        (name, model)
        for name, model in checkpoints
        if name and name not in own and is_at_hub(name, model)
    ]


def is_at_hub(checkpoint: str, model: "Model") -> bool:
    """Whether a checkpoint comes from a hub; painters and adapters need no `hf-hub:` prefix."""
    if checkpoint.startswith("hf-hub:"):
        return True
    is_local = checkpoint.startswith("local-dir:") or Path(checkpoint).exists()
    return model == "tryon" and not is_local


def list_pins(checkpoint: str, settings: Settings) -> "list[tuple[str, Pin]]":
    """The pins of a checkpoint and of the tokenizer that it uses; none where it is not pinned."""
    from deployments.profile import pinning
    from models.checkpoints.hub import CONFIG_FILE, borrowed_tokenizer
    from models.checkpoints.pins import fetch, find_pin

    pin = find_pin(checkpoint, pinning(settings))
    if pin is None:
        return []
    pins = [(checkpoint.removeprefix("hf-hub:"), pin)]
    if CONFIG_FILE in pin.files and (tokenizer := borrowed_tokenizer(fetch(pin) / CONFIG_FILE)):
        tokenizer_pin = find_pin(tokenizer, pinning(settings))
        pins += [(tokenizer, tokenizer_pin)] if tokenizer_pin else []
    return pins


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


def check(checkpoint: str, run: Callable[[], None]) -> None:
    """Runs a model once.

    Raises:
        SetupError: the model does not work.
    """
    try:
        run()
    except RuntimeError as error:
        raise SetupError(f"{checkpoint} does not work: {error}") from error
