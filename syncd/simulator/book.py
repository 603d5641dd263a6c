"""The contacts of the simulated Planfix, and what a person can do to them there."""

import random
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, Final, Literal

from syncd.simulator.faults import Faults
from syncd.simulator.people import (
    COMPANY_TEMPLATE,
    PERSON_TEMPLATE,
    Labels,
    SimulatedContact,
    as_listed,
    in_full,
    invent,
)

PageOrder = Literal["id", "random", "shuffled-once"]

_FIRST_ID: Final = 1001
_FIRST_USERID: Final = 50001
_FIRST_GENERAL: Final = 101
_RENDERED_MAX: Final = 200_000  # about 300 MB
_MOSCOW: Final = timezone(timedelta(hours=3))


class ContactBook:
    """All contacts of one account; every method may be called from any thread.

    Unlike the XML API, a person's own acts here do not check whether an address is in use:
    an import in Planfix does not either.
    """

    def __init__(
        self, *, account: str, page_order: PageOrder, faults: Faults, now: Callable[[], datetime]
    ) -> None:
        self.account = account
        self.page_order = page_order
        self.faults = faults
        self.now = now
        self.lock = threading.RLock()
        self.groups = {7: "Клиенты", 8: "Партнёры", 9: "Press & media"}
        self.filters = {":contact": "Контакты", ":company": "Компании"}
        self.custom_fields = {
            10123: "Язык рассылки",
            10124: "Согласие на рассылку",
            10125: "Темы",
        }
        self.employees = {9001: "Робот Syncd", 9002: "Ольга Ким"}
        self.employee_groups = {4: "Отдел продаж"}
        self.employee_addresses: set[str] = set()
        self.role = "ADMIN"
        self.status = "ACTIVE"
        self.notified: list[tuple[str, int]] = []
        self.templates = {
            901: SimulatedContact(901, 40001, PERSON_TEMPLATE, 0, name="Контакт"),
            902: SimulatedContact(902, 40002, COMPANY_TEMPLATE, 0, name="Компания"),
        }
        self._contacts: dict[int, SimulatedContact] = {}
        self._numbers = array("q")  # the n-th contact's id; userid and general count from n
        self._next_id = _FIRST_ID
        self._hidden: set[int] = set()
        self._members: dict[str, set[int]] = {}
        self._uses: Counter[str] = Counter()  # how often an address, in lower case, is used
        self._company_names: dict[int, str] = {}
        self._listings: dict[str, list[int]] = {}
        self._rendered: dict[int, bytes] = {}
        self._shuffle = random.Random(0)  # noqa: S311 - an order, not a key

    @property
    def contacts(self) -> Mapping[int, SimulatedContact]:
        """All contacts by id, those hidden from the robot included."""
        return MappingProxyType(self._contacts)

    # What a person does in Planfix.

    def add(
        self,
        *,
        name: str = "",
        last_name: str = "",
        mid_name: str = "",
        email: str = "",
        is_company: bool = False,
        id: int | None = None,  # noqa: A002 - Planfix's own word
        group: int | None = None,
        **fields: Any,
    ) -> int:
        """Add a contact and return its id; `fields` are further fields of SimulatedContact."""
        with self.lock:
            contact_id = self._next_id if id is None else id
            if contact_id in self._contacts:
                raise ValueError(f"contact {contact_id} exists")
            number = len(self._numbers)
            filled = {"template": COMPANY_TEMPLATE if is_company else PERSON_TEMPLATE} | fields
            self._keep_new(
                SimulatedContact(
                    contact_id,
                    _FIRST_USERID + number,
                    _FIRST_GENERAL + number,
                    name=name,
                    mid_name=mid_name,
                    last_name=last_name,
                    email=email,
                    is_company=is_company,
                    group=group or 0,
                    last_update=self._now_text(),
                    **filled,
                )
            )
            self._listings.clear()
            return contact_id

    def edit(self, contact_id: int, **fields: Any) -> None:
        """Change fields of a contact, by their names in SimulatedContact."""
        with self.lock:
            before = self._contacts[contact_id]
            after = before._replace(**{"last_update": self._now_text(), **fields})
            self._uses.subtract(address.lower() for address in before.addresses)
            self._uses.update(address.lower() for address in after.addresses)
            self._contacts[contact_id] = after
            self._rendered.pop(contact_id, None)
            if after.is_company:
                self._company_names[contact_id] = after.name
                self._rendered.clear()  # its people show its name

    def delete(self, contact_id: int) -> None:
        """Delete a contact: from now on contact.get answers 8002."""
        with self.lock:
            gone = self._contacts.pop(contact_id)
            self._uses.subtract(address.lower() for address in gone.addresses)
            self._hidden.discard(contact_id)
            for members in self._members.values():
                members.discard(contact_id)
            self._rendered.pop(contact_id, None)
            if self._company_names.pop(contact_id, None) is not None:
                self._rendered.clear()
            self._listings.clear()

    def hide(self, contact_id: int) -> None:
        """Take away the robot's right to see a contact: contact.get answers 8001."""
        with self.lock:
            self._contacts[contact_id]  # a KeyError for a contact that is not there
            self._hidden.add(contact_id)
            self._listings.clear()

    def unhide(self, contact_id: int) -> None:
        """Give that right back."""
        with self.lock:
            self._hidden.discard(contact_id)
            self._listings.clear()

    def add_filter(self, filter_id: str, name: str, members: Iterable[int] = ()) -> None:
        """Save a filter, empty unless it is given members."""
        with self.lock:
            self.filters[filter_id] = name
            self._members[filter_id] = set(members)
            self._listings.pop(filter_id, None)

    def put_in(self, contact_id: int, filter_id: str) -> None:
        """Let a contact match a saved filter."""
        with self.lock:
            self._contacts[contact_id]  # a KeyError for a contact that is not there
            self._members.setdefault(filter_id, set()).add(contact_id)
            self._listings.pop(filter_id, None)

    def take_out(self, contact_id: int, filter_id: str) -> None:
        """Let a contact no longer match a saved filter."""
        with self.lock:
            self._members[filter_id].discard(contact_id)
            self._listings.pop(filter_id, None)

    def populate(self, count: int, *, seed: int = 0, shared: bool = False) -> None:
        """Add invented contacts; where `shared`, one in a hundred has another's address."""
        with self.lock:
            for contact in invent(
                count=count,
                first_id=self._next_id,
                first_number=len(self._numbers),
                seed=seed,
                shared=shared,
                last_update=self._now_text(),
            ):
                self._keep_new(contact)
            self._listings.clear()

    # What the functions of the API ask; the caller holds the lock.

    def find(self, selector: str, value: int) -> SimulatedContact | None:
        """Return the contact or template with this id, userid or general."""
        for template in self.templates.values():
            if getattr(template, selector) == value:
                return template
        if selector != "id":
            number = value - (_FIRST_USERID if selector == "userid" else _FIRST_GENERAL)
            if not 0 <= number < len(self._numbers):
                return None
            value = self._numbers[number]
        return self._contacts.get(value)

    def is_hidden(self, contact_id: int) -> bool:
        """Say whether the robot may not see a contact."""
        return contact_id in self._hidden

    def in_use(self, address: str, own: Iterable[str] = ()) -> bool:
        """Say whether anybody else than the owner of `own` has an address."""
        key = address.lower()
        mine = sum(key == other.lower() for other in own)
        return self._uses[key] > mine or key in {one.lower() for one in self.employee_addresses}

    def listing(self, target: str) -> list[int] | None:
        """Return the ids that a target of contact.getList takes; None for an unknown one."""
        if target not in {"contact", "company", "template", *self.filters}:
            return None
        if target not in self._listings:
            ids = self._sorted_ids(target)
            if self.page_order == "shuffled-once":
                ids.sort(key=lambda contact_id: contact_id * 2654435761 % 2**32)
            self._listings[target] = ids
        ids = self._listings[target]
        return self._shuffle.sample(ids, len(ids)) if self.page_order == "random" else ids

    def listed(self, contact_id: int) -> bytes:
        """Return a contact as the list shows it, without its end tag."""
        xml = self._rendered.get(contact_id)
        if xml is None:
            contact = self.templates.get(contact_id) or self._contacts[contact_id]
            xml = as_listed(contact, self._labels())
            if len(self._contacts) <= _RENDERED_MAX:
                self._rendered[contact_id] = xml
        return self.faults.spoil(contact_id, xml)

    def full(self, contact: SimulatedContact) -> bytes:
        """Return a contact as contact.get shows it, without its end tag."""
        return self.faults.spoil(contact.id, in_full(contact, self._labels()))

    def _keep_new(self, contact: SimulatedContact) -> None:
        self._contacts[contact.id] = contact
        self._numbers.append(contact.id)
        self._next_id = max(self._next_id, contact.id + 1)
        for address in contact.addresses:
            key = address.lower()
            self._uses[address if key == address else key] += 1
        if contact.is_company:
            self._company_names[contact.id] = contact.name

    def _sorted_ids(self, target: str) -> list[int]:
        kind = target.removeprefix(":")
        if kind == "template":
            return sorted(self.templates)
        if kind in {"contact", "company"}:
            companies = kind == "company"
            return sorted(
                contact_id
                for contact_id, contact in self._contacts.items()
                if contact.is_company == companies and contact_id not in self._hidden
            )
        return sorted(self._members.get(target, set()) - self._hidden)

    def _labels(self) -> Labels:
        return Labels(
            self.account,
            self._company_names,
            self.groups,
            self.custom_fields,
            self.employees,
            self.employee_groups,
        )

    def _now_text(self) -> str:
        return self.now().astimezone(_MOSCOW).strftime("%d-%m-%Y %H:%M")
