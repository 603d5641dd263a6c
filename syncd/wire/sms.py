"""The SMS page's protocol: a form to the gateway, a short JSON answer back.

One POST per message: `login` and `password`, or `key`; `from`, `to` and `text`. The source is
Planfix's page on connecting an SMS service; it prescribes no answer. Ours is
`{"success": true, "id": "…"}` or `{"error": "…"}`.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

CONTENT_TYPE: Final = "application/x-www-form-urlencoded"

_FIELDS: Final = frozenset({"login", "username", "password", "key", "from", "to", "text"})
_FIELDS_MAX: Final = 50


class MalformedError(ValueError):
    """These bytes are no request of the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsRequest:
    """One message as it travels: texts as they came, empty where a field is missing."""

    login: str = ""
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    sender: str
    recipient: str
    text: str


def encode_request(request: SmsRequest) -> bytes:
    """Write a request: the key where there is one, else login and password."""
    proof = (
        [("key", request.key)]
        if request.key
        else [("login", request.login), ("password", request.password)]
    )
    message = [("from", request.sender), ("to", request.recipient), ("text", request.text)]
    return urlencode(proof + message).encode()


def decode_request(body: bytes) -> SmsRequest:
    """Read a request: `username` counts as `login`, unknown fields are left out.

    UTF-8 is read as well where it was not percent-encoded.

    Raises:
        MalformedError: no UTF-8, too many fields, none of the protocol's, or one of them twice.
    """
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
        )
    except UnicodeDecodeError as error:
        raise MalformedError("not in UTF-8") from error
    except ValueError as error:
        raise MalformedError(f"a form of more than {_FIELDS_MAX} fields") from error
    known = [(name, value) for name, value in pairs if name in _FIELDS]
    fields = dict(known)
    if not known or len(fields) < len(known):
        raise MalformedError("not a form with login, password (or key), from, to and text")
    return SmsRequest(
        login=fields.get("login") or fields.get("username", ""),
        password=fields.get("password", ""),
        key=fields.get("key", ""),
        sender=fields.get("from", ""),
        recipient=fields.get("to", ""),
        text=fields.get("text", ""),
    )


def refusal_in(body: bytes) -> str | None:
    """Return the words with which an answer refuses a message; None where it doesn't.

    Whatever isn't an object of JSON refuses nothing, since the protocol prescribes no answer;
    one in an encoding that JSON has not is read as far as it goes.
    An `error` that says nothing (null, false, 0, empty) is none.
    """
    try:
        answer: Any = json.loads(body.decode(json.detect_encoding(body), "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    if answer.get("error"):
        error = answer["error"]
        return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return "no reason given" if answer.get("success") is False else None
