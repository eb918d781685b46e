"""The status, slug and title that each class of `StudioError` has on the wire."""

import errors
from errors import StudioError
from gateway.problem import ProblemType

TABLE: dict[type[StudioError], ProblemType] = {
    errors.Malformed: ProblemType(400, "malformed", "The request can't be read"),
    errors.NotAuthenticated: ProblemType(401, "not-authenticated", "Sign in first"),
    errors.Forbidden: ProblemType(403, "forbidden", "Not allowed"),
    errors.NotFound: ProblemType(404, "not-found", "Not found"),
    errors.Conflict: ProblemType(409, "conflict", "Conflict"),
    errors.CursorExpired: ProblemType(409, "cursor-expired", "The next page is gone"),
    errors.TooLarge: ProblemType(413, "too-large", "Too large"),
    errors.NotAnImage: ProblemType(415, "not-an-image", "Not an image"),
    errors.Invalid: ProblemType(422, "invalid", "Not acceptable as it is"),
    errors.RateLimited: ProblemType(429, "rate-limited", "Too many requests"),
    errors.UpstreamFailed: ProblemType(502, "upstream-failed", "Another system failed"),
    errors.Unavailable: ProblemType(503, "unavailable", "Not available right now"),
    errors.NotLoaded: ProblemType(503, "unavailable", "Not available right now"),
    errors.EmbedderMismatch: ProblemType(503, "unavailable", "Not available right now"),
    errors.DeadlinePassed: ProblemType(504, "deadline-passed", "It took too long"),
}


def problem_type_of(error: StudioError) -> ProblemType | None:
    """The entry of the error's class or of its nearest base class."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), None)
