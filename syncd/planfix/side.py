"""The contact side of a run: one Planfix account, as far as a run needs it."""

from collections.abc import Callable

from syncd.core.link import Selection
from syncd.core.people import ContactId, Person
from syncd.core.plan import ItemResult
from syncd.errors import AuthenticationError, ConfigurationError, ItemError
from syncd.planfix import sweep as sweeping
from syncd.planfix import writing
from syncd.planfix.client import Budget, Options, PlanfixClient
from syncd.planfix.contacts import Contacts
from syncd.planfix.sweep import Progress
from syncd.ports import SnapshotWriter, SweepReport
from syncd.transport import never
from syncd.wire import planfix_xml as xml


class Planfix:
    """One Planfix account; fulfils `syncd.ports.ContactSide`.

    `contacts` has every contact function, for an operator.
    """

    def __init__(
        self,
        options: Options,
        *,
        budget: Budget | None = None,
        progress: Progress | None = None,
        stop: Callable[[], bool] = never,
    ) -> None:
        """Prepare the calls, without connecting yet.

        `progress` is told of a sweep's pages; `stop` ends the pauses between calls.

        Raises:
            ConfigurationError: the address can't be used.
        """
        self._client = PlanfixClient(options, budget=budget, stop=stop)
        self._page_size = options.page_size
        self._progress = progress
        self.contacts = Contacts(self._client, options.page_size)

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
            self.contacts.get(contact)
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

    def correct(self, contact: ContactId, *, was: Person, wanted: Person) -> ItemResult:
        """Write the fields in which `wanted` differs from `was`, where they still are as read."""
        return writing.correct(self.contacts, contact, was=was, wanted=wanted)

    def create(self, person: Person) -> ItemResult:
        """Add a person's contact, unless somebody has the address already."""
        return writing.create(self.contacts, person)

    def says(self, contact: ContactId, *, field: int, value: str) -> bool:
        """Ask contact.get whether a custom field has a value; False where it can't be seen."""
        return writing.says(self.contacts, contact, field=field, value=value)

    def mark(self, contact: ContactId, *, field: int, value: str) -> ItemResult:
        """Set a custom field and see that it reads back so; unchanged where it did before."""
        return writing.mark(self.contacts, contact, field=field, value=value)

    def check(self) -> str:
        """Log in and ask who we are; return a line for the operator.

        Raises:
            AuthenticationError: the employee behind the token is not active.
        """
        employee = self.contacts.employee()
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


def _code_of(error: Exception) -> str:
    """Return Planfix's code behind an error of the client."""
    cause = error.__cause__
    return cause.code if isinstance(cause, xml.Refusal) else ""
