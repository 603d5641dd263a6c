"""A run's writes to Planfix, against the simulated one: compared first, silent, and no more."""

from collections.abc import Iterator

import pytest

from syncd.core.people import ContactId, Person
from syncd.core.plan import ItemResult, Result
from syncd.planfix.client import Options
from syncd.planfix.side import Planfix
from syncd.planfix.writing import find
from syncd.simulator.planfix import SimulatedPlanfix

FIELD = 10124


@pytest.fixture
def account() -> Iterator[SimulatedPlanfix]:
    with SimulatedPlanfix() as account:
        yield account


@pytest.fixture
def side(account: SimulatedPlanfix) -> Iterator[Planfix]:
    options = Options(
        url=account.url,
        account=account.account,
        api_key=account.api_key,
        token=account.token,
        requests_per_second=100000.0,
    )
    opened = Planfix(options)
    yield opened
    opened.close()


ANNA = Person.of("anna@example.com", "Анна Петровна", "Белова")


@pytest.fixture
def anna(account: SimulatedPlanfix) -> ContactId:
    added = account.add(
        name="Анна", mid_name="Петровна", last_name="Белова", email="anna@example.com"
    )
    return ContactId(added)


def test_only_what_changed_is_written_and_nobody_is_told(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    wanted = Person.of("anna@example.org", "Анна Петровна", "Белова")

    result = side.correct(anna, was=ANNA, wanted=wanted)

    found = account.contacts[anna]
    assert result.result is Result.DONE
    assert (found.email, found.name, found.mid_name) == ("anna@example.org", "Анна", "Петровна")
    assert account.notified == []


@pytest.mark.parametrize(
    ("first", "name"),
    [("Мария Петровна", "Мария"), ("Мария", "Мария"), ("Анна-Мария", "Анна-Мария")],
)
def test_a_first_name_is_written_without_the_patronymic_which_stays(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId, first: str, name: str
) -> None:
    side.correct(anna, was=ANNA, wanted=Person.of(ANNA.address, first, "Белова"))

    found = account.contacts[anna]
    assert (found.name, found.mid_name) == (name, "Петровна")


def test_a_later_word_in_planfix_stands_and_nothing_is_written(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    account.edit(anna, last_name="Сидорова")
    wanted = Person.of("anna@example.org", "Анна Петровна", "Иванова")

    result = side.correct(anna, was=ANNA, wanted=wanted)

    assert result.result is Result.CHANGED
    assert account.contacts[anna].email == "anna@example.com"


def test_a_write_that_was_made_before_is_not_made_again(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    wanted = Person.of("anna@example.org", "Анна Петровна", "Белова")
    side.correct(anna, was=ANNA, wanted=wanted)

    result = side.correct(anna, was=ANNA, wanted=wanted)

    assert result.result is Result.UNCHANGED
    assert account.calls("contact.update") == 1


def test_a_first_name_that_was_written_is_known_again_with_its_patronymic(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    wanted = Person.of(ANNA.address, "Мария", "Белова")
    side.correct(anna, was=ANNA, wanted=wanted)

    again = side.correct(anna, was=ANNA, wanted=wanted)
    back = side.correct(anna, was=wanted, wanted=ANNA)

    found = account.contacts[anna]
    assert (again.result, back.result) == (Result.UNCHANGED, Result.DONE)
    assert (found.name, found.mid_name) == ("Анна", "Петровна")


def test_a_first_name_is_not_put_back_under_another_patronymic(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    wanted = Person.of(ANNA.address, "Мария", "Белова")
    side.correct(anna, was=ANNA, wanted=wanted)
    account.edit(anna, mid_name="Ивановна")

    back = side.correct(anna, was=wanted, wanted=ANNA)

    found = account.contacts[anna]
    assert (back.result, found.name) == (Result.CHANGED, "Мария")


def test_an_empty_value_is_never_written(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    result = side.correct(anna, was=ANNA, wanted=Person.of("", "", ""))

    assert result.result is Result.UNCHANGED
    assert account.calls("contact.update") == 0


def test_an_address_that_belongs_to_another_waits(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    account.add(name="Ben", email="ben@example.org")

    result = side.correct(
        anna, was=ANNA, wanted=Person.of("ben@example.org", "Анна Петровна", "Белова")
    )

    assert result == ItemResult(Result.TAKEN, "somebody else in Planfix has the address")
    assert account.contacts[anna].email == "anna@example.com"


def test_a_contact_that_is_gone_is_this_contacts_failure(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    account.delete(anna)

    result = side.correct(anna, was=ANNA, wanted=Person.of("a@example.org", "", ""))

    assert result.result is Result.FAILED


def test_an_address_is_found_exactly_whoever_has_it_and_however(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    account.add(name="Joanna", email="joanna@example.com")
    second = account.add(
        name="Ben", email="ben@example.com", secondary_emails=("Anna@Example.com", "x@example.com")
    )
    office = account.add(name="Office", email="office@example.com", is_company=True)

    assert find(side.contacts, "ANNA@example.com") == (anna, second)
    assert find(side.contacts, "office@example.com") == (office,)
    assert find(side.contacts, "nobody@example.com") == ()


def test_an_address_is_found_past_the_first_page(account: SimulatedPlanfix) -> None:
    wanted = [account.add(name="N", email=f"n{number}.a@example.com") for number in range(7)]
    last = account.add(name="A", email="a@example.com")
    options = Options(
        url=account.url, account=account.account, api_key=account.api_key, token=account.token,
        page_size=3, requests_per_second=100000.0,
    )  # fmt: skip
    side = Planfix(options)

    assert find(side.contacts, "a@example.com") == (last,)
    assert find(side.contacts, "n6.a@example.com") == (wanted[6],)
    side.close()


def test_a_new_contact_gets_its_values_and_a_name_in_any_case(
    account: SimulatedPlanfix, side: Planfix
) -> None:
    full = side.create(Person.of("kim@example.com", "Ольга", "Ким"))
    bare = side.create(Person.of("nameless@example.com", "", ""))

    assert (full.result, bare.result) == (Result.DONE, Result.DONE)
    assert [(c.name, c.last_name) for c in account.contacts.values()] == [
        ("Ольга", "Ким"),
        ("nameless", ""),
    ]
    assert account.notified == []


@pytest.mark.parametrize("taken", ["anna@example.com", "robot@example.com"])
def test_an_address_that_anybody_has_is_not_made_a_contact(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId, taken: str
) -> None:
    account.employee_addresses.add("robot@example.com")  # whom contact.getList doesn't show

    result = side.create(Person.of(taken, "Anna", "Berg"))

    assert result.result in {Result.CHANGED, Result.TAKEN}
    assert list(account.contacts) == [anna]


def test_a_custom_field_is_set_once(
    account: SimulatedPlanfix, side: Planfix, anna: ContactId
) -> None:
    first = side.mark(anna, field=FIELD, value="no")
    second = side.mark(anna, field=FIELD, value="no")

    assert (first.result, second.result) == (Result.DONE, Result.UNCHANGED)
    assert account.contacts[anna].custom[FIELD] == "no"
    assert account.calls("contact.updateCustomData") == 1


def test_a_field_that_does_not_exist_is_a_failure_that_names_it(
    side: Planfix, anna: ContactId
) -> None:
    result = side.mark(anna, field=99999, value="no")

    assert result.result is Result.FAILED
