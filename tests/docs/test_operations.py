"""docs/operations.md and the code know the same log events, exit codes and kinds of error."""

import ast
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from syncd import errors
from syncd.core.report import PRECEDENCE
from syncd.metrics import exposition
from tests.docs.pages import ROOT, first_cells, section
from tests.page.samples import BAD_DAY, PULSE, PUSHES

OPERATIONS = ROOT / "docs" / "operations.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
ALL_WELL = {0}


def test_every_log_event_is_explained_and_every_one_explained_exists() -> None:
    logged = {event for path in (ROOT / "syncd").rglob("*.py") for event in events(path)}
    told = {cell.strip("`") for cell in first_cells(section(OPERATIONS, "Logs"))}

    assert told == logged


def test_every_metric_is_explained_as_it_is() -> None:
    rows = [line.split("|")[1:4] for line in section(OPERATIONS, "Metrics").splitlines()
            if line.startswith("| `")]  # fmt: skip
    told = [tuple(cell.strip().replace("`", "") for cell in row) for row in rows]

    text = exposition(BAD_DAY, PULSE, PUSHES).decode()
    shown = [
        # A counter's family goes without the end of its series' name.
        (
            str(family.name) + ("_total" if family.type == "counter" else ""),
            family.type,
            ", ".join(family.samples[0].labels),
        )
        for family in text_string_to_metric_families(text)
    ]
    assert sorted(told) == sorted(shown)


def test_every_problem_of_health_is_explained() -> None:
    source = (ROOT / "syncd" / "page" / "health.py").read_text(encoding="utf-8")
    names = {
        str(node.args[0].value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "Problem"
        and isinstance(node.args[0], ast.Constant)
    }

    told = section(OPERATIONS, "The operator's side")

    assert names
    assert {name for name in names if f"`{name}` (" not in told} == set()


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
