"""Behind the scenes: what a payer, PayPal's staff or bad luck does, for demos and tests."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from local.paypal import orders, refunds
from local.paypal.books import Books
from local.paypal.pages import approve_page, told_page, with_query
from local.paypal.problems import Problem
from local.paypal.state import State

Json = dict[str, Any]


def state_of(request: Request) -> State:
    """The simulator."""
    state: State = request.app.state.paypal
    return state


async def show_approval(request: Request) -> Response:
    """GET /checkoutnow?token=…: the page of the link `payer-action`."""
    order = state_of(request).books.get("order", request.query_params.get("token", ""))
    if order is None:
        return HTMLResponse(told_page("There is no such order."), 404)
    if order["status"] != "PAYER_ACTION_REQUIRED":
        return HTMLResponse(told_page("This order needs no approval any more."))
    return HTMLResponse(approve_page(order))


async def approve(request: Request) -> Response:
    """POST /checkoutnow: approves, and sends the payer back to the shop."""
    state = state_of(request)
    async with request.form() as form:
        token = str(form.get("token", request.query_params.get("token", "")))
    order = state.books.get("order", token)
    if order is None:
        return HTMLResponse(told_page("There is no such order."), 404)
    with state.books.transaction():
        order = orders.approve(state.books, order)
    back = with_query(order["urls"]["return_url"], token=order["id"], PayerID=orders.PAYER_ID)
    return RedirectResponse(back, 303)


async def serve_certificate(request: Request) -> Response:
    """GET /v1/notifications/certs/…."""
    state = state_of(request)
    if state.script.next("certificate") is not None:
        return Response(status_code=500)
    return Response(state.signer.certificate, media_type="application/x-pem-file")


async def read_books(request: Request) -> Response:
    """Every order with its money, or those of `?ids=a,b`, for whoever compares."""
    books = state_of(request).books
    if names := request.query_params.get("ids"):
        wanted = [order for name in names.split(",") if (order := books.get("order", name))]
    else:
        wanted = books.every("order")
    return JSONResponse([orders.shape(books, order) for order in wanted])


async def script_faults(request: Request) -> Response:
    """POST a list of faults; DELETE forgets those that wait."""
    script = state_of(request).script
    if request.method == "DELETE":
        script.waiting.clear()
    else:
        try:
            script.add(await request.json())
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
    return JSONResponse({"waiting": len(script.waiting)})


async def direct_webhooks(request: Request) -> Response:
    """GET: every event, signed anew; POST {"hold": bool}: keeps them back, or lets them go."""
    state = state_of(request)
    if request.method == "POST":
        state.delivery.is_held = bool((await request.json())["hold"])
        return JSONResponse({"hold": state.delivery.is_held})
    after = int(request.query_params.get("after", 0))
    return JSONResponse(
        [
            {"headers": state.delivery.sign(body), "body": body.decode()}
            for body in state.books.events()[after:]
        ]
    )


def act(work: Callable[[Books, str, Json], Json]) -> Callable[[Request], Any]:
    """A route that changes one document."""

    async def answer(request: Request) -> Response:
        books = state_of(request).books
        body = await request.body()
        try:
            with books.transaction():
                done = work(books, request.path_params["id"], json.loads(body or b"{}"))
        except Problem as problem:
            return JSONResponse(problem.document(""), problem.status)
        return JSONResponse(done)

    return answer


def approve_by_id(books: Books, order_id: str, _: Json) -> Json:
    """The payer says yes."""
    return orders.shape(books, orders.approve(books, orders.find(books, order_id)))


def forget_order(books: Books, order_id: str, _: Json) -> Json:
    """PayPal forgets an order that nobody paid."""
    order = orders.find(books, order_id)
    if order["status"] != "COMPLETED":
        books.put("forgotten", order)
    return {}


def settle_capture(books: Books, capture_id: str, body: Json) -> Json:
    """A pending capture becomes COMPLETED or DECLINED."""
    taken = books.get("capture", capture_id)
    return orders.settle_pending(books, taken, body["status"]) if taken else {}


def refund_by_hand(books: Books, capture_id: str, body: Json) -> Json:
    """A refund made at PayPal, of which the studio knows nothing."""
    taken = books.get("capture", capture_id)
    return refunds.refund(books, taken, body) if taken else {}


def settle_refund(books: Books, refund_id: str, _: Json) -> Json:
    """A pending refund is done."""
    made = books.get("refund", refund_id)
    taken = books.get("capture", made["capture_id"]) if made else None
    if made and taken and made["status"] == "PENDING":
        refunds.finish(books, taken, made)
    return made or {}


ROUTES = [
    Route("/checkoutnow", show_approval, methods=["GET"]),
    Route("/checkoutnow", approve, methods=["POST"]),
    Route("/v1/notifications/certs/{id}", serve_certificate, methods=["GET"]),
    Route("/simulator/books", read_books, methods=["GET"]),
    Route("/simulator/faults", script_faults, methods=["POST", "DELETE"]),
    Route("/simulator/webhooks", direct_webhooks, methods=["GET", "POST"]),
    Route("/simulator/orders/{id}/approve", act(approve_by_id), methods=["POST"]),
    Route("/simulator/orders/{id}/forget", act(forget_order), methods=["POST"]),
    Route("/simulator/captures/{id}/settle", act(settle_capture), methods=["POST"]),
    Route("/simulator/captures/{id}/refund", act(refund_by_hand), methods=["POST"]),
    Route("/simulator/refunds/{id}/settle", act(settle_refund), methods=["POST"]),
]
