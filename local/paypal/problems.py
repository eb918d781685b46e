"""PayPal's own form of errors."""

from typing import Any

Json = dict[str, Any]

NAMES = {
    400: ("INVALID_REQUEST",
          "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: ("AUTHENTICATION_FAILURE",
          "Authentication failed due to missing authorization header, "
          "or invalid authentication credentials."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    422: ("UNPROCESSABLE_ENTITY",
          "The requested action could not be performed, semantically incorrect, "
          "or failed business validation."),
    429: ("RATE_LIMIT_REACHED", "Too many requests."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
}  # fmt: skip
"""The messages that PayPal's OpenAPI descriptions permit."""


class Problem(Exception):
    """An error response; with `keep`, repeated calls with the same request id get it again."""

    def __init__(self, status: int, issue: str, field: str = "", *, keep: bool = False) -> None:
        super().__init__(issue)
        self.status = status
        self.issue = issue
        self.field = field
        self.keep = keep

    def document(self, debug_id: str) -> Json:
        """The body of the response."""
        name, message = NAMES[self.status]
        detail = {"issue": self.issue, "description": self.issue.replace("_", " ").capitalize()}
        if self.field:
            detail |= {"field": self.field, "location": "body"}
        return {
            "name": name, "message": message, "debug_id": debug_id, "details": [detail],
            "links": [],
        }  # fmt: skip
