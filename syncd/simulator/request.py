"""A call as it came in, and how its values are read."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from lxml import etree

Value: TypeAlias = "str | list[Value] | dict[str, Value]"


class Refused(Exception):  # noqa: N818 - a refusal of Planfix's is no error of ours
    """Planfix's refusal of a call, by its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A call as it came in; `method` is empty where it was no request at all."""

    method: str
    root: etree._Element
    at: datetime

    @property
    def sid(self) -> str:
        """The session of a login by password, empty with a token."""
        return self.text("sid")

    @property
    def silent(self) -> bool:
        """Whether a write is to notify nobody."""
        return self.text("silent") == "1"

    @property
    def page(self) -> int:
        """The page of contact.getList that is asked for; 0 in another function."""
        if self.method != "contact.getList":
            return 0
        number = self.text("pageCurrent")
        return int(number) if number.isdecimal() else 1

    @property
    def parameters(self) -> Value:
        """The parameters, nested as they came, without account, sid and signature."""
        values = _value(self.root)
        if not isinstance(values, dict):
            return {}
        return {
            name: value
            for name, value in values.items()
            if name not in {"account", "sid", "signature"}
        }

    def text(self, path: str) -> str:
        """Return the text at a path such as `contact/email`, empty where there is none."""
        return (self.root.findtext(path) or "").strip()


def _value(node: etree._Element) -> Value:
    children = list(node)
    if not children:
        return node.text or ""
    names = [child.tag for child in children]
    if len(names) > len(set(names)):
        return [_value(child) for child in children]
    return {str(child.tag): _value(child) for child in children}


def positive(request: SimulatedRequest, name: str, default: int) -> int:
    """Return a parameter that counts from 1."""
    if request.root.find(name) is None:
        return default
    number = integer(request.text(name))
    if number < 1:
        raise Refused("0015")
    return number


def integer(text: str | None) -> int:
    """Return a number."""
    if not re.fullmatch("[0-9]{1,18}", text or ""):
        raise Refused("0015")
    return int(text or "")


def boolean(text: str) -> bool:
    """Return a truth value."""
    if text not in {"0", "1", "true", "false"}:
        raise Refused("0015")
    return text in {"1", "true"}


def ids(node: etree._Element | None) -> tuple[int, ...]:
    """Return the numbers in an element's `id` children."""
    if node is None:
        return ()
    if any(child.tag != "id" for child in node):
        raise Refused("0015")
    return tuple(integer(child.text) for child in node)
