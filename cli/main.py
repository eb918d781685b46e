"""The `studio` command of operators: its command groups, one file each."""

import typer

from cli import database, index, jobs, machine, models, users
from cli.backup import backup, restore

app = typer.Typer(
    help="Start and operate the AI Fashion Studio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command()(machine.up)
app.command()(machine.seed)
app.command()(machine.doctor)
app.command()(database.migrate)
app.command()(backup)
app.command()(restore)
app.add_typer(users.commands, name="user")
app.add_typer(models.commands, name="models")
app.add_typer(index.commands, name="index")
app.add_typer(jobs.commands, name="jobs")
