"""The layer that answers errors which no route and no inner layer has handled."""

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import StudioError
from gateway.error_answers import http_problem, studio_problem
from gateway.problem import problem

log = structlog.get_logger("studio.gateway")


class LastHandler:
    """Answers an unexpected error with a 500 that shows no internals, and logs its traceback.

    Errors that the layers raise on purpose (`StudioError`, `HTTPException`) get their own document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app; an error after the response has started is raised again."""
        has_started = False

        async def watch(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            return  # there is no client left to answer
        except StudioError as error:
            if has_started:
                raise
            await studio_problem(scope, error)(scope, receive, send)
        except HTTPException as error:
            if has_started:
                raise
            await http_problem(scope, error)(scope, receive, send)
        except Exception:
            log.exception("unexpected error", path=scope.get("path"))
            if has_started:
                raise
            detail = "something went wrong on our side; quote the requestId"
            await problem(scope, 500, slug="internal", detail=detail)(scope, receive, send)
