"""Secrets: text, or where to find it (a file, the environment, systemd's credentials)."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SIZE_MAX_BYTES: Final = 65536
_FORMS: Final = 'text, { file = "…" }, { env = "…" } or { credential = "…" }'
_TYPES: Final = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number with a point",
    list: "a list",
    dict: "a table",
}


class WrongValueError(Exception):
    """What is wrong with one value, and what to do; never the value itself."""


class Secret:
    """A text that only `reveal` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret, to be sent to the side it belongs to and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a value may point into: the config file's folder, and the environment."""

    folder: Path
    environ: Mapping[str, str]


def has_control(text: str) -> bool:
    """Say whether a text holds control characters, line breaks among them."""
    return any(unicodedata.category(char) == "Cc" for char in text)


def came(value: object) -> str:
    """Name the type of a TOML value in words."""
    return _TYPES.get(type(value), "a date or time")


def read_secret(value: object, surroundings: Surroundings) -> Secret:
    """Return the secret that a value is or points to, without the newline at its end.

    Raises:
        WrongValueError: it is missing, unreadable, empty or of several lines.
    """
    match value:
        case str():
            text, source = value, "it"
        case {"file": str() as name, **rest} if not rest:
            text, source = _from_file(_path(name, surroundings.folder)), "the file"
        case {"env": str() as name, **rest} if not rest:
            text, source = _from_environ(name, surroundings.environ), "the variable"
        case {"credential": str() as name, **rest} if not rest:
            text, source = _from_file(_credential(name, surroundings.environ)), "the credential"
        case dict():
            raise WrongValueError(f"is a table of another shape; write {_FORMS}")
        case _:
            raise WrongValueError(f"is {came(value)}; write {_FORMS}")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise WrongValueError(f"is empty; put the secret into {source}")
    if has_control(text):
        raise WrongValueError(
            f"has a line break or control character in it; put one line into {source}"
        )
    return Secret(text)


def _path(name: str, folder: Path) -> Path:
    if not name or has_control(name):
        raise WrongValueError("names no file; write its path")
    return folder / name


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    if not name or "/" in name or name in {".", ".."} or has_control(name):
        raise WrongValueError("names no credential; write the name that LoadCredential= gives it")
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise WrongValueError(
            "is a systemd credential, but CREDENTIALS_DIRECTORY is not set; "
            "start syncd from a unit with LoadCredential=, or use { file = … }"
        )
    return Path(folder) / name


def _from_environ(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise WrongValueError("names an environment variable that is not set; set it for syncd")
    return environ[name]


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_SIZE_MAX_BYTES + 1)
    except OSError as error:
        raise WrongValueError(
            f"can't be read from {path} ({error.strerror}); "
            "put the secret there, readable by the user syncd runs as"
        ) from None
    if len(raw) > _SIZE_MAX_BYTES:
        raise WrongValueError(f"is far too long in {path}; name the file with the secret alone")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise WrongValueError(
            f"is no UTF-8 text in {path}; name the file with the secret alone"
        ) from None
