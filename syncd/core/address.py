"""E-mail addresses: the key they are compared by, and whether they can be used."""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NewType

import idna
from email_validator import EmailNotValidError, validate_email

from syncd.errors import UsageError

AddressKey = NewType("AddressKey", str)

NO_KEY: Final = AddressKey("")

_ASCII_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

# Narrower than what email-validator takes, so that nearly all addresses need not be asked about.
_PLAIN_LOCAL: Final = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*").fullmatch
_ADDRESS_MAX: Final = 254


def clean(text: str) -> str:
    """Return a text without outer white space and in Unicode's composed form (NFC)."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def key_of(address: str) -> AddressKey:
    """Return the one spelling in which an address is compared; empty for an empty one.

    The domain goes to IDNA 2008 (UTS 46) in lower case; of the local part only ASCII
    letters go to lower case. What is no address at all still gets a key of its own.
    """
    address = clean(address)
    if address.isascii():
        return AddressKey(address.lower())
    local, at, domain = address.rpartition("@")
    return AddressKey(local.translate(_ASCII_LOWER) + at + _domain_key(domain))


def key_asked_for(address: str) -> AddressKey:
    """Return the key of an address by which a person means somebody.

    An empty one, or a text that many contacts have in its place, means nobody.

    Raises:
        UsageError: it is no address.
    """
    key = key_of(address)
    if "@" not in key:
        raise UsageError("That is no e-mail address.", hint="Is it a variable without a value?")
    return key


def fault_of(address: str) -> str:
    """Say what makes an address unusable, without naming it; empty where it is usable."""
    if not address:
        return "no address"
    local, _, domain = address.rpartition("@")
    if address.isascii() and len(address) <= _ADDRESS_MAX and _PLAIN_LOCAL(local):
        return _domain_fault(domain)
    return _validate(address)


@lru_cache(maxsize=4096)
def _domain_key(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return domain.lower()


@lru_cache(maxsize=4096)
def _domain_fault(domain: str) -> str:
    return _validate("a@" + domain)


def _validate(address: str) -> str:
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        # email-validator's own words may quote the address.
        return "not a valid e-mail address"
    return ""
