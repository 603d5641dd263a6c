"""Short messages: whom a number names, and what may become of one that is sent."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from unicodedata import category

PhoneNumber = NewType("PhoneNumber", str)
"""Digits, with a plus sign in front where the country's code comes first."""

_SPACES_DASHES_MARKS: Final = {"Zs", "Pd", "Cf"}  # Cf: signs unseen, as address books have them
_MINUS: Final = "\u2212"
_NO_BRACKETS: Final = str.maketrans("", "", "()[]")

# +49 (0)151, +49 (0151): whether that zero is dialled from abroad is for each country to say.
_ZERO_WITHIN: Final = re.compile(r"[0-9][(\[]0[)\]]|^(?:\+|00)[0-9]+[(\[]0[1-9]")
# At most 15 digits, as E.164 has it, and at least 7: shorter ones are services, not people.
# Two local numbers, side by side, have 14.
_NUMBER: Final = re.compile(r"(?:\+|00)[1-9][0-9]{6,14}|(?!00)[0-9]{7,13}").fullmatch


def phone_number(text: str) -> PhoneNumber:
    """Return a number without the spaces, dashes and brackets that people write.

    What might be another's number is refused: two in a row, also on lines of their own, or a
    zero in brackets behind the country's code. So are dots and slashes, behind
    which spreadsheets and people put what is not of the number.

    Raises:
        ValueError: this is no number, or more than one; the text is not quoted.
    """
    written = "".join(
        sign
        for sign in text.strip()
        if sign != _MINUS and category(sign) not in _SPACES_DASHES_MARKS
    )
    number = written.translate(_NO_BRACKETS)
    if _ZERO_WITHIN.search(written) or not _NUMBER(number):
        raise ValueError("not one phone number of 7 to 15 digits, such as +4915112345678")
    return PhoneNumber(number)


class Fate(StrEnum):
    """What became of a message that was handed to a gateway."""

    TAKEN = "taken"
    REFUSED = "refused"  # not taken, and it would be refused again
    LATER = "later"  # not taken for now: it may be tried again
    UNKNOWN = "unknown"  # it may have been taken: never repeated without a person's word


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How one sending ended.

    `answer` is the gateway's own, at most `ANSWER_MAX` characters, empty where there was none;
    it may quote what was sent. `why` is for operators and holds no number, text or secret.
    `retry_after_s` is how long the gateway asked us to wait. `credentials_refused` is a LATER
    that waits for a person.
    """

    fate: Fate
    answer: str = ""
    why: str = ""
    retry_after_s: float | None = None
    credentials_refused: bool = False


ANSWER_MAX: Final = 2000


class TextState(StrEnum):
    """Where a message in the outbox stands."""

    QUEUED = "queued"
    SENT = "sent"  # handed to the gateway, which has not answered yet
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A message to be relayed.

    `login` is who handed it in (empty for one who came with a key), `relay` the gateway's
    name; an empty `sender` is the gateway's own.
    """

    login: str
    relay: str
    sender: str
    recipient: PhoneNumber
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueText:
    """A message whose turn it is; `attempts` were made before this one."""

    id: str
    at: datetime
    attempts: int
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStanding:
    """How a message stands, without its number and its words; times are in UTC."""

    id: str
    at: datetime
    login: str
    relay: str
    state: TextState
    attempts: int
    next_at: datetime
    error: str
