"""What every suite may use: real servers from `tests/servers.py`."""

pytest_plugins = ["tests.servers", "tests.cluster"]
