"""Kannel's own interface for sending, `/cgi-bin/sendsms` of its smsbox.

A POST with the message as its body and the rest in headers, so that no secret stands in an
address. The source is chapter 6 of Kannel's user guide, and what 1.4.5 does: it answers once
the bearerbox has the message (202), will have it later (202), refuses it for good (400, 403)
or has no room (503). A login that is wrong is 403 as well, as is a number without a way to it.
"""

import re
from typing import Final

from syncd.core.sms import Fate, PhoneNumber, Sending
from syncd.sms.base import Gateway, readable

_7_BIT: Final = "0"
_UCS_2: Final = "2"
_NO_WAY: Final = b"Not routable"  # how the body of a 403 begins that means the number

# What fits into 7 bits a sign, its extension included (3GPP TS 23.038, section 6.2.1).
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà\f^{}\\[~]|€"
)
# Letters or a number: nothing else can be a sender (3GPP TS 23.040, section 9.1.2.5).
_SENDER: Final = re.compile(r"[ -~]{1,11}|\+?[0-9]{1,15}").fullmatch


class Kannel(Gateway):
    """One Kannel, by the address of its sendsms and the login of a `sendsms-user`.

    Login and password are plain characters, as headers are; the config sees to that.
    """

    def send(self, sender: str, to: PhoneNumber, text: str) -> Sending:
        """Send one message, once; a sender that no phone could show gives way to our own."""
        own = self._options.sender
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-Kannel-Username": self._options.login,
            "X-Kannel-Password": self._options.password,
            "X-Kannel-To": to,
            "X-Kannel-Coding": _7_BIT if _GSM.issuperset(text) else _UCS_2,
        }
        shown = sender if _SENDER(sender) else own
        if _SENDER(shown):
            headers["X-Kannel-From"] = shown
        reply = self._post(text.encode(), headers)
        if isinstance(reply, Sending):
            return reply
        if reply.body.startswith(_NO_WAY):
            why = f"{self._transport.host} has no way to this number"
            return Sending(fate=Fate.REFUSED, answer=readable(reply.body), why=why)
        return self._judge(reply)
