"""`python -m local.paypal PORT FOLDER TARGET`: the simulator as a server on loopback."""

import sys
from pathlib import Path

import uvicorn

from local.paypal.app import create_app
from local.paypal.state import SimulatorArgs
from settings import load_settings


def main() -> None:
    """Starts the server; its credentials come from the settings, which the studio has too."""
    port, folder, target = sys.argv[1:]
    settings = load_settings()
    args = SimulatorArgs(
        folder=Path(folder),
        base=f"http://127.0.0.1:{port}",
        client_id=settings.required("paypal_client_id"),
        client_secret=settings.required("paypal_client_secret"),
        webhook_id=settings.required("paypal_webhook_id"),
        target=target,
    )
    uvicorn.run(
        create_app(args), host="127.0.0.1", port=int(port), log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main()
