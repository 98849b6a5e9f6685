"""What goes wrong, as Python's own exceptions: `except FileNotFoundError` works as with files."""

from __future__ import annotations

import errno


class ForebayError(OSError):
    """A call failed. `str(error)` says what failed, on what, why, and what to do.

    Subclasses are also the built-in exceptions that fit; a code without one is a plain ForebayError.
    """

    code: str = "Unknown"
    """What to decide by: "NotFound", "Busy", ... (FOREBAY_* in forebay.h)."""
    retry_after: float = 0.0
    """Seconds before which another try is useless (codes "Unavailable" and "Busy"); 0: as you like."""

    def __str__(self) -> str:
        return f"{self.code}: {self.strerror}"


class NotFoundError(ForebayError, FileNotFoundError):
    """No such object, directory or mount."""


class PermissionDeniedError(ForebayError, PermissionError):
    """The caller may not, or the origin refuses the node's credentials (code "Unauthenticated")."""


class InvalidArgumentError(ForebayError, ValueError):
    """Repeating it won't help: a bad name or option, or a handle from before a fork."""


class UnavailableError(ForebayError, ConnectionError):
    """No node answered: worth another try."""


class DeadlineExceededError(ForebayError, TimeoutError):
    """The client's timeout is over."""


class GoneError(ForebayError):
    """The open version left the origin before its bytes were cached: open it again."""


class CorruptError(ForebayError):
    """Bytes that don't match their checksum."""


_BY_CODE: dict[str, tuple[type[ForebayError], int]] = {
    "InvalidArgument": (InvalidArgumentError, errno.EINVAL),
    "NotFound": (NotFoundError, errno.ENOENT),
    "PermissionDenied": (PermissionDeniedError, errno.EACCES),
    "Unauthenticated": (PermissionDeniedError, errno.EACCES),
    "Unavailable": (UnavailableError, errno.EHOSTUNREACH),
    "DeadlineExceeded": (DeadlineExceededError, errno.ETIMEDOUT),
    "Busy": (ForebayError, errno.EAGAIN),
    "Gone": (GoneError, errno.ESTALE),
    "Corrupt": (CorruptError, errno.EIO),
    "Unsupported": (ForebayError, errno.EOPNOTSUPP),
    "Cancelled": (ForebayError, errno.ECANCELED),
    "ReadOnly": (ForebayError, errno.EROFS),
}


def make(code: str, message: str, retry_after_ms: int = 0) -> ForebayError:
    """The exception of a code of the library."""
    kind, number = _BY_CODE.get(code, (ForebayError, errno.EIO))
    error = kind(number, message)
    error.code = code
    error.retry_after = retry_after_ms / 1000
    return error
