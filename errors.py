"""The errors of the studio: what went wrong, said once, in words a caller may read.

Every class takes one positional string, so that it survives pickling between Ray processes.
There is no HTTP here: `gateway/error_table.py` gives each class its status.
"""

from typing import Self


class StudioError(Exception):
    """Root of all expected failures; `retryable` says whether the same call may succeed later."""

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
    """The request can't be read at all (broken JSON, broken cursor)."""


class NotAuthenticated(StudioError):
    """No identity, or one that is not valid (any more)."""


class Forbidden(StudioError):
    """The identity is known and its role is not enough."""


class NotFound(StudioError):
    """Absent, or another user's."""


class Conflict(StudioError):
    """The request contradicts what is already there."""


class TooLarge(StudioError):
    """More bytes or pixels than the studio takes."""


class NotAnImage(StudioError):
    """The bytes are no image of a supported format."""


class Invalid(StudioError):
    """Well-formed, but not acceptable: a refused address, an undecodable image, a bad value."""


class RateLimited(StudioError):
    """The caller asked too often."""

    retryable = True


class UpstreamFailed(StudioError):
    """A system outside the studio (a remote picture, PayPal) failed."""

    retryable = True


class Unavailable(StudioError):
    """A part of the studio is saturated, starting or down."""

    retryable = True


class DeadlinePassed(StudioError):
    """The answer did not come in time."""

    retryable = True


class SetupError(StudioError):
    """The studio can't start: a taken port, a full disk, a wrong setting. For operators only."""


class JobStopped(Exception):
    """An attempt of a job has to end now, recording nothing more; no `StudioError`, so that
    handlers that put up with expected failures don't put up with this.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Superseded(JobStopped):
    """Another worker has the job: this one's lease ran out, or its owner retried it."""


class CancelRequested(JobStopped):
    """The job's owner doesn't want it any more."""
