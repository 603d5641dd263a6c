"""Each sample of the protocol, over HTTP to a server that listens, and what comes of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.receiver.daemon import RECEIVER, TOKEN, Door
from tests.scene import Scene, applied, link

SAMPLES = Path(__file__).parents[1] / "samples" / "email-service"
SAMPLE_LIST = "lst-000017"
NAME = "Клиенты Юг — Ольга Ким"
ANNA = "anna.belova@example.com"


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    return make_scene(links=(), more=RECEIVER)


@pytest.fixture
def pushed() -> list[str]:
    """One entry for each time that the daemon is told of something new."""
    return []


@pytest.fixture
def door(scene: Scene, pushed: list[str]) -> Iterator[Door]:
    with Door(scene, lambda: pushed.append("news")) as door:
        yield door


class Sender:
    """Sends the samples, for a list that was made here."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.list_id = SAMPLE_LIST

    def send(self, name: str) -> Any:
        body = (SAMPLES / f"{name}-request.json").read_text(encoding="utf-8")
        body = body.replace(SAMPLE_LIST, self.list_id)
        answer = self._door.post(body.encode())
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        return answer.json()

    def ask(self, function: str, **data: object) -> Any:
        """Send a request that no sample has."""
        data = {"listId": self.list_id, **data}
        body = {"action": function, "authToken": TOKEN, "data": data}
        return self._door.post(json.dumps(body).encode()).json()

    def create(self) -> str:
        answer = self.send("createList")
        assert set(answer) == set(json.loads((SAMPLES / "createList-reply.json").read_text()))
        self.list_id = answer["listId"]
        return self.list_id


@pytest.fixture
def planfix_api(door: Door) -> Sender:
    return Sender(door)


def reply(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}-reply.json").read_text(encoding="utf-8"))


def test_a_list_is_made_and_its_name_may_be_escaped(scene: Scene, planfix_api: Sender) -> None:
    made = planfix_api.create()

    again = planfix_api.send("createList-escaped")

    assert again == {"success": True, "listId": made}
    assert [done.link for done in scene.run().links] == [NAME]


def test_an_import_reaches_the_list(scene: Scene, planfix_api: Sender) -> None:
    planfix_api.create()

    assert planfix_api.send("importContacts") == reply("importContacts")
    scene.run()

    assert scene.members(NAME) == {
        ANNA: ("Анна", "Белова"),
        "o.brien@example.org": ("Zoë", "O’Brien & Søn"),
        "office@example.org": ("ООО «Ромашка»", ""),
    }


def test_an_awkward_import_is_a_success_with_what_can_be_used(
    scene: Scene, planfix_api: Sender
) -> None:
    planfix_api.create()

    assert planfix_api.send("importContacts-awkward") == reply("importContacts")
    [done] = scene.run().links

    assert set(scene.members(NAME)) == {
        "news.reader@example.com",
        ANNA,
        "only.mail@example.com",
    }
    assert scene.ids(NAME)[ANNA] == 101
    assert done.held == 1  # who has a text that is no address


def test_an_empty_import_changes_nothing(scene: Scene, planfix_api: Sender) -> None:
    planfix_api.create()
    planfix_api.send("importContacts")
    scene.run()

    assert planfix_api.send("importContacts-empty") == reply("importContacts")

    assert applied(scene.run().links[0]) == {}


def test_changes_of_one_contact_reach_the_list(scene: Scene, planfix_api: Sender) -> None:
    planfix_api.create()
    planfix_api.send("importContacts")
    scene.run()

    assert planfix_api.send("updateContact-update") == reply("updateContact")
    assert planfix_api.send("updateContact-add") == reply("updateContact")
    scene.run()
    moved = set(scene.members(NAME))
    assert planfix_api.send("updateContact-update-same-email") == reply("updateContact")
    scene.run()
    renamed = scene.members(NAME)["a.belova@example.com"]
    assert planfix_api.send("updateContact-delete") == reply("updateContact")
    scene.run()

    assert ANNA not in moved
    assert "a.belova@example.com" in moved
    assert renamed == ("Анна-Мария", "Белова")
    assert "a.belova@example.com" not in scene.members(NAME)


@pytest.mark.parametrize("email", [{}, {"email": None}, {"email": ["a@example.com"]}])
def test_a_contact_without_an_address_is_passed_over(
    scene: Scene, planfix_api: Sender, email: dict[str, object]
) -> None:
    planfix_api.create()
    planfix_api.send("importContacts")
    scene.run()
    before = scene.members(NAME)
    nobody = {"id": 101, "firstName": "Anna", **email}

    answers = [
        planfix_api.ask("importContacts", contacts=[nobody]),
        planfix_api.ask("updateContact", action="update", contact=nobody),
        planfix_api.ask("updateContact", action="add", contact=nobody),
    ]

    assert answers == [reply("importContacts")] * 3
    assert applied(scene.run().links[0]) == {}
    assert scene.members(NAME) == before


def test_a_contact_may_be_taken_off_by_its_address_alone(scene: Scene, planfix_api: Sender) -> None:
    planfix_api.create()
    planfix_api.send("importContacts")
    scene.run()

    answer = planfix_api.ask("updateContact", action="delete", contact={"email": ANNA})

    assert answer == reply("updateContact")
    scene.run()
    assert ANNA not in scene.members(NAME)


def test_a_list_is_given_up(scene: Scene, planfix_api: Sender) -> None:
    planfix_api.create()
    planfix_api.send("importContacts")
    scene.run()

    assert planfix_api.send("deleteList") == reply("deleteList")

    assert scene.run().links == []
    assert len(scene.members(NAME)) == 3
    assert planfix_api.send("importContacts") == {"error": "unknown list"}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("wrong-token", "authToken not accepted"),
        ("unknown-action", "unknown action"),
        ("importContacts", "unknown list"),
        ("updateContact-add", "unknown list"),
    ],
)
def test_what_the_protocol_can_refuse_is_refused_in_its_words(
    planfix_api: Sender, name: str, error: str
) -> None:
    assert planfix_api.send(name) == {"error": error}


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_the_content_type_is_not_looked_at(door: Door, content_type: str | None) -> None:
    body = (SAMPLES / "createList-request.json").read_bytes()
    headers = {"Content-Type": content_type} if content_type else {}

    answer = httpx.post(f"{door.url}/planfix/email", content=body, headers=headers)

    assert answer.json()["success"] is True


def test_only_news_asks_for_a_run(planfix_api: Sender, pushed: list[str]) -> None:
    planfix_api.create()
    for _ in range(3):
        planfix_api.send("importContacts")
        planfix_api.send("unknown-action")

    assert pushed == ["news", "news"]


# What a list service tells.


def report(list_id: str, change: str, token: str, **contact: str) -> bytes:
    data = {"listId": list_id, "action": change, "contact": contact}
    return json.dumps({"action": "updateContact", "authToken": token, "data": data}).encode()


def test_a_list_service_tells_who_left(scene: Scene) -> None:
    scene.write_config(links=(link("customers"),))
    scene.planfix.add(name="Anna", email=ANNA, id=101)
    scene.run()
    [list_id] = scene.service.lists

    left = report(str(list_id), "delete", scene.service.token, email=ANNA)
    with Door(scene) as door:
        told = door.post(left, "/list-events")
        wrong = door.post(left.replace(scene.service.token.encode(), b"guess"), "/list-events")
    scene.planfix.edit(101, name="Anna-Maria")

    assert told.json() == {"success": True}
    assert wrong.json() == {"error": "authToken not accepted"}
    assert applied(scene.run().links[0]) == {}
    assert scene.members("Customers")[ANNA] == ("Anna", "")


def test_the_tokens_of_both_sides_are_told_apart(scene: Scene, door: Door) -> None:
    body = json.dumps(
        {"action": "createList", "authToken": scene.service.token, "data": {"listName": "News"}}
    )

    answer = door.post(body.encode())

    assert answer.json() == {"error": "authToken not accepted"}
