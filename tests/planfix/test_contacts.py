from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.core.people import ContactId
from syncd.errors import AmbiguousError, AuthenticationError, ItemError, UsageError
from syncd.planfix.side import Planfix
from tests.planfix.conftest import Canned, Script

SAMPLES = Path(__file__).parents[1] / "samples" / "planfix"
ONE = ContactId(1001)
DONE = b'<response status="ok"><contact><id>1001</id></contact></response>'


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def sent(script: Script) -> str:
    return script.requests[-1].decode().partition("<account>acme</account>")[2]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("8002", False), ("8001", None), ("0020", None), ("1002", None)],
)
def test_only_one_code_proves_a_contact_gone(
    script: Script, planfix: Planfix, code: str, expected: bool | None
) -> None:
    script.replies = [f'<response status="error"><code>{code}</code></response>'.encode()]

    assert planfix.exists(ONE) is expected


def test_a_contact_that_is_shown_exists(script: Script, planfix: Planfix) -> None:
    script.replies = [sample("contact-get.xml")]

    assert planfix.exists(ONE) is True
    assert sent(script) == "<contact><id>1001</id></contact></request>"


@pytest.mark.parametrize("code", ["8004", "0001"])
def test_any_other_answer_is_no_answer(script: Script, planfix: Planfix, code: str) -> None:
    script.replies = [f'<response status="error"><code>{code}</code></response>'.encode()]

    with pytest.raises((ItemError, AuthenticationError)):
        planfix.exists(ONE)


def test_check_tells_who_we_are(script: Script, planfix: Planfix) -> None:
    script.replies = [sample("user-get-reply.xml")]

    assert planfix.check() == "logged in as employee 9001, role ADMIN"


def test_check_warns_of_a_role_that_may_not_see_all(script: Script, planfix: Planfix) -> None:
    script.replies = [sample("user-get-reply.xml").replace(b"ADMIN", b"USER")]

    assert "warning" in planfix.check()


def test_check_refuses_an_employee_who_is_switched_off(script: Script, planfix: Planfix) -> None:
    script.replies = [sample("user-get-reply.xml").replace(b"ACTIVE", b"UNACTIVE")]

    with pytest.raises(AuthenticationError):
        planfix.check()


def test_a_page_can_be_searched_by_address(script: Script, planfix: Planfix) -> None:
    script.replies = [sample("contact-getList-page1.xml")]

    page = planfix.contacts.list_page("contact", address="anna@example.com")

    assert page.total == 7
    assert sent(script) == (
        "<pageCurrent>1</pageCurrent><pageSize>100</pageSize><target>contact</target>"
        "<filters><filter><type>4005</type><operator>equal</operator>"
        "<value>anna@example.com</value></filter></filters></request>"
    )


Write = Callable[[Planfix], object]

WRITES: dict[str, tuple[Write, str]] = {
    "add": (
        lambda planfix: planfix.contacts.add(
            address="janis@example.org", last_name="Ozols", template=1
        ),
        (
            "<contact><template>1</template><name>janis</name><lastName>Ozols</lastName>"
            "<email>janis@example.org</email></contact>"
        ),
    ),
    "update": (
        lambda planfix: planfix.contacts.update(ONE, name="Анна", mid_name="Петровна"),
        "<contact><id>1001</id><name>Анна</name><midName>Петровна</midName></contact>",
    ),
    "blank": (
        lambda planfix: planfix.contacts.update(ONE, blank=["post"]),
        "<contact><id>1001</id><post/></contact>",
    ),
    "custom-data": (
        lambda planfix: planfix.contacts.update_custom_data(ONE, {10124: "unsubscribed"}),
        (
            "<contact><id>1001</id><customData><customValue><id>10124</id>"
            "<value>unsubscribed</value></customValue></customData></contact>"
        ),
    ),
    "delete": (lambda planfix: planfix.contacts.delete(ONE), "<contact><id>1001</id></contact>"),
    "access": (
        lambda planfix: planfix.contacts.manage_access(ONE, grant=False),
        "<contact><id>1001</id><havePlanfixAccess>0</havePlanfixAccess></contact>",
    ),
    "user-info": (
        lambda planfix: planfix.contacts.update_user_info(ONE, password="p-w", active=False),
        (
            "<contact><id>1001</id><user><password>p-w</password><status>UNACTIVE</status></user>"
            "</contact>"
        ),
    ),
    "contractors": (
        lambda planfix: planfix.contacts.update_contractors(ONE, add=[ContactId(7), ContactId(8)]),
        (
            "<contact><id>1001</id><contractors><addClient><id>7</id><id>8</id></addClient>"
            "</contractors></contact>"
        ),
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_silent_and_sends_only_what_is_given(
    script: Script, planfix: Planfix, name: str
) -> None:
    script.replies = [DONE]
    write, expected = WRITES[name]

    write(planfix)

    assert sent(script) == f"<silent>1</silent>{expected}</request>"


def test_adding_is_never_repeated_blindly(script: Script, planfix: Planfix) -> None:
    script.replies = [Canned(b"", 504), DONE]

    with pytest.raises(AmbiguousError):
        planfix.contacts.add(address="a@example.com", name="A")
    assert len(script.requests) == 1


def test_an_update_may_be_repeated(script: Script, planfix: Planfix) -> None:
    script.replies = [Canned(b"", 504), DONE]

    planfix.contacts.update(ONE, address="a@example.com")

    assert len(script.requests) == 2


@pytest.mark.parametrize("blank", [["name"], ["id"], []])
def test_an_update_needs_something_that_can_be_changed(planfix: Planfix, blank: list[str]) -> None:
    with pytest.raises(UsageError):
        planfix.contacts.update(ONE, blank=blank)


def test_lists_for_the_settings_can_be_asked_for(script: Script, planfix: Planfix) -> None:
    script.replies = [
        sample("contact-getGroupList-reply.xml"),
        sample("contact-getFilterList-reply.xml"),
        sample("contact-getPhoneTypes-reply.xml"),
    ]

    counts = [
        len(planfix.contacts.groups()),
        len(planfix.contacts.filters()),
        len(planfix.contacts.phone_types()),
    ]

    assert counts == [3, 4, 4]
