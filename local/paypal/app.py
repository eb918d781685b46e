"""The simulator's application: PayPal's API, the payer's page, and controls for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.routing import Route

from local.paypal import calls, controls
from local.paypal.calls import api
from local.paypal.state import SimulatorArgs, State


def create_app(args: SimulatorArgs) -> Starlette:
    """A simulator on a folder, which keeps its orders and events across restarts."""
    state = State.open(args)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        delivering = asyncio.create_task(state.delivery.run(), name="delivery")
        try:
            yield
        finally:
            delivering.cancel()
            with suppress(asyncio.CancelledError):
                await delivering
            state.store.close()

    order, capture = "/v2/checkout/orders", "/v2/payments/captures"
    app = Starlette(
        routes=[
            Route("/v1/oauth2/token", calls.issue_token, methods=["POST"]),
            Route(order, api("create", calls.create_order), methods=["POST"]),
            Route(order + "/{id}", api("get", calls.get_order), methods=["GET"]),
            Route(order + "/{id}/capture", api("capture", calls.capture_order), methods=["POST"]),
            Route(capture + "/{id}", api("get", calls.get_capture), methods=["GET"]),
            Route(capture + "/{id}/refund", api("refund", calls.refund_capture), methods=["POST"]),
            Route("/v2/payments/refunds/{id}", api("get", calls.get_refund), methods=["GET"]),
            Route(
                "/v1/notifications/verify-webhook-signature",
                api("verify", calls.verify_signature),
                methods=["POST"],
            ),
            *controls.ROUTES,
        ],
        lifespan=lifespan,
    )
    app.state.paypal = state
    return app
