"""Runs that die at a call, in this process: no code of ours may catch what ends them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from syncd.app.world import World
from syncd.ports import MemberSide

_WRITES: Final = {
    "upsert", "rename", "remove", "unsubscribe", "resubscribe", "ensure_list",
    "correct", "create", "mark",
}  # fmt: skip


class Crash(BaseException):
    """The process died."""


class _Countdown:
    """How many calls are left on both sides."""

    def __init__(self, calls: int, *, done: bool) -> None:
        self.left = calls
        self.done = done

    def call(
        self, method: Callable[..., Any], arguments: Sequence[Any], keywords: dict[str, Any]
    ) -> Any:
        self.left -= 1
        if self.left:
            return method(*arguments, **keywords)
        if self.done:
            method(*arguments, **keywords)
        raise Crash


class _Frail:
    """A side whose writes count."""

    def __init__(self, side: Any, countdown: _Countdown) -> None:
        self._side = side
        self._countdown = countdown

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._side, name)
        if name not in _WRITES:
            return found
        return lambda *arguments, **keywords: self._countdown.call(found, arguments, keywords)


def dying(world: World, calls: int, *, done: bool) -> World:
    """Return a world that dies at its n-th write, to the list or to Planfix.

    `done`: that write is carried out, and its answer lost.
    """
    countdown = _Countdown(calls, done=done)

    def open_backend(name: str) -> MemberSide:
        return _Frail(world.open_backend(name), countdown)

    return replace(world, open_backend=open_backend, planfix=_Frail(world.planfix, countdown))
