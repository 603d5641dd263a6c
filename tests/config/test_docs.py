"""The reference and the example say what the code knows, and no more."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.backends import BACKENDS
from syncd.config.load import load
from syncd.config.rows import Row, rows_of, rows_of_options
from syncd.config.secrets import Surroundings
from syncd.config.settings import ARRAYS, SECTIONS, BackendType
from syncd.core.link import Link, Selection
from tests.config.tables import SUBTABLES, table_of

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")

SECRET_FORMS = {"file", "env", "credential"}

TYPES = {
    name: BackendType(backend.Options, can_read=backend.capabilities.can_read)
    for name, backend in BACKENDS.items()
}

ROWS: dict[str, tuple[Row, ...]] = {
    **{f"[{name}]": rows_of(cls) for name, cls in SECTIONS.items()},
    **{f"[[{name}]]": rows_of(cls) for name, cls in ARRAYS.items()},
    **{heading: rows_of(cls) for heading, cls in SUBTABLES.items()},
    **{f'type = "{name}"': rows_of_options(kind.options) for name, kind in TYPES.items()},
}


def documented() -> dict[str, list[str]]:
    """Return the tables of the reference by their headings."""
    parts = re.split(r"^##+ `(.+)`$", REFERENCE, flags=re.MULTILINE)
    return {
        heading: [line for line in text.split("\n") if line.startswith("|")]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_reference_has_every_section_and_no_other() -> None:
    assert set(documented()) == set(ROWS)


@pytest.mark.parametrize("heading", ROWS)
def test_the_reference_tells_each_key_as_the_code_has_it(heading: str) -> None:
    assert documented()[heading] == table_of(ROWS[heading])


def uncommented() -> dict[str, Any]:
    """Return what the example says with every key in it taken into use."""
    return tomllib.loads(in_use(EXAMPLE))


def in_use(text: str) -> str:
    """Return a part of the example with the marks of its keys and headers taken away."""
    return re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)


def tables(where: str, value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each table within a value, under the heading that the reference gives it."""
    if isinstance(value, dict) and SECRET_FORMS.isdisjoint(value):
        yield f"[{where}]", value
        for key, inner in value.items():
            yield from tables(f"{where}.{key}".lstrip("."), inner)
    elif isinstance(value, list) and isinstance(value[0], dict):
        for inner in value:
            (_, table), *deeper = tables(where, inner)
            yield f"[[{where}]]", table
            yield from deeper


def test_the_example_shows_every_key_and_no_other() -> None:
    shown: dict[str, set[str]] = {}
    for heading, table in tables("", uncommented()):
        if heading == "[[backends]]":
            shown.setdefault(heading, set()).update({"name", "type"} & set(table))
            shown[f'type = "{table["type"]}"'] = set(table) - {"name", "type"}
        elif heading != "[]":
            shown.setdefault(heading, set()).update(table)

    assert shown == {heading: {row.name for row in rows} for heading, rows in ROWS.items()}


def test_the_defaults_in_the_example_are_the_true_ones() -> None:
    found = uncommented()
    sections = {name: found[name] for name in SECTIONS}
    sections["links.limits"] = found["links"][0]["limits"]
    sections["links.consent"] = found["links"][0]["consent"]

    for name, rows in ((name, ROWS[f"[{name}]"]) for name in sections):
        for row in rows:
            if not row.required and row.default not in (None, "", ()):
                shown = row.kind.read(sections[name][row.name], Surroundings(ROOT, {}))
                assert shown == row.default, f"{name}.{row.name}"


def test_the_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    for name in ("planfix-api-key", "planfix-token", "news-token"):
        (tmp_path / name).write_text("secret\n", encoding="utf-8")

    found = load(path, TYPES)

    assert found.warnings == ()
    assert found.settings.links == (
        Link(
            name="customers",
            selection=Selection("contact"),
            backend="news",
            list_name="Customers",
        ),
    )


def test_the_example_of_a_receiver_loads(tmp_path: Path) -> None:
    before, wish, after = re.split(r"^(?=# \[receiver|\[alerts)", EXAMPLE, flags=re.MULTILINE)
    path = tmp_path / "config.toml"
    path.write_text(before + in_use(wish) + in_use(after), encoding="utf-8")
    for name in re.findall(r'\{ file = "([^"]+)" \}', EXAMPLE):
        (tmp_path / name).write_text(f"secret {name}\n", encoding="utf-8")

    found = load(path, TYPES).settings

    assert found.receiver is not None
    assert {push.backend for push in found.receiver.email} == {"news"}
    assert {push.relay for push in found.receiver.sms} == {one.name for one in found.sms}
    assert found.alerts.sms is not None
