"""Make one call to Planfix's XML API: login, envelope, and its codes as our errors.

The error codes stand in the Planfix help pages, those below 0024 and 1001 and 1002 in public
clients only; what each means for us is our own reading.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol, TypeVar

from syncd import clock
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    ItemError,
    QuotaError,
    SyncdError,
    TemporaryError,
)
from syncd.transport import Options as TransportOptions
from syncd.transport import Reply, Transport, fault_of_status, never
from syncd.wire import planfix_xml as xml
from syncd.wire.planfix_xml import BrokenContent, BrokenReply, Element, Parameters, Refusal

T = TypeVar("T")

_SESSION_S: Final = 50 * 60  # a session lives an hour; whether use prolongs it is not said
_RESERVE_CALLS: Final = 1000
_SESSION_ENDED: Final = frozenset({"0005", "0012"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one Planfix account is reached; `token`, or `login` and `password`.

    `signature_secret` is for accounts that still sign their requests. `daily_calls` is what
    the budget handed to the client counts against.
    """

    url: str
    account: str
    api_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    signature_secret: str | None = field(default=None, repr=False)
    page_size: int = 100
    requests_per_second: float = 1.0
    daily_calls: int | None = None
    timeout_s: float = 120.0
    attempts: int = 5
    wait_s: float = 1.0
    max_wait_s: float = 60.0


class Budget(Protocol):
    """Who counts our calls of the day."""

    def spend(self) -> None:
        """Count one call; raise QuotaError where the day's calls are used up."""


class UnreadablePageError(TemporaryError):
    """A reply came whole, but something inside it can't be parsed: ask for less at a time."""


class _Class(Enum):
    """What a code means for us."""

    TEMPORARY = auto()
    AUTHENTICATION = auto()
    CONFIGURATION = auto()
    QUOTA = auto()
    ITEM = auto()
    VALUE = auto()  # of the contact on a write, of our own making on a read


_KEYS_HINT: Final = (
    "Check api_key and token against Account management, API access; then: syncd check"
)
_RIGHTS_HINT: Final = (
    "Give the token this function in Account management, API access; then: syncd check"
)
_TARGET_HINT: Final = (
    "See whether the filter is there, and the token's employee may see it: syncd contacts filters"
)
_OURS_HINT: Final = "This is a fault of syncd's own: please report it with the code."

# fmt: off
_CODES: Final[dict[str, tuple[_Class, str, str]]] = {
    "0001": (_Class.AUTHENTICATION, "wrong API key", _KEYS_HINT),
    "0002": (_Class.AUTHENTICATION, "the application is blocked", _KEYS_HINT),
    "0003": (_Class.VALUE, "the request is no well-formed XML", _OURS_HINT),
    "0004": (_Class.CONFIGURATION, "no such account", "Check account in [planfix]."),
    "0005": (_Class.AUTHENTICATION, "the session is invalid or over", _KEYS_HINT),
    "0006": (_Class.CONFIGURATION, "wrong signature", "Check signature_secret, or leave it out."),
    "0007": (_Class.QUOTA, "the account's calls are used up", "They come back by themselves."),
    "0008": (_Class.CONFIGURATION, "unknown function", _OURS_HINT),
    "0009": (_Class.VALUE, "a mandatory value is missing", ""),
    "0010": (_Class.CONFIGURATION, "the account is frozen", "Planfix's own pages say why."),
    "0011": (_Class.TEMPORARY, "the account is being updated", "Wait; it can take long."),
    "0012": (_Class.AUTHENTICATION, "the session is missing", _KEYS_HINT),
    "0013": (_Class.AUTHENTICATION, "the token's employee is unknown", _KEYS_HINT),
    "0014": (_Class.AUTHENTICATION, "the token's employee is not active", _KEYS_HINT),
    "0015": (_Class.VALUE, "a value is not allowed", ""),
    "0016": (_Class.VALUE, "a value is not allowed in this place", ""),
    "0017": (_Class.VALUE, "a value that another one needs is missing", ""),
    "0018": (_Class.CONFIGURATION, "the function does not exist yet", _OURS_HINT),
    "0019": (_Class.VALUE, "values contradict each other", ""),
    "0020": (_Class.CONFIGURATION, "our token has no right to it", _RIGHTS_HINT),
    "0021": (_Class.CONFIGURATION, "too much was asked for", "Set page_size to 100 or less."),
    "0022": (_Class.CONFIGURATION, "a free account has no API", "It takes a paid plan."),
    "0023": (_Class.CONFIGURATION, "the account's plan doesn't have it", "See the plan's limits."),
    "0024": (
        _Class.CONFIGURATION, "the account lies in another data centre",
        "Copy url from Account management, API access, XML API.",
    ),
    "1001": (_Class.AUTHENTICATION, "wrong login or password", "Check login and password."),
    "1002": (_Class.AUTHENTICATION, "no right to this call", _RIGHTS_HINT),
    "3014": (_Class.TEMPORARY, "it is being changed right now", "Wait a minute."),
    "7001": (_Class.ITEM, "no right to this contact", "Let the token's employee see it."),
    "7002": (_Class.ITEM, "the contact does not exist", ""),
    "7003": (_Class.ITEM, "the contact was not added", ""),
    "7004": (_Class.ITEM, "the contact was not updated", ""),
    "8001": (_Class.ITEM, "no right to this contact", "Let the token's employee see it."),
    "8002": (_Class.ITEM, "the contact does not exist", ""),
    "8003": (_Class.ITEM, "the contact was not added", "Perhaps its address is there already."),
    "8004": (_Class.ITEM, "the contact was not updated", ""),
    "8005": (_Class.ITEM, "the contact has no access to Planfix", ""),
    "8006": (_Class.ITEM, "access was not given to the contact", ""),
    "8007": (_Class.ITEM, "its address belongs to someone else", ""),
    "8008": (_Class.ITEM, "the password was not changed", ""),
    "8009": (_Class.ITEM, "the login was not changed", ""),
    "8010": (_Class.ITEM, "its address is not one that Planfix takes", ""),
}
# fmt: on

_OTHER_ROOMS: Final = frozenset(
    f"{low + each}"
    for low, high in (
        (2001, 2003), (3001, 3013), (4001, 4016), (5001, 5003),
        (6001, 6006), (9001, 9009), (10001, 10004), (11001, 11001),
    )
    for each in range(high - low + 1)
)  # fmt: skip
"""Codes of projects, tasks, employees and other things that are no contacts."""


class PlanfixClient:
    """The XML API of one account."""

    def __init__(
        self,
        options: Options,
        *,
        budget: Budget | None = None,
        stop: Callable[[], bool] = never,
    ) -> None:
        """Prepare the calls, without connecting yet; `stop` ends the pauses between them.

        Raises:
            ConfigurationError: the address can't be used.
        """
        self._options = options
        self._sid = ""
        self._sid_until_s = 0.0
        secret = f"{options.api_key}:{options.token}"  # with a login the password stays empty
        self._headers = {
            "Content-Type": "application/xml; charset=utf-8",
            "Accept": "application/xml",
            "Authorization": "Basic " + base64.b64encode(secret.encode()).decode(),
        }
        self._transport = Transport(
            TransportOptions(
                url=options.url,
                timeout_s=options.timeout_s,
                attempts=options.attempts,
                wait_s=options.wait_s,
                max_wait_s=options.max_wait_s,
                requests_per_second=options.requests_per_second,
            ),
            before_each=budget.spend if budget else None,
            stop=stop,
        )

    def call(
        self,
        method: str,
        parameters: Parameters,
        *,
        silent: bool = False,
        write: bool = False,
        repeatable: bool = True,
    ) -> Element:
        """Call a function and return the root of its reply.

        Raises:
            AuthenticationError, ConfigurationError, QuotaError, TemporaryError, ItemError: as
                the code that Planfix gave, or the failure on the way to it, is classed.
            AmbiguousError: a write that may have happened.
        """
        return self.read(
            method,
            parameters,
            xml.open_reply,
            silent=silent,
            write=write,
            repeatable=repeatable,
        )

    def read(
        self,
        method: str,
        parameters: Parameters,
        read: Callable[[bytes], T],
        *,
        silent: bool = False,
        write: bool = False,
        repeatable: bool = True,
    ) -> T:
        """Call a function and make a value of its reply's bytes; raises what `call` does.

        `read` raises BrokenReply or Refusal.
        """

        def send() -> T:
            return self._exchange(
                method,
                self._request(method, parameters, silent=silent),
                read,
                write=write,
                repeatable=repeatable,
            )

        try:
            return send()
        except _SessionEndedError:
            self._sid = ""
        try:
            return send()
        except _SessionEndedError as ended:
            raise self._error_of(ended.refusal, method, write=write) from ended

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    def _request(self, method: str, parameters: Parameters, *, silent: bool) -> bytes:
        return xml.request(
            method,
            self._options.account,
            parameters,
            sid=self._session() if self._options.login else None,
            signature_key=self._options.signature_secret,
            silent=silent,
        )

    def _session(self) -> str:
        """Return the session in use, or log in."""
        if self._sid and clock.monotonic_s() < self._sid_until_s:
            return self._sid
        options = self._options
        body = xml.request(
            "auth.login",
            options.account,
            {"login": options.login, "password": options.password},
            signature_key=options.signature_secret,
        )
        started_s = clock.monotonic_s()
        try:
            self._sid = self._exchange(
                "auth.login",
                body,
                lambda reply: xml.sid_of(xml.open_reply(reply)),
                write=False,
                repeatable=True,
            )
        except _SessionEndedError as ended:  # in answer to a login: never log in for that
            raise self._error_of(ended.refusal, "auth.login", write=False) from ended
        self._sid_until_s = started_s + _SESSION_S
        return self._sid

    def _exchange(
        self,
        method: str,
        body: bytes,
        read: Callable[[bytes], T],
        *,
        write: bool,
        repeatable: bool,
    ) -> T:
        def understand(reply: Reply) -> T:
            # Planfix's errors come with HTTP 200 (seen in client code): the body decides.
            try:
                value = read(reply.body)
            except Refusal as refusal:
                if self._options.login and refusal.code in _SESSION_ENDED:
                    raise _SessionEndedError(refusal) from refusal
                raise self._error_of(refusal, method, write=write) from refusal
            except BrokenReply as broken:
                raise self._fault_of(broken, reply, method, write=write) from broken
            if method == "contact.getList":
                _keep_reserve(reply)
            return value

        return self._transport.call(
            body, headers=self._headers, read=understand, repeatable=repeatable
        )

    def _error_of(self, refusal: Refusal, method: str, *, write: bool) -> SyncdError:
        """Return our error for a refusal; its message never repeats what Planfix wrote."""
        code = refusal.code
        if code in _OTHER_ROOMS:
            meant, meaning, hint = _Class.CONFIGURATION, "it speaks of no contact", _OURS_HINT
        else:
            unknown = _Class.ITEM if write else _Class.TEMPORARY
            meant, meaning, hint = _CODES.get(code, (unknown, "a code we don't know", ""))
        who = "our login" if self._options.login else "our token"
        match meant:
            case _Class.AUTHENTICATION:
                return AuthenticationError(
                    f"Planfix refused {who} for {method}: {meaning} (code {code})", hint=hint
                )
            case _Class.QUOTA:
                return QuotaError(f"Planfix refused {method}: {meaning} (code {code})", hint=hint)
            case _Class.TEMPORARY:
                return TemporaryError(
                    f"Planfix put off {method}: {meaning} (code {code})", hint=hint
                )
            case _Class.CONFIGURATION if code == "0020":
                return ConfigurationError(
                    f"Planfix refused {who} for {method} (code {code})", hint=hint
                )
            case _Class.VALUE if not write:
                meant = _Class.CONFIGURATION
                # A filter is the one value of a reading that is not ours: people delete it.
                hint = hint or (_TARGET_HINT if method == "contact.getList" else "")
            case _:
                pass
        message = f"Planfix refused {method}: {meaning} (code {code})"
        if meant is _Class.CONFIGURATION:
            return ConfigurationError(message, hint=hint or _OURS_HINT)
        return ItemError(message, hint=hint, code=code)

    def _fault_of(
        self, broken: BrokenReply, reply: Reply, method: str, *, write: bool
    ) -> SyncdError:
        fault = fault_of_status(reply.status, reply.headers, who=self._transport.host)
        if fault is not None:
            return fault
        message = f"Planfix gave no usable reply to {method}: {broken}"
        if isinstance(broken, BrokenContent) and method == "contact.getList":
            return UnreadablePageError(message)
        # It was an answer to something: a write may have happened.
        lost = AmbiguousError if write else TemporaryError
        return lost(message, hint="Is url in [planfix] the account's own?")


class _SessionEndedError(Exception):
    """The session is over, which one new login may mend."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def _keep_reserve(reply: Reply) -> None:
    """Stop reading before the account has no calls left for writes.

    The header is approximate, renewed every ten minutes or so, and may be absent.
    """
    left = reply.headers.get("x-ratelimit-remaining", "").strip()
    if left.isascii() and left.isdigit() and int(left) < _RESERVE_CALLS:
        raise QuotaError(
            f"Planfix has {left} calls left today; reading stops at {_RESERVE_CALLS}",
            hint="They come back by themselves; other programs use the same calls.",
        )
