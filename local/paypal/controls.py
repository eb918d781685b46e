"""The payer's page, and routes by which demos and tests play PayPal's staff or inject faults."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from local.paypal import orders, refunds
from local.paypal.pages import approve_page, message_page, with_query
from local.paypal.problems import Problem
from local.paypal.state import State
from local.paypal.store import SimulatorStore

Json = dict[str, Any]


def state_of(request: Request) -> State:
    """The simulator's state."""
    state: State = request.app.state.paypal
    return state


async def show_approval(request: Request) -> Response:
    """GET /checkoutnow?token=…: the approval page; an order's link `payer-action` points to it."""
    order = state_of(request).store.get("order", request.query_params.get("token", ""))
    if order is None:
        return HTMLResponse(message_page("There is no such order."), 404)
    if order["status"] != "PAYER_ACTION_REQUIRED":
        return HTMLResponse(message_page("This order needs no approval any more."))
    return HTMLResponse(approve_page(order))


async def approve(request: Request) -> Response:
    """POST /checkoutnow: approves the order and redirects the payer to the shop."""
    state = state_of(request)
    async with request.form() as form:
        token = str(form.get("token", request.query_params.get("token", "")))
    order = state.store.get("order", token)
    if order is None:
        return HTMLResponse(message_page("There is no such order."), 404)
    with state.store.transaction():
        order = orders.approve_order(state.store, order)
    back = with_query(order["urls"]["return_url"], token=order["id"], PayerID=orders.PAYER_ID)
    return RedirectResponse(back, 303)


async def serve_certificate(request: Request) -> Response:
    """GET /v1/notifications/certs/…: the certificate of the webhooks' signature."""
    state = state_of(request)
    if state.script.next("certificate") is not None:
        return Response(status_code=500)
    return Response(state.signer.certificate, media_type="application/x-pem-file")


async def list_orders(request: Request) -> Response:
    """GET /simulator/books: all orders with captures and refunds, or those of `?ids=a,b`."""
    store = state_of(request).store
    if names := request.query_params.get("ids"):
        order_list = [order for name in names.split(",") if (order := store.get("order", name))]
    else:
        order_list = store.every("order")
    return JSONResponse([orders.order_shape(store, order) for order in order_list])


async def script_faults(request: Request) -> Response:
    """POST adds a list of faults to the script; DELETE empties the script."""
    script = state_of(request).script
    if request.method == "DELETE":
        script.waiting.clear()
    else:
        try:
            script.add(await request.json())
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
    return JSONResponse({"waiting": len(script.waiting)})


async def control_webhooks(request: Request) -> Response:
    """GET returns all events, freshly signed; POST {"hold": bool} holds or releases deliveries."""
    state = state_of(request)
    if request.method == "POST":
        state.delivery.is_held = bool((await request.json())["hold"])
        return JSONResponse({"hold": state.delivery.is_held})
    after = int(request.query_params.get("after", 0))
    return JSONResponse(
        [
            {"headers": state.delivery.sign(body), "body": body.decode()}
            for body in state.store.events()[after:]
        ]
    )


def act(work: Callable[[SimulatorStore, str, Json], Json]) -> Callable[[Request], Any]:
    """A route that changes one document in a transaction."""

    async def answer(request: Request) -> Response:
        store = state_of(request).store
        body = await request.body()
        try:
            with store.transaction():
                document = work(store, request.path_params["id"], json.loads(body or b"{}"))
        except Problem as problem:
            return JSONResponse(problem.document(""), problem.status)
        return JSONResponse(document)

    return answer


def approve_by_id(store: SimulatorStore, order_id: str, _: Json) -> Json:
    """Approves an order as its payer."""
    return orders.order_shape(
        store, orders.approve_order(store, orders.find_order(store, order_id))
    )


def forget_order(store: SimulatorStore, order_id: str, _: Json) -> Json:
    """Removes an order that nobody has paid, as PayPal does after a while."""
    order = orders.find_order(store, order_id)
    if order["status"] != "COMPLETED":
        store.put("forgotten", order)
    return {}


def settle_capture(store: SimulatorStore, capture_id: str, body: Json) -> Json:
    """Ends the review of a pending capture with COMPLETED or DECLINED."""
    capture = store.get("capture", capture_id)
    return orders.settle_pending(store, capture, body["status"]) if capture else {}


def refund_by_hand(store: SimulatorStore, capture_id: str, body: Json) -> Json:
    """Refunds a capture at PayPal, without the studio."""
    capture = store.get("capture", capture_id)
    return refunds.refund_capture(store, capture, body) if capture else {}


def settle_refund(store: SimulatorStore, refund_id: str, _: Json) -> Json:
    """Completes a pending refund."""
    refund = store.get("refund", refund_id)
    capture = store.get("capture", refund["capture_id"]) if refund else None
    if refund and capture and refund["status"] == "PENDING":
        refunds.complete_refund(store, capture, refund)
    return refund or {}


ROUTES = [
    Route("/checkoutnow", show_approval, methods=["GET"]),
    Route("/checkoutnow", approve, methods=["POST"]),
    Route("/v1/notifications/certs/{id}", serve_certificate, methods=["GET"]),
    Route("/simulator/books", list_orders, methods=["GET"]),
    Route("/simulator/faults", script_faults, methods=["POST", "DELETE"]),
    Route("/simulator/webhooks", control_webhooks, methods=["GET", "POST"]),
    Route("/simulator/orders/{id}/approve", act(approve_by_id), methods=["POST"]),
    Route("/simulator/orders/{id}/forget", act(forget_order), methods=["POST"]),
    Route("/simulator/captures/{id}/settle", act(settle_capture), methods=["POST"]),
    Route("/simulator/captures/{id}/refund", act(refund_by_hand), methods=["POST"]),
    Route("/simulator/refunds/{id}/settle", act(settle_refund), methods=["POST"]),
]
