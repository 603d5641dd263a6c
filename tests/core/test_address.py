"""The key addresses are compared by, and which of them can be used."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.address import clean, fault_of, key_of

E_ACUTE, E_AND_ACUTE = "é", "é"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(" anna@example.com\n", "anna@example.com", id="white-space"),
        pytest.param("Anna@Example.COM", "anna@example.com", id="case"),
        pytest.param("a@bücher.example.com", "a@xn--bcher-kva.example.com", id="punycode"),
        pytest.param("a@BÜCHER.example.com", "a@XN--BCHER-KVA.example.com", id="punycode-case"),
        pytest.param(f"ren{E_ACUTE}@example.com", f"ren{E_AND_ACUTE}@example.com", id="nfc"),
        pytest.param("Аnna@пример.рф", "Аnna@ПРИМЕР.РФ", id="cyrillic-domain"),
        pytest.param("РA@example.com", "Рa@EXAMPLE.com", id="ascii-letters-only"),
    ],
)
def test_spellings_of_one_address_have_one_key(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("а@example.com", "a@example.com", id="cyrillic-and-latin"),
        pytest.param("Иван@example.com", "иван@example.com", id="case-beyond-ascii"),
        pytest.param("a.b@example.com", "ab@example.com", id="dots"),
        pytest.param("a+b@example.com", "a@example.com", id="plus"),
    ],
)
def test_different_addresses_have_different_keys(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


def test_an_empty_address_has_an_empty_key() -> None:
    assert key_of(" \t") == ""


@given(st.text())
def test_a_key_is_its_own_key_and_everything_has_one(text: str) -> None:
    key = key_of(text)

    assert key_of(key) == key
    assert bool(key) == bool(clean(text))


@pytest.mark.parametrize("address", ["a@example.com", "A.b-c_d+e@sub.example.org", "ж@example.com"])
def test_usable(address: str) -> None:
    assert fault_of(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "none", "@", "a@", "@example.com", "a@example", "a b@example.com", "a@b@example.com",
        ".a@example.com", "a.@example.com", "a..b@example.com", "a@example..com", "a@-x.com",
        "a@example.com, b@example.com", "Anna <a@example.com>", "a@[127.0.0.1]", "a@localhost",
        "a@" + "x" * 64 + ".com", "a@" + "x." * 130 + "com",
    ],
)  # fmt: skip
def test_unusable_and_told_without_the_address(address: str) -> None:
    assert fault_of(address) == "not a valid e-mail address"


def test_no_address_is_a_fault_of_its_own() -> None:
    assert fault_of("") == "no address"


def accepted(address: str) -> bool:
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


LABELS = st.text(st.sampled_from("abZ09-_.+é@ "), max_size=20)
LONG = st.builds(lambda text, n: text * n, LABELS, st.integers(1, 40))


@given(st.builds("{}@{}{}".format, LABELS | LONG, LABELS | LONG, st.sampled_from(["", ".com"])))
def test_the_short_way_is_never_more_lenient_than_the_validator(address: str) -> None:
    assert bool(fault_of(address)) or accepted(address)


def test_an_address_too_long_only_in_punycode_is_unusable() -> None:
    domain = ".".join(["äжöщüыßэåяñю" * 2] * 4) + ".com"
    address = "a" * 64 + "@" + domain

    assert len(address) <= 254
    assert accepted("a@" + domain)
    assert not accepted(address)
    assert fault_of(address)
