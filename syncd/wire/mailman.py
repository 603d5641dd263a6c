"""What Mailman's REST API says, as values; and the names that it takes for lists.

Facts are from Mailman 3.3.10, API 3.1.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from syncd.wire.json_reader import JsonReader, NotJsonError

_SLUG_MAX: Final = 50

# fmt: off
_LATIN: Final = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z",
    "и": "i", "й": "y", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r",
    "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh",
    "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
    "і": "i", "ї": "yi", "є": "ye", "ґ": "g", "ў": "u",
}
# fmt: on


class MalformedError(ValueError):
    """These bytes are not Mailman's."""


class CutError(MalformedError):
    """These bytes are the beginning of a reply."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One membership of a list; `email` is in small letters.

    `user` is the id of its user, empty where there is none or nobody asked; `by_user`: it
    follows its user's preferred address, and shows the user's name.
    """

    id: str
    email: str
    name: str
    user: str
    by_user: bool


@dataclass(frozen=True, slots=True)
class MailingList:
    """One list; `local` is its address before the @."""

    id: str
    local: str
    display_name: str
    members: int


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """An address that the server knows, on a list or not; user and name may be empty."""

    email: str
    user: str
    name: str


def check_whole(body: bytes) -> None:
    """Make sure that a reply is an object from its beginning to its end.

    Raises:
        CutError: it ends too early.
        MalformedError: it is something else.
    """
    text = body.strip()
    if text and not text.startswith(b"{"):
        raise MalformedError("no JSON object")
    if not text.endswith(b"}"):
        raise CutError("a reply that was cut")


def read_fields(body: bytes) -> dict[str, Any]:
    """Return a reply's object; raises like `check_whole`."""
    check_whole(body)
    try:
        return dict(json.loads(body))
    except ValueError as error:
        raise MalformedError("no JSON") from error


def read_refusal(body: bytes) -> str | None:
    """Return the words of a failure; None where it is none of Mailman's."""
    try:
        fields = read_fields(body)
    except MalformedError:
        return None
    words = fields.get("description") or fields.get("title")
    return words if isinstance(words, str) else None


def read_list(fields: dict[str, Any]) -> MailingList:
    """Return one list."""
    return MailingList(
        _text(fields, "list_id"),
        _text(fields, "list_name"),
        str(fields.get("display_name", "")),
        _number(fields, "member_count"),
    )


def read_address(fields: dict[str, Any]) -> KnownAddress:
    """Return what is known of an address."""
    return KnownAddress(
        _text(fields, "email"),
        last_segment(fields.get("user", "")),
        str(fields.get("display_name", "")),
    )


def read_status(fields: dict[str, Any]) -> str:
    """Return whether a member gets mail, or why not; empty where nobody said."""
    return str(fields.get("delivery_status", ""))


def read_version(fields: dict[str, Any]) -> str:
    """Return what the server runs, without the nickname of its version."""
    return _text(fields, "mailman_version").partition(" (")[0]


def read_total(fields: dict[str, Any]) -> int:
    """Return how many entries a collection has in all."""
    return _number(fields, "total_size")


def read_members(body: bytes) -> Iterator[Subscriber]:
    """Yield the members of a collection that came in one reply, as they are read.

    An empty collection has no `entries` at all, and a field that is null is left out.

    Raises:
        CutError: before the first one.
        MalformedError: also at its end, where there are more or fewer than the server counted.
    """
    check_whole(body)
    reader = JsonReader(body)
    total, count = None, 0
    try:
        for name in reader.members():
            if name == "entries":
                for _ in reader.elements():
                    yield _member(reader.value())
                    count += 1
            elif name == "total_size":
                total = reader.value()
            else:
                reader.value()
        reader.end()
    except NotJsonError as error:
        raise MalformedError("no JSON") from error
    if total != count:
        raise MalformedError("other members than were counted")


def last_segment(url: object) -> str:
    """Return the id at the end of an address, whose host is the server's own idea of itself."""
    return str(url).rstrip("/").rpartition("/")[2]


def local_part_of(name: str) -> str:
    """Return the local part for a list's address: the same for the same name.

    Mailman takes small ASCII letters, digits, dots, `-` and `_`. What is lost on the way is
    made up for by a digest, so that two names don't become one.
    """
    letters, lost = [], False
    for letter in unicodedata.normalize("NFC", name.strip()).casefold():
        latin = _LATIN.get(letter)
        if latin is None:
            latin = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
            lost |= not latin and letter.isalnum()
        letters.append(latin if latin or letter in _LATIN else "-")
    slug = re.sub(r"[^a-z0-9_.]+|\.{2,}", "-", "".join(letters).lower()).strip("-._")
    if slug and not lost and len(slug) <= _SLUG_MAX:
        return slug
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{slug[:_SLUG_MAX].rstrip('-._') or 'list'}-{digest}"


def _member(fields: Any) -> Subscriber:
    if not isinstance(fields, dict):
        raise MalformedError("a member that is no object")
    return Subscriber(
        _text(fields, "member_id"),
        str(fields.get("email", "")),
        str(fields.get("display_name", "")),
        last_segment(fields.get("user", "")),
        fields.get("subscription_mode") == "as_user",
    )


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"no {name}")
    return value


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int):
        raise MalformedError(f"no {name}")
    return value
