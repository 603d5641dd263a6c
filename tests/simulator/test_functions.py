import pytest
from lxml import etree

from syncd.simulator.planfix import SimulatedPlanfix
from tests.simulator.conftest import Caller


def anna(planfix: SimulatedPlanfix) -> int:
    return planfix.add(
        name="Анна",
        mid_name="Петровна",
        last_name="Белова",
        email="anna.belova@example.com",
        group=7,
    )


def contact(contact_id: int, content: str = "") -> str:
    return f"<contact><id>{contact_id}</id>{content}</contact>"


def text(node: etree._Element, path: str) -> str:
    found = node.find(path)
    assert found is not None, path
    return found.text or ""


def test_the_list_has_every_documented_element(planfix: SimulatedPlanfix, caller: Caller) -> None:
    anna(planfix)

    listed = caller.call("contact.getList").find("contacts/contact")

    assert listed is not None
    assert [str(node.tag) for node in listed] == [
        "id", "userid", "general", "template", "name", "lastName", "isCompany", "post", "email",
        "phones", "address", "description", "sex", "skype", "facebook", "vk", "telegramId", "icq",
        "userPic", "birthdate", "havePlanfixAccess", "contractors", "customData",
    ]  # fmt: skip
    ids = [text(listed, path) for path in ("id", "userid", "general", "template/id")]
    assert ids == ["1001", "50001", "101", "1"]


def test_get_adds_what_the_list_does_not_show(planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)
    planfix.edit(contact_id, secondary_emails=("belova@example.org",), telegram="999999999999")

    full = caller.call("contact.get", contact(contact_id)).find("contact")

    assert full is not None
    assert text(full, "name") == "Анна Петровна"
    assert text(full, "midName") == "Петровна"
    assert text(full, "secondaryEmails/email") == "belova@example.org"
    assert text(full, "group/name") == "Клиенты"
    assert text(full, "telegram/id") == "999999999999"
    assert full.find("responsible/users") is not None
    assert {"facebook", "vk", "user", "telegramId"}.isdisjoint(str(node.tag) for node in full)


def test_the_date_of_change_comes_only_where_asked_for(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    contact_id = anna(planfix)
    fields = "<fields><field>lastUpdateDate</field><field>createdDate</field></fields>"

    assert caller.call("contact.getList").find(".//lastUpdateDate") is None
    assert text(caller.call("contact.getList", fields), ".//contact/lastUpdateDate")
    assert text(caller.call("contact.get", contact(contact_id) + fields), ".//lastUpdateDate")


def test_pages_cut_the_list_and_one_past_its_end_is_empty(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    planfix.populate(8)

    def page(number: int) -> str:
        return f"<pageCurrent>{number}</pageCurrent><pageSize>5</pageSize>"

    first = caller.call("contact.getList", page(1)).find("contacts")

    assert first is not None
    assert (first.get("totalCount"), first.get("count")) == ("8", "5")
    assert caller.ids(page(1)) + caller.ids(page(2)) == list(range(1001, 1009))
    past = caller.post("contact.getList", page(3)).text
    assert past.endswith('<contacts totalCount="8" count="0"/></response>')


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("<pageSize>101</pageSize>", "0021"),
        ("<pageSize>0</pageSize>", "0015"),
        ("<pageCurrent>first</pageCurrent>", "0015"),
        ("<target>4711</target>", "0015"),
        ("<sortType>1</sortType>", "0015"),
        ("<filters><filter><type>77</type><operator>equal</operator></filter></filters>", "0015"),
    ],
)
def test_the_list_refuses_what_it_does_not_know(content: str, code: str, caller: Caller) -> None:
    assert caller.code("contact.getList", content) == code


def test_a_target_takes_persons_companies_templates_or_a_filter(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    person = anna(planfix)
    company = planfix.add(name="ООО «Ромашка»", is_company=True)
    planfix.add_filter("4711", "Клиенты Юг")
    planfix.put_in(company, "4711")
    planfix.put_in(person, "4711")
    planfix.take_out(person, "4711")

    assert caller.ids() == [person]
    assert caller.ids("<target>contact</target>") == [person]
    assert caller.ids("<target>company</target>") == [company]
    assert caller.ids("<target>template</target>") == [901, 902]
    assert caller.ids("<target>4711</target>") == [company]


def search(kind: str, value: str) -> str:
    return (
        f"<filters><filter><type>{kind}</type><operator>equal</operator>"
        f"<value>{value}</value></filter></filters>"
    )


def test_addresses_are_searched_as_parts_of_text(planfix: SimulatedPlanfix, caller: Caller) -> None:
    first = planfix.add(name="A", email="anna@example.com")
    second = planfix.add(name="B", email="JOANNA@example.com")
    third = planfix.add(name="C", secondary_emails=("anna@example.org",))

    assert caller.ids(search("4005", "anna@example.com")) == [first, second]
    assert caller.ids(search("4221", "ANNA@")) == [third]
    assert caller.ids("<search>joan</search>") == [second]


def test_random_order_changes_from_call_to_call_and_shuffled_once_does_not() -> None:
    def orders(planfix: SimulatedPlanfix) -> list[list[int]]:
        planfix.populate(24)
        with planfix:
            caller = Caller(planfix)
            with caller.http:
                return [caller.ids() for _ in range(3)]

    once = orders(SimulatedPlanfix(page_order="shuffled-once"))
    always = orders(SimulatedPlanfix(page_order="random"))

    assert once[0] == once[1] == once[2] != sorted(once[0])
    assert always[0] != always[1]
    assert sorted(always[0]) == sorted(once[0])


def test_deleted_and_hidden_contacts_leave_the_list_with_codes_of_their_own(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    deleted, hidden, there = (planfix.add(name=name) for name in "ABC")
    planfix.delete(deleted)
    planfix.hide(hidden)

    assert caller.ids() == [there]
    assert caller.code("contact.get", contact(deleted)) == "8002"
    assert caller.code("contact.get", contact(hidden)) == "8001"
    assert caller.code("contact.get") == "0009"


def test_the_selectors_of_get_and_update_win_in_opposite_order(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    first, second = planfix.add(name="A"), planfix.add(name="B")
    other = planfix.contacts[second]
    both = f"<contact><id>{first}</id><general>{other.general}</general>"

    got = caller.call("contact.get", f"{both}</contact>")
    caller.call("contact.update", f"<silent>1</silent>{both}<post>Editor</post></contact>")

    assert text(got, "contact/id") == str(second)
    assert planfix.contacts[first].post == "Editor"
    assert text(
        caller.call("contact.get", f"<contact><userid>{other.userid}</userid></contact>"),
        "contact/id",
    ) == str(second)


def test_add_answers_the_three_numbers_of_the_new_contact(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    reply = caller.call(
        "contact.add",
        "<silent>1</silent><contact><template>1</template><name>Jānis</name>"
        "<lastName>Ozols</lastName><email>janis.ozols@example.org</email>"
        "<group><id>7</id></group></contact>",
    )

    assert [node.text for node in reply.iterfind("contact/*")] == ["1001", "50001", "101"]
    assert text(reply, "actionid") == ""
    added = planfix.contacts[1001]
    assert (added.name, added.last_name, added.group) == ("Jānis", "Ozols", 7)
    assert planfix.notified == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("<name>B</name><email>ANNA.BELOVA@example.com</email>", "8007"),
        ("<name>B</name><email>belova@example.org</email>", "8007"),
        ("<name>B</name><email>robot@example.com</email>", "8007"),
        ("<name>B</name><email>no address</email>", "8010"),
        ("<name/><email>b@example.com</email>", "8003"),
        ("<lastName>B</lastName>", "8003"),
        ("<name>B</name><midname>C</midname>", "0015"),
        ("<name>B</name><template>901</template>", "0015"),
        ("<name>B</name><sex>F</sex>", "0015"),
        ("<name>B</name><birthdate>1985-03-08</birthdate>", "0015"),
        ("<name>B</name><group><id>99</id></group>", "0015"),
    ],
)
def test_add_refuses(content: str, code: str, planfix: SimulatedPlanfix, caller: Caller) -> None:
    planfix.edit(anna(planfix), secondary_emails=("belova@example.org",))
    planfix.employee_addresses.add("robot@example.com")

    assert caller.code("contact.add", f"<contact>{content}</contact>") == code
    assert len(planfix.contacts) == 1


def test_update_writes_the_first_name_alone_blanks_the_empty_and_leaves_the_absent(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    contact_id = anna(planfix)
    planfix.edit(contact_id, post="Бухгалтер")

    reply = caller.call(
        "contact.update",
        "<silent>1</silent>" + contact(contact_id, "<name>Анна-Мария</name><post/>"),
    )

    assert [str(node.tag) for node in reply] == ["contact", "actionid"]
    assert [node.text for node in reply.iterfind("contact/*")] == ["1001", "101"]
    now = planfix.contacts[contact_id]
    assert now.read_name == "Анна-Мария Петровна"
    assert (now.last_name, now.post, now.email) == ("Белова", "", "anna.belova@example.com")


def test_update_takes_the_documented_lists_whole(planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)

    caller.call(
        "contact.update",
        contact(
            contact_id,
            "<phones><phone><number>+70000000001</number><typeId>1</typeId></phone></phones>"
            "<secondaryEmails><email>b@example.org</email></secondaryEmails>"
            "<responsible><users><id>9002</id></users><groups><id>4</id></groups></responsible>"
            "<telegram><id>12</id><username>anna</username></telegram>",
        ),
    )

    now = planfix.contacts[contact_id]
    assert now.phones == (("+70000000001", "1"),)
    assert now.secondary_emails == ("b@example.org",)
    assert (now.responsible_users, now.responsible_groups) == ((9002,), (4,))
    assert now.telegram == "12"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("<email>b@example.com</email>", "8007"),
        ("<email>nobody</email>", "8010"),
        ("<isCompany>1</isCompany>", "0015"),
        ("<name/><lastName/>", "8004"),
        ("<template><id>1</id></template>", "0015"),
    ],
)
def test_update_refuses(content: str, code: str, planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)
    planfix.add(name="B", email="b@example.com")
    before = planfix.contacts[contact_id]

    assert caller.code("contact.update", contact(contact_id, content)) == code
    assert planfix.contacts[contact_id] == before


def test_a_contact_may_keep_its_own_address(planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)

    caller.call("contact.update", contact(contact_id, "<email>Anna.Belova@example.com</email>"))

    assert planfix.contacts[contact_id].email == "Anna.Belova@example.com"


def test_an_address_is_free_again_after_its_owner_moved_or_went(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    mover, leaver = planfix.add(name="A", email="a@example.com"), planfix.add(name="B")
    planfix.edit(leaver, email="b@example.com")
    planfix.edit(mover, email="new@example.com")
    planfix.delete(leaver)

    for address in ("a@example.com", "b@example.com"):
        caller.call("contact.add", f"<contact><name>C</name><email>{address}</email></contact>")
    assert len(planfix.contacts) == 3


def test_custom_fields_are_written_by_id_and_read_back_with_their_names(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    contact_id = anna(planfix)
    value = "<customValue><id>10124</id><value>unsubscribed</value></customValue>"

    caller.call(
        "contact.updateCustomData",
        "<silent>1</silent>" + contact(contact_id, f"<customData>{value}</customData>"),
    )

    read = caller.call("contact.get", contact(contact_id)).find("contact/customData/customValue")
    assert read is not None
    assert text(read, "field/name") == "Согласие на рассылку"
    assert text(read, "value") == "unsubscribed"
    assert planfix.contacts[contact_id].custom == {10124: "unsubscribed"}


def test_custom_fields_that_are_unknown_or_in_the_shape_of_a_reply_are_refused(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    contact_id = anna(planfix)

    for field in ("<id>5</id>", "<field><id>10124</id></field>"):
        data = f"<customData><customValue>{field}<value>1</value></customValue></customData>"
        request = contact(contact_id, data)
        assert caller.code("contact.updateCustomData", request) == "0015"


def test_delete_answers_the_id_and_the_contact_is_gone(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    contact_id = anna(planfix)

    reply = caller.call("contact.delete", "<silent>1</silent>" + contact(contact_id))

    assert text(reply, "contact/id") == str(contact_id)
    assert contact_id not in planfix.contacts
    assert caller.code("contact.delete", contact(contact_id)) == "8002"


def test_writes_that_are_not_silent_are_listed(planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)

    loud = caller.call("contact.update", contact(contact_id, "<post>Editor</post>"))
    caller.call("contact.update", "<silent>1</silent>" + contact(contact_id, "<post>Clerk</post>"))

    assert planfix.notified == [("contact.update", contact_id)]
    assert text(loud, "actionid") == "70001"
    assert [request.silent for request in planfix.requests] == [False, True]


def test_silent_is_taken_by_every_function(caller: Caller) -> None:
    for method in ("user.get", "contact.getList", "contact.getGroupList", "contact.getFilterList"):
        caller.call(method, "<silent>1</silent>")


def test_access_is_granted_with_a_letter_and_withdrawn(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    contact_id = anna(planfix)

    def manage(access: str) -> str:
        request = contact(contact_id, f"<havePlanfixAccess>{access}</havePlanfixAccess>")
        return text(
            caller.call("contact.managePlanfixAccess", "<silent>1</silent>" + request),
            "contact/status",
        )

    statuses = [manage("1"), manage("1"), manage("0")]
    assert statuses == ["NOTICE_SEND", "NOTICE_RESEND", "ACCESS_CANCELED"]
    assert len(planfix.notified) == 2


def test_login_data_need_access_first(planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)
    request = contact(contact_id, "<user><status>UNACTIVE</status></user>")

    assert caller.code("contact.updateUserInfo", request) == "8005"
    planfix.edit(contact_id, has_access=True)
    reply = caller.call("contact.updateUserInfo", request)

    assert text(reply, "contact/id") == str(contact_id)


def test_contractors_are_added_and_removed(planfix: SimulatedPlanfix, caller: Caller) -> None:
    contact_id = anna(planfix)
    company = planfix.add(name="ООО «Ромашка»", is_company=True)

    def change(verb: str, company_id: int) -> str:
        change = f"<{verb}><id>{company_id}</id></{verb}>"
        return contact(contact_id, f"<contractors>{change}</contractors>")

    caller.call("contact.updateContractors", change("addClient", company))
    read = caller.call("contact.getList").find(".//contractors/client")
    assert read is not None
    assert (text(read, "id"), text(read, "name")) == (str(company), "ООО «Ромашка»")
    planfix.edit(company, name="АО «Пример»")
    assert text(caller.call("contact.getList"), ".//client/name") == "АО «Пример»"
    caller.call("contact.updateContractors", change("delClient", company))
    assert planfix.contacts[contact_id].companies == ()
    assert caller.code("contact.updateContractors", change("addClient", contact_id)) == "7002"


def test_the_lists_for_the_settings(planfix: SimulatedPlanfix, caller: Caller) -> None:
    planfix.add_filter("4711", "Клиенты Юг")

    groups = caller.call("contact.getGroupList").find("contactGroups")
    filters = caller.call("contact.getFilterList").find("contactFilterList")
    types = caller.call("contact.getPhoneTypes").find("phoneTypes")

    assert groups is not None
    assert (groups.get("totalCount"), groups.get("count")) == ("3", "3")
    assert [node.text for node in groups.iterfind("group/name")][-1] == "Press & media"
    assert filters is not None
    assert [node.text for node in filters.iterfind("contactFilter/ID")] == [
        ":contact", ":company", "4711",
    ]  # fmt: skip
    assert types is not None
    assert [node.text for node in types.iterfind("phoneType/id")] == ["1", "2", "3", "4"]


def test_user_get_tells_who_the_robot_is(planfix: SimulatedPlanfix, caller: Caller) -> None:
    planfix.role = "USER"

    user = caller.call("user.get").find("user")

    assert user is not None
    found = [text(user, path) for path in ("id", "role", "status", "timezone")]
    assert found == ["9001", "USER", "ACTIVE", "Europe/Moscow"]
    assert caller.code("user.get", "<user><id>1</id></user>") == "6004"


def test_invented_people_are_the_same_for_the_same_seed_and_some_have_no_address() -> None:
    first, again, other = SimulatedPlanfix(), SimulatedPlanfix(), SimulatedPlanfix()
    for planfix, seed in ((first, 1), (again, 1), (other, 2)):
        planfix.populate(2000, seed=seed)

    people = list(first.contacts.values())
    addresses = [person.email for person in people if person.email]

    def told(planfix: SimulatedPlanfix) -> list[tuple[str, str, str]]:
        return [(one.read_name, one.last_name, one.email) for one in planfix.contacts.values()]

    assert told(first) == told(again) != told(other)
    assert len(set(addresses)) == len(addresses)
    assert 0.01 < 1 - len(addresses) / len(people) < 0.05
    assert sum(person.is_company for person in people) == 80


def test_invented_people_share_addresses_only_where_asked_to() -> None:
    planfix = SimulatedPlanfix()
    planfix.populate(2000, shared=True)

    addresses = [person.email for person in planfix.contacts.values() if person.email]

    assert 0 < len(addresses) - len(set(addresses)) < 60


def test_a_filter_that_a_person_removed_is_refused(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    planfix.add_filter("4711", "Клиенты Юг", members=[anna(planfix)])
    assert caller.ids("<target>4711</target>") == [1001]

    del planfix.filters["4711"]

    assert caller.code("contact.getList", "<target>4711</target>") == "0015"
