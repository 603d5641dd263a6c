"""TOML text → values that know their line.

`tomllib` says what the text means, but not where; a light scan of the same text, which is
known to be valid by then, finds the line of each key and each table header.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys, and the index of each element of an array."""

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY: Final = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
# A multi-line string may end in up to two quotes of its own before the three that close it.
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?""""{0,2}'
    r"|'''.*?''''{0,2}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_OTHER: Final = re.compile(r"[^,\]}#\n]+")
_ERROR_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """What a config file says, and on which line it says so."""

    path: Path
    data: Mapping[str, object]
    lines: Mapping[KeyPath, int]

    def line(self, where: KeyPath) -> int:
        """Return the line of a key; for one that isn't there, of the table it belongs to."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


def read(path: Path) -> Document:
    """Read a config file.

    Raises:
        ConfigurationError: it can't be read, or is no TOML.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: there is no such file",
            hint="Name the config with --config or SYNCD_CONFIG; config.example.toml is a start.",
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path}: is a directory; name the file in it") from None
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "no valid file name"
        raise ConfigurationError(f"{path}: can't be read: {cause}") from error
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ConfigurationError(
            f"{path}:1: begins with a byte order mark, which TOML does not allow; save it without"
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}:{line}: is not in UTF-8; save it in that encoding"
        ) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Document:
    """Read TOML text; `path` is for messages.

    Raises:
        ConfigurationError: the text is no TOML.
    """
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
        scan = _Scan(text)
        scan.document()
    except RecursionError:
        raise ConfigurationError(f"{path}:1: is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(str(error), text, path) from None
    except ValueError as error:
        # Python refuses to read a number of thousands of digits, and says no line.
        raise ConfigurationError(f"{path}:1: holds a number that is far too long") from error
    return Document(path, data, scan.lines)


def _not_toml(message: str, text: str, path: Path) -> ConfigurationError:
    found = _ERROR_LINE.search(message)
    line = int(found[1]) if found and found[1] else len(text.rstrip("\n").split("\n"))
    what = message[: found.start()] if found else message
    return ConfigurationError(
        f"{path}:{line}: is not valid TOML: {what[:1].lower()}{what[1:]}",
        hint="Text stands in quotes; each line is key = value, or a [section].",
    )


class _Scan:
    """One walk over valid TOML that notes the line of whatever has a path."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        self._lengths: dict[KeyPath, int] = {}  # of the arrays of tables so far

    def document(self) -> None:
        base: KeyPath = ()
        while self._past_blanks():
            if self._text.startswith("[", self._at):
                base = self._header()
            else:
                self._pair(base)

    def _header(self) -> KeyPath:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        self._past_blanks()
        *parents, last = self._key()
        where: KeyPath = ()
        for part in parents:
            where = self._newest((*where, part), line)
        where = (*where, last)
        if is_array:
            self._lengths[where] = self._lengths.get(where, 0) + 1
            where = self._newest(where, line)
        self.lines[where] = line
        self._past_blanks()
        self._at += 2 if is_array else 1
        return where

    def _newest(self, where: KeyPath, line: int) -> KeyPath:
        """Step into the last element, where `where` is an array of tables."""
        self.lines.setdefault(where, line)
        return (*where, self._lengths[where] - 1) if where in self._lengths else where

    def _pair(self, base: KeyPath) -> None:
        line = self._line()
        for part in self._key():
            base = (*base, part)
            self.lines.setdefault(base, line)
        self._past_blanks()
        self._at += 1  # the equals sign
        self._past_blanks()
        self._value(base)

    def _value(self, where: KeyPath) -> None:
        match self._text[self._at]:
            case "[":
                self._array(where)
            case "{":
                self._inline_table(where)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_OTHER)

    def _array(self, where: KeyPath) -> None:
        index = 0
        while self._more_until("]"):
            self.lines[(*where, index)] = self._line()
            self._value((*where, index))
            index += 1

    def _inline_table(self, where: KeyPath) -> None:
        while self._more_until("}"):
            self._pair(where)

    def _more_until(self, end: str) -> bool:
        """Step over the opening bracket, a comma or the closing bracket."""
        self._past_blanks()
        if self._text[self._at] != end:
            self._at += 1
            self._past_blanks()
        if self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _key(self) -> list[str]:
        parts = []
        table: object = tomllib.loads(self._take(_KEY) + "=0")
        while isinstance(table, dict):
            [(part, table)] = table.items()
            parts.append(part)
        return parts

    def _past_blanks(self) -> bool:
        """Step over white space and comments; say whether anything follows."""
        self._take(_BLANK)
        return self._at < len(self._text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:  # pragma: no cover
            raise AssertionError("tomllib and the scan disagree on what is TOML")
        self._at = found.end()
        return found[0]

    def _line(self) -> int:
        return bisect_left(self._newlines, self._at) + 1
