"""docs/operations.md and the code know the same log events, exit codes and kinds of error."""

import ast
from collections.abc import Iterator
from pathlib import Path

from syncd import errors
from syncd.core.report import PRECEDENCE
from tests.docs.pages import ROOT, first_cells, section

OPERATIONS = ROOT / "docs" / "operations.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
ALL_WELL = {0}


def test_every_log_event_is_explained_and_every_one_explained_exists() -> None:
    logged = {event for path in (ROOT / "syncd").rglob("*.py") for event in events(path)}
    told = {cell.strip("`") for cell in first_cells(section(OPERATIONS, "Logs"))}

    assert told == logged


def test_every_exit_code_is_explained_and_every_one_explained_exists() -> None:
    classes: list[type[errors.SyncdError]] = [*subclasses(errors.SyncdError), errors.SyncdError]
    used = {one.exit_code for one in classes} | set(PRECEDENCE) | ALL_WELL
    told = {int(cell) for cell in first_cells(section(OPERATIONS, "Exit codes"))}

    assert told == used


def test_the_order_of_exit_codes_is_told_as_it_is() -> None:
    order = ", ".join(str(code) for code in PRECEDENCE)

    assert f"the first of {order}." in section(OPERATIONS, "Exit codes")


def test_every_kind_of_error_is_explained() -> None:
    told = section(OPERATIONS, "What the errors mean")

    assert {str(kind) for kind in errors.Kind if f"`{kind}`" not in told} == set()


def events(path: Path) -> Iterator[str]:
    """Yield the name of each event that a file logs."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr=level, value=logger)) if level in LEVELS:
                if "log" in ast.unparse(logger).split(".")[-1].strip("_()"):
                    yield from names(node)


def names(call: ast.Call) -> Iterator[str]:
    for argument in call.args[:2]:
        choices = (
            [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
        )
        for choice in choices:
            if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
                yield choice.value


def subclasses(one: type[errors.SyncdError]) -> Iterator[type[errors.SyncdError]]:
    for each in one.__subclasses__():
        yield each
        yield from subclasses(each)
