"""Planfix's contact functions: what a run needs of them, and what an operator may do by hand.

Every write is silent: it notifies nobody and leaves the contact's log alone, as the terms of
use ask of programs. Only what is given is sent; an absent value stays as it is, an empty
element would blank it (assumed).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from syncd.core.link import Selection
from syncd.core.people import ContactId, Person
from syncd.core.plan import ItemResult
from syncd.errors import (
    AuthenticationError,
    ConfigurationError,
    ItemError,
    UsageError,
)
from syncd.planfix import sweep as sweeping
from syncd.planfix import writing
from syncd.planfix.client import Budget, Options, PlanfixClient
from syncd.planfix.sweep import Progress
from syncd.ports import SnapshotWriter, SweepReport
from syncd.wire import planfix_xml as xml
from syncd.wire.planfix_xml import Card, ContactPage, Employee, NamedItem, Value

BLANKABLE: Final = (
    "midName", "lastName", "post", "email", "address", "description", "sex", "site",
    "skype", "facebook", "vk", "icq", "birthdate",
)  # fmt: skip
"""The one-line fields that an operator may empty; a name has to stay."""


class Planfix:
    """One Planfix account; fulfils `syncd.ports.ContactSide`."""

    def __init__(
        self,
        options: Options,
        *,
        budget: Budget | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Prepare the calls, without connecting yet; `progress` is told of a sweep's pages.

        Raises:
            ConfigurationError: the address can't be used.
        """
        self._client = PlanfixClient(options, budget=budget)
        self._page_size = options.page_size
        self._progress = progress

    # What a run needs.

    def sweep(
        self,
        selection: Selection,
        snapshot: SnapshotWriter,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> SweepReport:
        """Read a selection whole; `stop` is asked before each page.

        Raises:
            StoppedError: it said so.
            TemporaryError, AuthenticationError, ConfigurationError: a page could not be had.
        """
        return sweeping.sweep(
            self._client,
            selection,
            snapshot,
            self._page_size,
            progress=self._progress,
            stop=stop,
        )

    def sweep_ids(self, selection: Selection, page_size: int) -> tuple[frozenset[ContactId], bool]:
        """Read only the ids of a selection; the second value says whether that is certified."""
        return sweeping.sweep_ids(self._client, selection, page_size)

    def exists(self, contact: ContactId) -> bool | None:
        """Ask contact.get: True, False (code 8002), or None where we have no right to know."""
        try:
            self.get(contact)
        except ItemError as error:
            if error.code == "8002":
                return False
            if error.code == "8001":
                return None
            raise
        except (AuthenticationError, ConfigurationError) as error:
            if _code_of(error) in {"0020", "1002"}:
                return None
            raise
        return True

    def find(self, address: str) -> tuple[ContactId, ...]:
        """Return whose main or additional address this is, persons and companies, by id."""
        return writing.find(self, address)

    def correct(self, contact: ContactId, *, was: Person, wanted: Person) -> ItemResult:
        """Write the fields in which `wanted` differs from `was`, where they still are as read."""
        return writing.correct(self, contact, was=was, wanted=wanted)

    def create(self, person: Person) -> ContactId:
        """Add a person's contact; look with `find` first (raises what `add` does)."""
        return self.add(address=person.address, name=person.first, last_name=person.last)

    def mark(self, contact: ContactId, *, field: int, value: str) -> ItemResult:
        """Set a custom field and see that it reads back so; unchanged where it did before."""
        return writing.mark(self, contact, field=field, value=value)

    def check(self) -> str:
        """Log in and ask who we are; return a line for the operator.

        Raises:
            AuthenticationError: the employee behind the token is not active.
        """
        employee = self.employee()
        if employee.status != "ACTIVE":
            raise AuthenticationError(
                f"Planfix says that our token's employee is {employee.status or 'of no status'}",
                hint="Switch the employee or robot on again, or use another one's token.",
            )
        line = f"logged in as employee {employee.id}, role {employee.role or 'unknown'}"
        if employee.role != "ADMIN":
            line += "; warning: without the role ADMIN, contacts may be hidden from us"
        return line

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    # Reading, by hand.

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
        kind: int = writing.MAIN_ADDRESS,
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


def _code_of(error: Exception) -> str:
    """Return Planfix's code behind an error of the client."""
    cause = error.__cause__
    return cause.code if isinstance(cause, xml.Refusal) else ""
