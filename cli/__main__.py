"""`python -m cli`: the `studio` command without its script."""

from cli.main import app

app()
