"""A gateway that speaks the SMS page's protocol, with us as the client."""

from typing import Final

from syncd.core.sms import Fate, PhoneNumber, Sending
from syncd.sms.base import Gateway, readable
from syncd.wire.sms import CONTENT_TYPE, SmsRequest, encode_request, refusal_in

_HEADERS: Final = {"Content-Type": CONTENT_TYPE}
_SUCCESS_BELOW: Final = 300


class PlanfixSms(Gateway):
    """One address that takes a form per message; a 2xx without an `error` is a message taken."""

    def send(self, sender: str, to: PhoneNumber, text: str) -> Sending:
        """Send one message, once."""
        request = SmsRequest(
            login=self._options.login,
            password=self._options.password,
            key=self._options.key,
            sender=sender or self._options.sender,
            recipient=to,
            text=text,
        )
        reply = self._post(encode_request(request), _HEADERS)
        if isinstance(reply, Sending):
            return reply
        if reply.status < _SUCCESS_BELOW and refusal_in(reply.body) is not None:
            # Its words may quote the number, so they stay in the answer.
            return Sending(
                fate=Fate.REFUSED,
                answer=readable(reply.body),
                why=f"{self._transport.host} answered with an error",
            )
        return self._judge(reply)
