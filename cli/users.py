"""`studio user`: accounts."""

# ruff: noqa: PLC0415 - each command imports what it needs; `studio --help` needs nothing

from typing import Annotated

import typer

from cli.database import database_url, on_database
from cli.setup import plain_errors
from settings import load_settings

commands = typer.Typer(help="Accounts.", no_args_is_help=True)


@commands.command("create")
def create_user(
    email: str,
    role: Annotated[str, typer.Option(help="customer, merchant or admin")] = "customer",
    name: Annotated[str | None, typer.Option(help="How the account is shown.")] = None,
    password: Annotated[str | None, typer.Option(help="Asked for when not given.")] = None,
) -> None:
    """Create an account with any role; the command asks for the password."""
    with plain_errors():
        from studio.accounts import accounts

        database_url(load_settings())  # fails before the password is asked for
        secret = password or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        account = on_database(
            lambda database: accounts.create_user(
                database, email=email, password=secret, role=role, name=name
            )
        )
        typer.echo(f"{account.role} {account.email}: {account.id}")
