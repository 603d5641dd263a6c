"""What listmonk's API says, as values; and what it is sent that is not plain JSON.

Facts are from listmonk's own source, versions 6.0 to 6.2.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")
_SPECIAL: Final = re.compile(r"[\\^$.|?*+(){}\[\]]")


class MalformedError(ValueError):
    """These bytes are not listmonk's."""


class CutError(MalformedError):
    """These bytes are the beginning of a reply."""


@dataclass(frozen=True, slots=True)
class MailingList:
    """A list; `double` asks each newcomer by mail to confirm."""

    id: int
    name: str
    double: bool
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One person's row on one list: confirmed, unconfirmed or unsubscribed."""

    status: str
    double: bool


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One person, known to all lists of the server at once.

    `status` is enabled, disabled or blocklisted; `subscriptions` is by list.
    """

    id: int
    email: str
    name: str
    status: str
    attribs: Mapping[str, object]
    subscriptions: Mapping[int, Subscription]


@dataclass(frozen=True, slots=True)
class Bounce:
    """One letter that came back: hard, soft or complaint."""

    id: int
    subscriber: int
    kind: str


@dataclass(frozen=True, slots=True)
class Import:
    """The server's one import: whose file it takes, or took last."""

    name: str
    status: str

    @property
    def running(self) -> bool:
        """Whether it is still at work, so that no other may begin."""
        return self.status in {"importing", "stopping"}


def read_data(body: bytes) -> Any:
    """Return the `data` of a success.

    Raises:
        CutError: a JSON object that does not end.
        MalformedError: anything else that is not listmonk's.
    """
    try:
        return json.loads(body)["data"]
    except (ValueError, KeyError, TypeError) as error:
        text = body.strip()
        if text.startswith(b"{") and not text.endswith(b"}"):
            raise CutError("a reply that was cut") from error
        raise MalformedError("no JSON object with data") from error


def read_message(body: bytes) -> str:
    """Return the text of a failure, empty where there is none; it may quote an address."""
    try:
        fields = json.loads(body)
    except ValueError:
        return ""
    message = fields.get("message") if isinstance(fields, dict) else None
    return message if isinstance(message, str) else ""


def read_version(data: Any) -> tuple[str, tuple[int, int]]:
    """Return the version as the server writes it, and its first two numbers."""

    def read() -> tuple[str, tuple[int, int]]:
        text = str(data["version"]).partition(" ")[0]  # a build's name may follow
        found = _VERSION.match(text)
        if found is None:
            raise ValueError(text)
        return text, (int(found[1]), int(found[2]))

    return _insisting(read)


def read_manages_all(data: Any) -> bool:
    """Say whether a profile may change every list; role 1 is the administrator of everything."""
    return _insisting(
        lambda: (
            data["user_role"]["id"] == 1 or "lists:manage_all" in data["user_role"]["permissions"]
        )
    )


def read_list(data: Any) -> MailingList:
    """Return one list."""
    return _insisting(
        lambda: MailingList(
            int(data["id"]), str(data["name"]), data["optin"] == "double", tuple(data["tags"] or ())
        )
    )


def read_lists(data: Any) -> list[MailingList]:
    """Return all lists; the server's word for none is an empty array instead of a page."""
    return [] if data == [] else [read_list(row) for row in _insisting(lambda: data["results"])]


def read_page(data: Any, read: Callable[[Any], T]) -> tuple[list[T], int]:
    """Return one page of something, and how many there are in all."""
    rows, total = _insisting(lambda: (list(data["results"]), int(data["total"])))
    return [read(row) for row in rows], total


def read_subscriber(data: Any) -> Subscriber:
    """Return one person."""
    return _insisting(
        lambda: Subscriber(
            int(data["id"]),
            str(data["email"]),
            str(data["name"]),
            str(data["status"]),
            dict(data["attribs"] or {}),
            {
                int(row["id"]): Subscription(
                    str(row["subscription_status"]), row["optin"] == "double"
                )
                for row in data["lists"] or ()
            },
        )
    )


def read_bounce(data: Any) -> Bounce:
    """Return one bounce."""
    return _insisting(
        lambda: Bounce(int(data["id"]), int(data["subscriber_id"]), str(data["type"]))
    )


def read_bounces(data: Any) -> list[Bounce]:
    """Return one person's bounces."""
    return [read_bounce(row) for row in data or ()]


def read_import(data: Any) -> Import:
    """Return how the server's import is getting on."""
    return _insisting(lambda: Import(str(data["name"]), str(data["status"])))


def search_for(addresses: Iterable[str]) -> str:
    """Return the regular expression, in PostgreSQL's words, that finds these addresses alone."""
    escaped = (_SPECIAL.sub(r"\\\g<0>", address) for address in addresses)
    return f"^({'|'.join(sorted(escaped))})$"


def encode_import(
    people: Sequence[tuple[str, str]], list_id: int, *, name: str
) -> tuple[str, bytes]:
    """Return content type and body that put new people on a list, address and name each.

    Nobody who is there already is touched: neither a name nor a state is overwritten. `name`
    has to end in `.csv`: the server takes any other for a ZIP file.
    """
    params = {
        "mode": "subscribe",
        "subscription_status": "confirmed",
        "delim": ",",
        "lists": [list_id],
        "overwrite": False,
        "overwrite_userinfo": False,
        "overwrite_subscription_status": False,
    }
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("email", "name"), *people])
    rows = table.getvalue()
    boundary = "syncd"
    while boundary in rows:
        boundary += "-"
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\n\r\n'
        f"{json.dumps(params)}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: text/csv\r\n\r\n{rows}\r\n--{boundary}--\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", parts.encode()


def _insisting(read: Callable[[], T]) -> T:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedError("a reply with other fields") from error
