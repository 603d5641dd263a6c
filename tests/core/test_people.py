"""People as both sides know them."""

import pytest

from syncd.core.people import Person


def test_a_person_is_cleaned_and_keeps_the_spelling_of_the_address() -> None:
    person = Person.of(" Anna@Example.com ", "\tAnna ", " Orlova\n")

    assert person == Person("Anna@Example.com", person.key, "Anna", "Orlova")
    assert person.key == "anna@example.com"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("anna@example.com", ""),
        (" someone.else@example.org ", ""),
        ("Anna @ work", "Anna @ work"),
        ("@anna", "@anna"),
        ("Anna", "Anna"),
    ],
)
def test_a_first_name_that_is_an_address_counts_as_empty(written: str, kept: str) -> None:
    assert Person.of("anna@example.com", written, "").first == kept


def test_names_are_composed() -> None:
    assert Person.of("", "Rene\u0301", "").first == "Ren\u00e9"
