"""A client of PayPal's Orders and Payments API; writes have a request id and can be repeated."""

import asyncio
import json
import ssl
from typing import Any

import httpx2
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client

from errors import UpstreamFailed
from integrations.cache import RedisCache
from integrations.paypal.account import PayPalAccount, paypal_account
from integrations.paypal.token import SharedToken
from settings import Settings

PAUSES_S = (0.3, 1.2)
"""The pauses between attempts of one call."""
CONNECT_S = 5.0
READ_S = 15.0
MAX_CERTIFICATE_BYTES = 64 * 1024
BUSY = frozenset({401, 408, 409, 429})
"""Statuses that don't say whether the call had an effect. 401: PayPal refuses even a new token;
409: the same call is still running at PayPal."""

Json = dict[str, Any]

log = structlog.get_logger("studio.paypal")


class Refusal(UpstreamFailed):
    """PayPal has understood the call and refuses it; `issue` is PayPal's code for the reason."""

    retryable = False

    def __init__(self, issue: str) -> None:
        super().__init__(f"PayPal refused: {issue}")
        self.issue = issue


class PayPal:
    """The client of one process; `pauses_s` and `read_s` are for tests."""

    def __init__(
        self,
        account: PayPalAccount,
        cache: RedisCache,
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        read_s: float = READ_S,
    ) -> None:
        self.account = account
        self._pauses_s = pauses_s
        self._client = AsyncOAuth2Client(
            account.client_id,
            account.client_secret(),
            token_endpoint=f"{account.site.api}/v1/oauth2/token",
            grant_type="client_credentials",
            base_url=account.site.api,
            timeout=httpx2.Timeout(read_s, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )
        self._token = SharedToken(self._client, account, cache)

    async def create_order(self, body: Json, *, request_id: str) -> Json:
        """Creates an order. Returns its document, with a link for the payer's approval.

        Raises:
            Refusal: PayPal refuses it for good.
            UpstreamFailed: it is unknown whether it was created; repeat the call.
        """
        return await self._call("POST", "/v2/checkout/orders", body, request_id)

    async def get_order(self, order_id: str) -> Json:
        """The order's document; raises as `create_order`, `RESOURCE_NOT_FOUND` if it is gone."""
        return await self._call("GET", f"/v2/checkout/orders/{order_id}")

    async def capture_order(self, order_id: str, *, request_id: str) -> Json:
        """Captures an order. Returns its document with the capture; raises as `create_order`."""
        return await self._call("POST", f"/v2/checkout/orders/{order_id}/capture", {}, request_id)

    async def refund_capture(self, capture_id: str, body: Json, *, request_id: str) -> Json:
        """Refunds a capture. Returns the refund's document; raises as `create_order`."""
        path = f"/v2/payments/captures/{capture_id}/refund"
        return await self._call("POST", path, body, request_id)

    async def verify_signature(self, transmission: Json, event: bytes) -> bool:
        """Asks PayPal whether it sent this event; `event` is sent back byte for byte."""
        head = json.dumps(transmission).encode().removesuffix(b"}")
        body = head + b', "webhook_event": ' + event + b"}"
        answer = await self._call("POST", "/v1/notifications/verify-webhook-signature", body)
        return answer.get("verification_status") == "SUCCESS"

    async def get_certificate(self, url: str) -> bytes:
        """The PEM file of a certificate, at an address that the caller has checked.

        Raises:
            UpstreamFailed: it can't be fetched.
        """
        try:
            answer = await self._client.request("GET", url, withhold_token=True)
        except httpx2.HTTPError as error:
            raise UpstreamFailed("PayPal's certificate could not be fetched") from error
        if answer.status_code != httpx2.codes.OK or len(answer.content) > MAX_CERTIFICATE_BYTES:
            raise UpstreamFailed("PayPal's certificate could not be fetched")
        return bytes(answer.content)

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        body: Json | bytes | None = None,
        request_id: str | None = None,
    ) -> Json:
        """One call, which is repeated while its outcome is unknown."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Prefer": "return=representation"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if request_id is not None:
            headers["PayPal-Request-Id"] = request_id
        failure = "it did not answer"
        for pause_s in (*self._pauses_s, None):
            try:
                answer = await self._send(method, path, content, headers)
                if answer.status_code not in BUSY and answer.status_code < 500:
                    return read_answer(answer)
                failure = f"it answered {answer.status_code}"
            except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
                log.warning("paypal.silent", method=method, path=path, error=repr(error))
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        raise UpstreamFailed(f"PayPal can't be reached: {failure}")

    async def _send(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> httpx2.Response:
        """One request, repeated with a new token if PayPal refuses the token."""
        token = await self._token.supply()
        answer: httpx2.Response = await self._client.request(
            method, path, content=content, headers=headers
        )
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            await self._token.supply(refused=token)
            answer = await self._client.request(method, path, content=content, headers=headers)
        if answer.status_code >= 400:
            log.warning(
                "paypal.refused", method=method, path=path, status=answer.status_code,
                debug_id=answer.headers.get("paypal-debug-id"), issue=issue_of(answer),
            )  # fmt: skip
        return answer


def open_paypal(settings: Settings, cache: RedisCache) -> PayPal | None:
    """The client of the settings; None if payments are off."""
    account = paypal_account(settings)
    return None if account is None else PayPal(account, cache)


def read_answer(answer: httpx2.Response) -> Json:
    """The response's document, with PayPal's debug id.

    Raises:
        Refusal: PayPal refuses the call, with the first issue that it names.
        UpstreamFailed: the response is not a JSON object.
    """
    try:
        document = answer.json() if answer.content else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UpstreamFailed("PayPal's answer can't be understood")
    if answer.is_success:
        return document | {"debug_id": answer.headers.get("paypal-debug-id")}
    raise Refusal(issue_of(answer))


def issue_of(answer: httpx2.Response) -> str:
    """PayPal's code for the error; the rest of its answer may contain personal data."""
    try:
        document = answer.json()
        details = document.get("details") or [{}]
        issue = details[0].get("issue") or document.get("name")
    except (ValueError, AttributeError, LookupError, TypeError):
        issue = None
    return str(issue or f"status {answer.status_code}")[:100]
