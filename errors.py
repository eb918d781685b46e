"""The errors of the studio, with messages that a caller may read.

Every class takes one positional string, so that it can be pickled between Ray processes.
`gateway/error_table.py` gives each class its HTTP status.
"""

from typing import Self


class StudioError(Exception):
    """The base of all expected errors; `retryable` says whether the call may succeed later."""

    retryable = False
    subject: str | None = None
    """Which of several inputs the failure is about, such as "person"; survives pickling."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def about(self, subject: str) -> Self:
        """The same error with its subject."""
        self.subject = subject
        return self


class Malformed(StudioError):
    """The request can't be parsed, such as broken JSON or a broken cursor."""


class NotAuthenticated(StudioError):
    """The request has no credentials, or they are invalid or expired."""


class Forbidden(StudioError):
    """The account's role does not allow the request."""


class NotFound(StudioError):
    """The object does not exist, or it belongs to another user."""


class Conflict(StudioError):
    """The request contradicts the present state."""


class CursorExpired(Conflict):
    """The list or index that a cursor belongs to is gone."""


class TooLarge(StudioError):
    """The data has more bytes or pixels than the studio accepts."""


class NotAnImage(StudioError):
    """The data is not an image of a supported format."""


class Invalid(StudioError):
    """The request is well-formed but not acceptable: a bad value, address or image."""


class RateLimited(StudioError):
    """The caller has sent too many requests; `retry_after_s`: when the next one may be accepted."""

    retryable = True
    retry_after_s: int

    def __init__(self, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        if retry_after_s is not None:  # else that of the class, if it has one
            self.retry_after_s = retry_after_s


class UpstreamFailed(StudioError):
    """A system outside the studio (a remote picture, PayPal) failed."""

    retryable = True


class Unavailable(StudioError):
    """A part of the studio is saturated, starting or down."""

    retryable = True


class NotLoaded(Unavailable):
    """The replica that was asked has not loaded the data yet; another one may have.

    replica: the id of that replica, where it is known.
    """

    replica = ""


class EmbedderMismatch(Unavailable):
    """The vectors come from another embedder than the one that this part works with."""


class DeadlinePassed(StudioError):
    """There was no answer in time."""

    retryable = True


class SetupError(StudioError):
    """The studio can't start: a port in use, a full disk, a wrong setting. For operators only."""


class JobStopped(Exception):
    """An attempt of a job must end now and record nothing more.

    It is not a `StudioError`, so that handlers that tolerate expected errors do not catch it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Superseded(JobStopped):
    """Another worker has the job, because the lease expired or the owner retried it."""


class CancelRequested(JobStopped):
    """The job's owner has cancelled it."""
