"""Planfix's contact functions, one by one: what a run builds on, and an operator calls by hand.

Every write is silent: it notifies nobody and leaves the contact's log alone, as the terms of
use ask of programs. Only what is given is sent; an absent value stays as it is, an empty
element would blank it (assumed).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from syncd.core.people import Contact, ContactId
from syncd.errors import UsageError
from syncd.planfix.client import PlanfixClient
from syncd.wire import planfix_xml as xml
from syncd.wire.planfix_xml import Card, ContactPage, Employee, NamedItem, Value

BLANKABLE: Final = (
    "midName", "lastName", "post", "email", "address", "description", "sex", "site",
    "skype", "facebook", "vk", "icq", "birthdate",
)  # fmt: skip
"""The one-line fields that an operator may empty; a name has to stay."""

MAIN_ADDRESS: Final = 4005
"""The filter "main e-mail contains" (the Planfix help page on contact filters)."""
FURTHER_ADDRESS: Final = 4221
"""The filter "additional e-mail contains"."""


class Contacts:
    """The contact functions of one Planfix account."""

    def __init__(self, client: PlanfixClient, page_size: int) -> None:
        self._client = client
        self._page_size = page_size

    # Reading.

    def get(self, contact: ContactId) -> Card:
        """Read one contact with what only contact.get shows."""
        return self._client.read(
            "contact.get",
            {"contact": {"id": contact}},
            lambda body: xml.card_of(xml.open_reply(body)),
        )

    def list_page(
        self,
        target: str,
        page: int = 1,
        *,
        search: str = "",
        address: str = "",
        kind: int = MAIN_ADDRESS,
    ) -> ContactPage:
        """Read one page of a target: contact, company, template or a filter's id.

        `search` looks into names and address. `address` is a part of the main address, or of
        one of another `kind`: who wants exactly this one has to compare.
        """
        by_address: Value = [
            ("filter", [("type", kind), ("operator", "equal"), ("value", address)])
        ]
        return self._client.read(
            "contact.getList",
            [
                ("pageCurrent", page),
                ("pageSize", self._page_size),
                ("target", target),
                ("search", search or None),
                ("filters", by_address if address else None),
            ],
            xml.read_page,
        )

    def listed(
        self, target: str, *, search: str = "", address: str = "", kind: int = MAIN_ADDRESS
    ) -> Iterator[Contact]:
        """Yield the contacts of a target, page after page; for the rest, see `list_page`."""
        number, seen, total = 1, 0, 1
        while seen < total:
            page = self.list_page(target, number, search=search, address=address, kind=kind)
            yield from page.contacts
            number, seen, total = number + 1, seen + page.count, page.total if page.count else 0

    def with_address(self, target: str, address: str, *, search: str = "") -> Iterator[Contact]:
        """Yield once whoever has a main or an additional address with this part."""
        known = set()
        for kind in (MAIN_ADDRESS, FURTHER_ADDRESS):
            for contact in self.listed(target, search=search, address=address, kind=kind):
                if contact.id not in known:
                    known.add(contact.id)
                    yield contact

    def groups(self) -> tuple[NamedItem, ...]:
        """List the groups of contacts."""
        return self._client.read(
            "contact.getGroupList", {}, lambda body: xml.groups_of(xml.open_reply(body))
        )

    def filters(self) -> tuple[NamedItem, ...]:
        """List the saved filters that the token's employee can see."""
        return self._client.read(
            "contact.getFilterList", {}, lambda body: xml.filters_of(xml.open_reply(body))
        )

    def phone_types(self) -> tuple[NamedItem, ...]:
        """List the kinds of phone numbers."""
        return self._client.read(
            "contact.getPhoneTypes", {}, lambda body: xml.phone_types_of(xml.open_reply(body))
        )

    def employee(self) -> Employee:
        """Ask who is behind our token."""
        return self._client.read("user.get", {}, lambda body: xml.employee_of(xml.open_reply(body)))

    # Writing.

    def add(
        self,
        *,
        address: str,
        name: str = "",
        mid_name: str = "",
        last_name: str = "",
        is_company: bool = False,
        template: int | None = None,
        group: int | None = None,
    ) -> ContactId:
        """Add a contact; without a name it gets what stands before the @, since it needs one.

        Raises:
            AmbiguousError: it may have been added: look before adding it again.
            ItemError: Planfix refused it, perhaps since its address is there already.
        """
        return self._write(
            "contact.add",
            [
                ("template", template),
                ("name", name or address.partition("@")[0] or None),
                ("midName", mid_name or None),
                ("lastName", last_name or None),
                ("email", address or None),
                ("isCompany", 1 if is_company else None),
                ("group", {"id": group} if group else None),
            ],
            repeatable=False,
        )

    def update(
        self,
        contact: ContactId,
        *,
        name: str = "",
        mid_name: str = "",
        last_name: str = "",
        address: str = "",
        group: int | None = None,
        blank: Sequence[str] = (),
    ) -> None:
        """Change what is given and nothing else; an empty text leaves a value alone.

        `name` is the first name alone: where the contact has a patronymic, give it too.
        `blank` names fields to empty, as Planfix spells them.

        Raises:
            UsageError: nothing to change, or a field that can't be emptied.
            ItemError: Planfix refused it.
        """
        if wrong := sorted(set(blank) - set(BLANKABLE)):
            raise UsageError(
                f"{', '.join(wrong)} can't be emptied", hint=f"These can: {', '.join(BLANKABLE)}."
            )
        changes: list[tuple[str, Value]] = [
            (field, value)
            for field, value in (
                ("name", name),
                ("midName", mid_name),
                ("lastName", last_name),
                ("email", address),
            )
            if value and field not in blank
        ]
        if group:
            changes.append(("group", {"id": group}))
        changes += [(field, "") for field in dict.fromkeys(blank)]
        if not changes:
            raise UsageError("there is nothing to change")
        self._write("contact.update", [("id", contact), *changes])

    def update_custom_data(self, contact: ContactId, values: Mapping[int, str]) -> None:
        """Set custom fields by their ids; an empty text blanks one."""
        fields: Value = [
            ("customValue", [("id", field), ("value", value)]) for field, value in values.items()
        ]
        self._write("contact.updateCustomData", [("id", contact), ("customData", fields)])

    def delete(self, contact: ContactId) -> None:
        """Delete a contact in Planfix."""
        self._write("contact.delete", [("id", contact)])

    def manage_access(self, contact: ContactId, *, grant: bool) -> None:
        """Let a person into Planfix, or shut them out; letting in sends them a letter."""
        # A second letter would go out with every repetition.
        self._write(
            "contact.managePlanfixAccess",
            [("id", contact), ("havePlanfixAccess", 1 if grant else 0)],
            repeatable=False,
        )

    def update_user_info(
        self,
        contact: ContactId,
        *,
        password: str = "",
        address: str = "",
        active: bool | None = None,
    ) -> None:
        """Change how a person who has access logs in; what is not given stays."""
        status = None if active is None else "ACTIVE" if active else "UNACTIVE"  # sic
        user: Value = [
            ("password", password or None),
            ("status", status),
            ("email", address or None),
        ]
        self._write("contact.updateUserInfo", [("id", contact), ("user", user)])

    def update_contractors(
        self,
        contact: ContactId,
        *,
        add: Sequence[ContactId] = (),
        remove: Sequence[ContactId] = (),
    ) -> None:
        """Say which companies a person belongs to, and to which no longer."""
        contractors: Value = [
            ("addClient", [("id", company) for company in add] or None),
            ("delClient", [("id", company) for company in remove] or None),
        ]
        self._write("contact.updateContractors", [("id", contact), ("contractors", contractors)])

    def _write(
        self, method: str, contact: Sequence[tuple[str, Value]], *, repeatable: bool = True
    ) -> ContactId:
        return self._client.read(
            method,
            {"contact": contact},
            lambda body: xml.contact_id_of(xml.open_reply(body)),
            silent=True,
            write=True,
            repeatable=repeatable,
        )
