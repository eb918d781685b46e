"""The calls of PayPal's API: authentication, faults from the script, repeated request ids."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from local.paypal import orders, refunds
from local.paypal.faults import Fault
from local.paypal.problems import Problem
from local.paypal.state import TOKEN_S, State

Json = dict[str, Any]
MAX_REQUEST_ID_CHARS = 108
SIGNATURE_FIELDS = (
    "transmission_id", "transmission_time", "transmission_sig", "auth_algo", "cert_url",
    "webhook_id",
)  # fmt: skip


class BrokenResponse(Response):
    """A response whose connection breaks in the middle."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Announces more bytes than it sends, so that the server closes the connection."""
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


@dataclass(frozen=True)
class Call:
    """One parsed request of the API."""

    name: str
    body: Json
    raw: bytes
    request_id: str | None
    fault: Fault | None
    is_minimal: bool

    @property
    def outcome(self) -> str | None:
        """The scripted outcome of a capture or refund, if there is a fault."""
        return self.fault.kind if self.fault else None


Work = Callable[[State, Request, Call], tuple[int, Json]]


def api(name: str, work: Work) -> Callable[[Request], Awaitable[Response]]:
    """A route that runs `work` in a transaction, after authentication and faults."""

    async def answer(request: Request) -> Response:
        state: State = request.app.state.paypal
        debug_id = secrets.token_hex(7)
        fault = state.script.next(name)
        kind = fault.kind if fault else ""
        if kind == "lost_request":
            return BrokenResponse()
        try:
            if kind == "unauthorized":
                state.tokens.clear()
            require_token(state, request)
            if kind in ("error", "busy"):
                raise Problem(500 if kind == "error" else 429, kind.upper())
            if kind == "refused":
                raise Problem(422, "COMPLIANCE_VIOLATION")
            call = await read_call(name, request, fault)
            status, document = perform(state, request, call, work)
        except Problem as problem:
            status, document = problem.status, problem.document(debug_id)
        if kind == "slow" and fault:
            await asyncio.sleep(fault.seconds)
        if kind == "lost_answer":
            return BrokenResponse()
        if kind == "error_after":
            status, document = 500, Problem(500, "INTERNAL_SERVER_ERROR").document(debug_id)
        return JSONResponse(document, status, headers={"Paypal-Debug-Id": debug_id})

    return answer


def require_token(state: State, request: Request) -> None:
    """Requires a valid token.

    Raises:
        Problem: the token is missing or not valid.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not state.knows_token(token):
        raise Problem(401, "INVALID_TOKEN")


async def read_call(name: str, request: Request, fault: Fault | None) -> Call:
    """Parses a request.

    Raises:
        Problem: the body is no JSON object, or the request id is too long.
    """
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Problem(400, "MALFORMED_REQUEST_JSON")
    request_id = request.headers.get("paypal-request-id")
    if request_id is not None and len(request_id) > MAX_REQUEST_ID_CHARS:
        raise Problem(400, "INVALID_STRING_LENGTH", "PayPal-Request-Id")
    is_minimal = "representation" not in request.headers.get("prefer", "")
    return Call(name, body, raw, request_id, fault, is_minimal)


def perform(state: State, request: Request, call: Call, work: Work) -> tuple[int, Json]:
    """Runs `work` in one transaction, which also stores a problem that belongs to a request id."""
    refusal: Problem | None = None
    with state.store.transaction():
        try:
            return work(state, request, call)
        except Problem as problem:
            if not problem.keep:
                raise
            refusal = problem
    raise refusal


def once(
    state: State, call: Call, make: Callable[[], Json], find: Callable[[str], Json]
) -> tuple[Json, bool]:
    """Makes a document and returns it with True; for a known request id, the former document."""
    if call.request_id is None:
        return make(), True
    key = f"{call.name} {call.request_id}"
    digest = hashlib.sha256(call.raw).hexdigest()
    former = state.store.find_request(key)
    if former is None:
        try:
            document = make()
        except Problem as problem:
            if problem.keep:
                refusal = {"status": problem.status, "issue": problem.issue}
                state.store.remember(key, digest, "", refusal)
            raise
        state.store.remember(key, digest, document["id"], None)
        return document, True
    if former.digest != digest:
        raise Problem(422, "DUPLICATE_REQUEST_ID")
    if former.problem is not None:
        raise Problem(former.problem["status"], former.problem["issue"])
    return find(former.subject), False


def create_order(state: State, _request: Request, call: Call) -> tuple[int, Json]:
    """POST /v2/checkout/orders."""
    if call.request_id is None:
        raise Problem(400, "PAYPAL_REQUEST_ID_REQUIRED")
    order, is_new = once(
        state,
        call,
        lambda: orders.create_order(state.store, call.body, state.args.base),
        lambda order_id: orders.find_order(state.store, order_id),
    )
    return (201 if is_new else 200), order_response(state, order, call)


def get_order(state: State, request: Request, call: Call) -> tuple[int, Json]:
    """GET /v2/checkout/orders/{id}."""
    order = orders.find_order(state.store, request.path_params["id"])
    return 200, orders.order_shape(state.store, order)


def capture_order(state: State, request: Request, call: Call) -> tuple[int, Json]:
    """POST /v2/checkout/orders/{id}/capture."""
    order = orders.find_order(state.store, request.path_params["id"])
    order, is_new = once(
        state,
        call,
        lambda: orders.capture_order(state.store, order, outcome=call.outcome),
        lambda order_id: orders.find_order(state.store, order_id),
    )
    return (201 if is_new else 200), order_response(state, order, call)


def order_response(state: State, order: Json, call: Call) -> Json:
    """The whole order, or without `Prefer: return=representation` its main fields."""
    document = orders.order_shape(state.store, order)
    if not call.is_minimal:
        return document
    return {name: document[name] for name in ("id", "status", "payment_source", "links")}


def find_capture(state: State, request: Request) -> Json:
    """Reads the capture that the path names.

    Raises:
        Problem: there is no such capture.
    """
    capture = state.store.get("capture", request.path_params["id"])
    if capture is None:
        raise Problem(404, "INVALID_RESOURCE_ID")
    return capture


def get_capture(state: State, request: Request, call: Call) -> tuple[int, Json]:
    """GET /v2/payments/captures/{id}."""
    return 200, orders.capture_shape(find_capture(state, request))


def refund_capture(state: State, request: Request, call: Call) -> tuple[int, Json]:
    """POST /v2/payments/captures/{id}/refund."""
    capture = find_capture(state, request)
    refund, _ = once(
        state,
        call,
        lambda: refunds.refund_capture(state.store, capture, call.body, outcome=call.outcome),
        lambda refund_id: state.store.get("refund", refund_id) or {},
    )
    return 201, orders.refund_shape(refund)


def get_refund(state: State, request: Request, call: Call) -> tuple[int, Json]:
    """GET /v2/payments/refunds/{id}."""
    refund = state.store.get("refund", request.path_params["id"])
    if refund is None:
        raise Problem(404, "INVALID_RESOURCE_ID")
    return 200, orders.refund_shape(refund)


def verify_signature(state: State, _request: Request, call: Call) -> tuple[int, Json]:
    """POST /v1/notifications/verify-webhook-signature, over the event's unchanged bytes."""
    if missing := [name for name in SIGNATURE_FIELDS if not isinstance(call.body.get(name), str)]:
        raise Problem(400, "MISSING_REQUIRED_PARAMETER", f"/{missing[0]}")
    _, mark, rest = call.raw.partition(b'"webhook_event":')
    if not mark:
        raise Problem(400, "MISSING_REQUIRED_PARAMETER", "/webhook_event")
    text = rest.decode().lstrip()
    _, end = json.JSONDecoder().raw_decode(text)
    is_ours = call.body["webhook_id"] == state.args.webhook_id and state.signer.has_signed(
        call.body, text[:end].encode()
    )
    return 200, {"verification_status": "SUCCESS" if is_ours else "FAILURE"}


async def issue_token(request: Request) -> Response:
    """POST /v1/oauth2/token, with the application's id and secret."""
    state: State = request.app.state.paypal
    fault = state.script.next("token")
    if fault is not None:
        return BrokenResponse() if fault.kind.startswith("lost") else Response(status_code=500)
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(f"{state.args.client_id}:{state.args.client_secret}".encode())
    form = await request.body()
    if scheme.lower() != "basic" or not secrets.compare_digest(credentials.encode(), expected):
        error = {"error": "invalid_client", "error_description": "Client Authentication failed"}
        return JSONResponse(error, 401)
    if b"grant_type=client_credentials" not in form:
        return JSONResponse({"error": "unsupported_grant_type"}, 400)
    return JSONResponse(
        {
            "scope": "https://uri.paypal.com/services/payments/payment", "token_type": "Bearer",
            "access_token": state.issue_token(), "app_id": "APP-SIMULATOR", "expires_in": TOKEN_S,
            "nonce": secrets.token_urlsafe(16),
        }
    )  # fmt: skip
