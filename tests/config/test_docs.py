"""The reference and the example say what the code knows, and no more."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from syncd.backends import BACKENDS
from syncd.config.load import load
from syncd.config.secrets import Surroundings
from syncd.config.settings import (
    ARRAYS,
    SECTIONS,
    ConsentKeys,
    LimitKeys,
    Row,
    rows_of,
    rows_of_options,
)
from syncd.core.link import Link, Selection
from tests.config.tables import table_of
from tests.config.test_settings import NOT_YET

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")

OPTIONS = {name: backend.Options for name, backend in BACKENDS.items()}

ROWS: dict[str, tuple[Row, ...]] = {
    **{f"[{name}]": rows_of(cls) for name, cls in SECTIONS.items()},
    **{f"[[{name}]]": rows_of(cls) for name, cls in ARRAYS.items()},
    "[links.limits]": rows_of(LimitKeys),
    "[links.consent]": rows_of(ConsentKeys),
    **{f'type = "{name}"': rows_of_options(options) for name, options in OPTIONS.items()},
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
    return tomllib.loads(re.sub(r"^# (?=[a-z_]+ = |\[)", "", EXAMPLE, flags=re.MULTILINE))


def test_the_example_shows_every_key_and_no_other() -> None:
    found = uncommented()
    service, file = found["backends"]
    link = found["links"][0]
    shown = {
        **{f"[{name}]": set(found[name]) for name in SECTIONS},
        "[[backends]]": {"name", "type"} & set(service) & set(file),
        "[[links]]": set(link),
        "[links.limits]": set(link["limits"]),
        "[links.consent]": set(link["consent"]),
        'type = "planfix-json"': set(service) - {"name", "type"},
        'type = "embedded"': set(file) - {"name", "type"},
    }
    not_shown = {key.rpartition(".")[2] for key in NOT_YET} | {"allow_planfix_release"}

    assert shown == {
        heading: {row.name for row in rows} - not_shown for heading, rows in ROWS.items()
    }


def test_the_defaults_in_the_example_are_the_true_ones() -> None:
    found = uncommented()
    sections = {name: found[name] for name in SECTIONS}
    sections["links.limits"] = found["links"][0]["limits"]

    for name, rows in ((name, ROWS[f"[{name}]"]) for name in sections):
        for row in rows:
            if not row.required and row.default not in (None, ()):
                shown = row.kind.read(sections[name][row.name], Surroundings(ROOT, {}))
                assert shown == row.default, f"{name}.{row.name}"


def test_the_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    for name in ("planfix-api-key", "planfix-token", "news-token"):
        (tmp_path / name).write_text("secret\n", encoding="utf-8")

    found = load(path, OPTIONS)

    assert found.warnings == ()
    assert found.settings.links == (
        Link(
            name="customers",
            selection=Selection("contact"),
            backend="news",
            list_name="Customers",
        ),
    )
