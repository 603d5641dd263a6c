"""JSON read member by member, so that a long body takes little more memory than itself.

Whoever reads decides, at each object or array, whether to go through it or to take it whole as
a value; a value taken whole is short. What is ambiguous, a name twice in one object, is refused.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

LONGEST_VALUE: Final = 65_536
"""Characters that a value taken whole may have."""

_CHUNK_BYTES: Final = 65_536
_MOST_MEMBERS: Final = 1000
_WRONG: Final = (ValueError, RecursionError)
"""What the decoder raises: no UTF-8, no JSON, a number of thousands of digits; too deep."""

_SPACE: Final = re.compile(r"[ \t\r\n]*").match


class NotJsonError(ValueError):
    """The bytes are no JSON, or hold a value longer than any that is expected."""


def read_whole(body: bytes) -> Any:
    """Return the value of a JSON text that is short.

    Raises:
        NotJsonError: the text is wrong; its words quote nothing.
    """
    try:
        return _DECODER.decode(body.removeprefix(codecs.BOM_UTF8).decode())
    except _WRONG as error:
        raise _told(error) from None


class JsonReader:
    """Reads one JSON text from its beginning, or from a byte that `tell` told, to its end.

    Raises:
        NotJsonError: by each method, where the text is wrong; its words quote nothing.
    """

    def __init__(self, body: bytes | memoryview, at: int = 0) -> None:
        self._body = body
        self._read = at or (3 if body[:3] == codecs.BOM_UTF8 else 0)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0

    def tell(self) -> int:
        """Return which byte comes next: another reader may begin there."""
        ahead = self._text[self._at :].encode()
        return self._read - len(self._utf8.getstate()[0]) - len(ahead)

    def peek(self) -> str:
        """Return the next character that is no white space; empty at the end."""
        while True:
            space = _SPACE(self._text, self._at)
            self._at = self._at if space is None else space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def members(self) -> Iterator[str]:
        """Yield each name of the object that begins here; its value is read before the next."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        seen: set[str] = set()
        while True:
            if self.peek() != '"':
                raise NotJsonError("a member without a name")
            name = self.value()
            if name in seen:
                raise NotJsonError("a name twice in one object")
            if len(seen) == _MOST_MEMBERS:
                raise NotJsonError("an object of too many members")
            seen.add(name)
            self._take(":")
            yield name
            if self._take(",}") == "}":
                return

    def elements(self) -> Iterator[None]:
        """Stop at each element of the array that begins here; it is read before the next."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield None
            if self._take(",]") == "]":
                return

    def value(self) -> Any:
        """Return the value that begins here, whole."""
        self.peek()
        while len(self._text) - self._at < LONGEST_VALUE and self._fill():
            pass
        begin = self._at
        try:
            found, self._at = _DECODER.raw_decode(self._text, begin)
        except _WRONG as error:
            raise _told(error) from None
        if self._at - begin > LONGEST_VALUE:
            raise NotJsonError("a value that is too long")
        return found

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise NotJsonError("more than one value")

    def _take(self, wanted: str) -> str:
        found = self.peek()
        if not found or found not in wanted:
            raise NotJsonError("a sign in the wrong place")
        self._at += 1
        return found

    def _fill(self) -> bool:
        """Decode some more; False where there is no more."""
        if self._read >= len(self._body):
            return False
        chunk = bytes(self._body[self._read : self._read + _CHUNK_BYTES])
        self._read += len(chunk)
        try:
            more = self._utf8.decode(chunk, final=self._read >= len(self._body))
        except UnicodeDecodeError:
            raise NotJsonError("no UTF-8") from None
        self._text = self._text[self._at :] + more
        self._at = 0
        return True


def _told(error: Exception) -> NotJsonError:
    """Return what is told of an error; the decoder's own words may quote people and a token."""
    return error if isinstance(error, NotJsonError) else NotJsonError(type(error).__name__)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise NotJsonError("a name twice in one object")
    return fields


def _refuse(_: str) -> NoReturn:
    raise NotJsonError("a number that JSON does not have")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)
