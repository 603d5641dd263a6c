"""Steps in as few words as a table has room for."""

from collections.abc import Iterable
from typing import Final

from syncd.core.people import Person
from syncd.core.plan import End, Held, Loses, Op, Operation, Pairing, Repoint, Step, Suppressed

_OPS: Final = {Op.PLANFIX_UPDATE: "→P", Op.PLANFIX_CREATE: "→P create", Op.CONSENT: "ask"}


def told(steps: Iterable[Step]) -> str:
    """Tell steps in their order; an address is told by the last part of its domain."""
    return "; ".join(_tell(step) for step in steps) or "nothing"


def _tell(step: Step) -> str:  # noqa: PLR0911  (one word each)
    match step:
        case Operation(op=Op.CONSENT, loses=loses):
            return "ask: vanished" if Loses.VANISHED in loses else "ask: returned"
        case Operation(op=Op.REMOVE | Op.UNSUBSCRIBE):
            return f"{step.op} {_short(step.person.address)}"
        case Operation(op=Op.RENAME):
            return f"rename {_short(step.old_address)}→{_who(step.person)}"
        case Operation():
            again = "re-" if step.resubscribes else ""
            return f"{again}{_OPS.get(step.op, step.op)} {_who(step.person)}"
        case Pairing():
            return f"pair {step.status} {_who(step.base)}"
        case Repoint():
            return f"repoint {step.old}→{step.new}"
        case End():
            return "end"
        case Held():
            return "hold"
        case Suppressed():
            return "suppressed"


def _who(person: Person) -> str:
    return " ".join(filter(None, (_short(person.address), person.first, person.last)))


def _short(address: str) -> str:
    return address.rpartition(".")[2]
