import gzip
import threading

import httpx
import pytest
from lxml import etree

from syncd.simulator.faults import Faults
from syncd.simulator.planfix import SimulatedPlanfix
from tests.simulator.conftest import Caller

PAGE = "<pageCurrent>{}</pageCurrent><pageSize>5</pageSize>"


def totals(caller: Caller) -> list[tuple[str | None, str | None]]:
    pages = [caller.call("contact.getList", PAGE.format(n)).find("contacts") for n in (1, 2)]
    return [(page.get("totalCount"), page.get("count")) for page in pages if page is not None]


def ids(caller: Caller) -> list[list[int]]:
    return [caller.ids(PAGE.format(number)) for number in (1, 2)]


@pytest.fixture
def faults(planfix: SimulatedPlanfix) -> Faults:
    planfix.populate(10)
    return planfix.faults


def test_a_fault_acts_as_often_as_it_was_told_to(faults: Faults, caller: Caller) -> None:
    faults.error_code("0011", "Site is being updated", times=2)

    assert [caller.code("user.get") for _ in range(2)] == ["0011", "0011"]
    caller.call("user.get")


def test_a_fault_acts_until_it_is_switched_off(faults: Faults, caller: Caller) -> None:
    faults.error_code("0011")
    faults.error_code("0007", method="contact.add")

    assert [caller.code("user.get") for _ in range(3)] == ["0011"] * 3
    faults.off("error_code")
    caller.call("user.get")
    faults.error_code("0010")
    faults.clear()
    caller.call("user.get")


def test_a_fault_acts_in_its_function_and_on_its_page_only(faults: Faults, caller: Caller) -> None:
    faults.error_code("0020", method="user.get")
    faults.error_code("0011", method="contact.getList", page=2)

    assert caller.code("user.get") == "0020"
    caller.call("contact.getList", PAGE.format(1))
    assert caller.code("contact.getList", PAGE.format(2)) == "0011"


def test_faults_that_answer_make_a_sequence(faults: Faults, caller: Caller) -> None:
    faults.error_code("0011", times=1)
    faults.http_status(429, retry_after=30, times=1)

    assert caller.code("user.get") == "0011"
    assert caller.post("user.get").headers["Retry-After"] == "30"
    caller.call("user.get")


def test_an_error_may_have_a_message(faults: Faults, caller: Caller) -> None:
    faults.error_code("9999", "Unexpected <condition>")

    reply = etree.fromstring(caller.post("user.get").content)

    assert reply.findtext("message") == "Unexpected <condition>"


def test_http_faults(faults: Faults, caller: Caller) -> None:
    faults.http_status(503, times=1)
    faults.html_page(times=1)
    faults.redirect(times=1)

    unavailable, page, moved = (caller.post("user.get") for _ in range(3))

    assert (unavailable.status_code, page.status_code, moved.status_code) == (503, 502, 301)
    assert "<html>" in page.text
    assert moved.headers["Location"] == "/moved/xml/"


def test_contacts_come_and_go_between_two_pages(
    planfix: SimulatedPlanfix, faults: Faults, caller: Caller
) -> None:
    faults.shift(lambda: planfix.delete(1001))

    first, second = ids(caller)

    assert first == [1001, 1002, 1003, 1004, 1005]
    assert second == [1007, 1008, 1009, 1010]
    assert ids(caller)[0] == [1002, 1003, 1004, 1005, 1006]


def test_the_page_may_lie(faults: Faults, caller: Caller) -> None:
    faults.wrong_total(page=2)
    assert totals(caller) == [("10", "5"), ("11", "5")]
    faults.clear()
    faults.wrong_count(page=1)
    assert totals(caller) == [("10", "6"), ("10", "5")]
    faults.clear()
    faults.short_page(page=1)
    assert totals(caller) == [("10", "4"), ("10", "5")]
    assert ids(caller)[0] == [1001, 1002, 1003, 1004]
    faults.clear()
    faults.duplicate(page=2)
    assert ids(caller) == [[1001, 1002, 1003, 1004, 1005], [1005, 1007, 1008, 1009, 1010]]


def test_control_characters_can_be_dropped_and_then_it_is_xml(
    planfix: SimulatedPlanfix, faults: Faults, caller: Caller
) -> None:
    nameless = planfix.add(last_name="Nameless")
    for contact_id in (1002, nameless):
        faults.control_characters(contact_id)

        body = caller.post("contact.get", f"<contact><id>{contact_id}</id></contact>").content

        with pytest.raises(etree.XMLSyntaxError):
            etree.fromstring(body)
        reply = etree.fromstring(body.replace(b"\x0b", b"").replace(b"&#x1F;", b""))
        assert (reply.findtext("contact/name") or "") == planfix.contacts[contact_id].read_name


def test_an_unparsable_contact_spoils_each_page_it_stands_on(
    faults: Faults, caller: Caller
) -> None:
    faults.unparsable_contact(1002)

    for content in (PAGE.format(1), "<pageCurrent>2</pageCurrent><pageSize>1</pageSize>"):
        body = caller.post("contact.getList", content).content
        with pytest.raises(etree.XMLSyntaxError):
            etree.fromstring(body)
    caller.call("contact.getList", PAGE.format(2))
    faults.off("unparsable_contact")
    caller.call("contact.getList", PAGE.format(1))


@pytest.mark.parametrize("name", ["broken_xml", "truncated", "empty_body"])
def test_damaged_replies_are_no_xml(name: str, faults: Faults, caller: Caller) -> None:
    getattr(faults, name)(times=1)

    reply = caller.post("user.get")

    assert reply.status_code == 200
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(reply.content)
    caller.call("user.get")


def test_strange_replies_are_xml_all_the_same(faults: Faults, caller: Caller) -> None:
    faults.doctype(times=1)
    assert "<!DOCTYPE" in caller.post("user.get").text
    faults.wrong_root(times=1)
    assert etree.fromstring(caller.post("user.get").content).tag == "answer"
    faults.status_other(times=1)
    assert etree.fromstring(caller.post("user.get").content).get("status") == "partial"


def test_a_body_may_end_before_its_declared_length(faults: Faults, caller: Caller) -> None:
    faults.cut_connection(times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("user.get")
    caller.call("user.get")


def test_the_answer_may_get_lost_after_the_work(
    planfix: SimulatedPlanfix, faults: Faults, caller: Caller
) -> None:
    faults.drop_after_work(method="contact.delete", times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("contact.delete", "<silent>1</silent><contact><id>1001</id></contact>")

    assert 1001 not in planfix.contacts


def test_connections_may_be_refused(planfix: SimulatedPlanfix, faults: Faults) -> None:
    faults.refuse_connections(times=1)
    caller = Caller(planfix)

    with caller.http:
        with pytest.raises(httpx.TransportError):
            caller.post("user.get")
        caller.call("user.get")


def test_open_connections_are_closed_too(
    planfix: SimulatedPlanfix, faults: Faults, caller: Caller
) -> None:
    caller.call("user.get")
    faults.refuse_connections(times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("user.get")

    assert planfix.calls("user.get") == 1


def test_a_call_stalls_until_it_is_let_go(faults: Faults, caller: Caller) -> None:
    go = threading.Event()
    reached = faults.stall(go, times=1)
    codes: list[int] = []

    def call() -> None:
        codes.append(caller.post("user.get").status_code)

    thread = threading.Thread(target=call)
    thread.start()
    assert reached.wait(10)
    assert codes == []
    go.set()
    thread.join(10)

    assert codes == [200]


def test_a_stalled_call_times_out_and_its_work_is_done(
    planfix: SimulatedPlanfix, faults: Faults, caller: Caller
) -> None:
    faults.stall(60.0)
    caller.http.timeout = httpx.Timeout(0.2)

    with pytest.raises(httpx.ReadTimeout):
        caller.post("contact.delete", "<silent>1</silent><contact><id>1001</id></contact>")

    assert 1001 not in planfix.contacts


def test_a_slow_body_comes_whole(faults: Faults, caller: Caller) -> None:
    faults.slow_body(pause_s=0.001)

    assert caller.call("user.get").findtext("user/id") == "9001"


def test_the_quota_runs_out(faults: Faults, caller: Caller) -> None:
    faults.quota(2)

    replies = [caller.post("user.get") for _ in range(3)]

    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["1", "0", "0"]
    assert caller.code("user.get") == "0007"
    faults.clear()
    assert "X-RateLimit-Remaining" not in caller.post("user.get").headers


def test_a_second_call_within_a_second_may_be_refused(faults: Faults, caller: Caller) -> None:
    faults.too_many_per_second()

    caller.call("user.get")

    assert caller.code("user.get") == "0007"


def test_replies_are_compressed_where_the_client_takes_that(
    planfix: SimulatedPlanfix, faults: Faults, caller: Caller
) -> None:
    faults.gzip()
    auth = (planfix.api_key, planfix.token)
    body = b'<request method="user.get"><account>acme</account></request>'

    with caller.http.stream("POST", planfix.url, content=body, auth=auth) as reply:
        packed = b"".join(reply.iter_raw())
    plain = caller.http.post(
        planfix.url, content=body, auth=auth, headers={"Accept-Encoding": "identity"}
    )

    assert gzip.decompress(packed) == plain.content
