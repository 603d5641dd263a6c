"""What can go wrong, declared by what happens next.

    SyncdError                70  a fault of our own
    ├── UsageError             2  the command line asks for what isn't there
    ├── ConfigurationError    78  the operator changes the set-up
    ├── AuthenticationError   77  a side refuses our credentials or rights
    ├── TemporaryError        69  try again later
    │   ├── AmbiguousError    69  sent, but the answer is lost: look before repeating
    │   └── QuotaError        69  the account's calls are used up
    ├── BusyError             75  another run holds the lock
    ├── StoppedError          75  asked to stop before the end
    └── ItemError              1  this contact is quarantined, the rest go on

What is expected (withheld, held, a stopped link) is a value in a report and no error.
"""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """The word for a failure in the run document."""

    CONFIGURATION = "configuration"
    AUTHENTICATION = "authentication"
    TEMPORARY = "temporary"
    INTERNAL = "internal"


class SyncdError(Exception):
    """What went wrong, in words for the operator; `hint` is what to do next.

    Neither text may hold a secret or an e-mail address in clear.
    """

    kind: ClassVar[Kind] = Kind.INTERNAL
    exit_code: ClassVar[int] = 70
    rest_s: ClassVar[float] = 0.0  # asking again sooner than after this is of no use

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(SyncdError):
    """The command line names a link, run or command that does not exist."""

    kind = Kind.CONFIGURATION
    exit_code = 2


class ConfigurationError(SyncdError):
    """The config, or the set-up on one of the sides, has to be changed by a person."""

    kind = Kind.CONFIGURATION
    exit_code = 78


class AuthenticationError(SyncdError):
    """A side refuses our credentials or rights; never tried again by itself."""

    kind = Kind.AUTHENTICATION
    exit_code = 77


class TemporaryError(SyncdError):
    """A passing fault; `retry_after_s` is how long the side asked us to wait."""

    kind = Kind.TEMPORARY
    exit_code = 69

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class AmbiguousError(TemporaryError):
    """A write was sent and its answer lost: it may have happened."""


class QuotaError(TemporaryError):
    """The account's calls are used up (Planfix code 0007, or our own daily budget)."""

    rest_s = 3600.0  # when the day's calls come back is not said


class BusyError(SyncdError):
    """Another run holds the store's lock."""

    kind = Kind.TEMPORARY
    exit_code = 75


class StoppedError(SyncdError):
    """Somebody asked us to stop; what is not done yet waits for the next run."""

    kind = Kind.TEMPORARY
    exit_code = 75


class ItemError(SyncdError):
    """One contact was refused; `code` is the side's own code, where it has one."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
