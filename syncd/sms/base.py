"""What every SMS gateway is: one message out, one of four fates back.

A gateway sends once and never repeats: whether to try again is the relay's decision, which
knows what was committed before. An HTTP status tells taken from not taken. What it can't tell
is unknown: no answer that can be read after the request went out, or a failure inside the
gateway or on the way to it, which may have the message.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from syncd import transport
from syncd.core.sms import ANSWER_MAX, Fate, PhoneNumber, Sending
from syncd.errors import AmbiguousError, AuthenticationError, SyncdError, TemporaryError
from syncd.transport import Reply, Transport, UnreadableReplyError, fault_of_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where a gateway is and what it knows us by: `key`, or `login` and `password`.

    `sender` stands on messages that name none; `timeout_s` is for one call.
    """

    url: str
    key: str = field(default="", repr=False)
    login: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    timeout_s: float = 120.0


class Gateway(ABC):
    """One gateway, safe to use from one thread at a time; fulfils `syncd.ports.TextSender`."""

    def __init__(self, options: Options) -> None:
        """Check the address, without connecting yet.

        Raises:
            ConfigurationError: the address, or what the gateway knows us by, can't be used.
        """
        self._options = options
        self._transport = Transport(
            transport.Options(
                url=options.url, timeout_s=options.timeout_s, attempts=1, may_be_empty=True
            )
        )

    @abstractmethod
    def send(self, sender: str, to: PhoneNumber, text: str) -> Sending:
        """Send one message, once; an empty `sender` is the gateway's own."""

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Reply | Sending:
        """Return the gateway's answer, or what no answer means."""
        try:
            # A connection of its own: an old one that breaks would leave a message unknown.
            return self._transport.post(
                body, headers={"Connection": "close", **headers}, repeatable=False
            )
        except SyncdError as error:
            return Sending(fate=_fate_of(error), why=str(error))

    def _judge(self, reply: Reply) -> Sending:
        """Return what the status says; a refusal may also stand in the body of a success."""
        fault = fault_of_status(reply.status, reply.headers, who=self._transport.host)
        return Sending(
            fate=_fate_of(fault),
            answer=readable(reply.body),
            why=str(fault or ""),
            retry_after_s=fault.retry_after_s if isinstance(fault, TemporaryError) else None,
            credentials_refused=isinstance(fault, AuthenticationError),
        )


def _fate_of(fault: SyncdError | None) -> Fate:
    match fault:
        case None:
            return Fate.TAKEN
        case AmbiguousError() | UnreadableReplyError():
            return Fate.UNKNOWN
        case TemporaryError() | AuthenticationError():  # an operator may mend a login or a key
            return Fate.LATER
        case _:
            return Fate.REFUSED


def readable(body: bytes) -> str:
    """Return an answer as text, without control characters, and not all of a long one."""
    text = body.decode(errors="replace").strip()
    return "".join(
        sign if sign.isprintable() or sign == "\n" else " " for sign in text[:ANSWER_MAX]
    )
