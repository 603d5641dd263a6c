"""A whole set-up in one folder, and what Planfix pushes to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from syncd.app.wiring import account_of, read_config, taken_names
from syncd.core.people import Contact, ContactId, Person
from syncd.receiver.pushes import Answer, pushed
from syncd.wire.email_service import (
    Accepted,
    Change,
    CreateList,
    DeleteList,
    ImportContacts,
    Request,
    UpdateContact,
)
from tests.scene import Scene

NOW = datetime(2026, 11, 26, 18, tzinfo=UTC)


@dataclass
class Pushes:
    """Planfix's e-mail service integration; what it pushes needs no wire to reach the store."""

    scene: Scene
    backend: str = "news"
    now: datetime = NOW

    def push(self, request: Request) -> Answer:
        self.now += timedelta(seconds=1)
        settings = read_config(self.scene.config).settings
        taken = taken_names(settings, self.backend)
        effect = pushed(request, self.backend, taken=taken, at=self.now)
        with (
            self.scene.world() as world,
            world.store.pushes.batch(account_of(settings)) as batch,
        ):
            return effect(batch)

    def create(self, name: str) -> str:
        answer = self.push(CreateList(name))
        assert isinstance(answer, Accepted)
        return str(answer.list_id)

    def give_up(self, list_id: str) -> None:
        assert self.push(DeleteList(list_id)) == Accepted()

    def bring(self, list_id: str, people: dict[int, str]) -> None:
        """Import people: contact's number → address."""
        contacts = tuple(contact(number, address) for number, address in people.items())
        assert self.push(ImportContacts(list_id, contacts)) == Accepted()

    def add(self, list_id: str, number: int, address: str) -> None:
        self._change(list_id, Change.ADD, number, address)

    def update(self, list_id: str, number: int, address: str, old_address: str = "") -> None:
        self._change(list_id, Change.UPDATE, number, address, old_address)

    def delete(self, list_id: str, number: int, address: str) -> None:
        self._change(list_id, Change.DELETE, number, address)

    def _change(
        self, list_id: str, change: Change, number: int, address: str, old_address: str = ""
    ) -> None:
        request = UpdateContact(list_id, change, contact(number, address), old_address)
        assert self.push(request) == Accepted()


def contact(number: int, address: str) -> Contact:
    return Contact(ContactId(number), Person.of(address, "", ""))


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    """A set-up without a link of its own: there is only what Planfix pushes."""
    return make_scene(links=())


@pytest.fixture
def pushes(scene: Scene) -> Pushes:
    return Pushes(scene)
