import http.client
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from lxml import etree

from syncd.simulator.planfix import SimulatedPlanfix
from tests.simulator.conftest import Caller

USER_GET = b'<request method="user.get"><account>acme</account></request>'


def code(reply: httpx.Response) -> str:
    assert reply.status_code == 200
    return etree.fromstring(reply.content).findtext("code") or "ok"


class Watch:
    def __init__(self) -> None:
        self.time = datetime(2025, 2, 14, 6, 41, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def watch(planfix: SimulatedPlanfix) -> Watch:
    planfix.now = watch = Watch()
    return watch


def test_key_token_and_account_are_checked(planfix: SimulatedPlanfix, caller: Caller) -> None:
    other_account = USER_GET.replace(b"acme", b"other")

    assert code(caller.send(USER_GET)) == "ok"
    assert code(caller.send(USER_GET, key="f" * 32)) == "0001"
    assert code(caller.send(USER_GET, token="f" * 32)) == "0005"
    assert code(caller.send(other_account)) == "0004"
    assert code(caller.http.post(planfix.url, content=USER_GET)) == "0001"


def test_what_a_wrong_token_gets_can_be_chosen(planfix: SimulatedPlanfix, caller: Caller) -> None:
    planfix.token_code = "0013"

    assert caller.code("user.get", token="f" * 32) == "0013"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no XML",
        b"<request",
        b"\xef\xbb\xbf" + USER_GET,
        USER_GET.decode().encode("utf-16"),
        b"<!DOCTYPE request>" + USER_GET,
        USER_GET.replace(b"request", b"query"),
        USER_GET.replace(b"acme", b"ac\x0bme"),
        USER_GET.replace(b"acme", b"\xe9"),
    ],
)
def test_only_a_request_in_utf8_is_taken(body: bytes, caller: Caller) -> None:
    assert code(caller.send(body)) == "0003"


def test_only_a_post_of_xml_is_taken(planfix: SimulatedPlanfix, caller: Caller) -> None:
    auth = (planfix.api_key, planfix.token)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert code(caller.http.get(planfix.url, auth=auth)) == "0003"
    assert code(caller.http.post(planfix.url, content=USER_GET, auth=auth, headers=form)) == "0003"


def test_the_address_without_its_slash_is_redirected(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    assert caller.http.post(planfix.url.rstrip("/")).status_code == 301
    assert caller.http.post(planfix.url + "more").status_code == 404


@pytest.mark.parametrize(
    ("method", "content", "expected"),
    [
        ("contact.find", "", "0008"),
        ("user.get", "<page>1</page>", "0015"),
        ("contact.get", "", "0009"),
        ("contact.add", "", "0009"),
        ("contact.updateCustomData", "<contact><id>1</id></contact>", "0009"),
        ("contact.getGroupList", "<pageSize>1</pageSize>", "0015"),
    ],
)
def test_functions_and_parameters_must_be_known_and_complete(
    method: str, content: str, expected: str, caller: Caller
) -> None:
    assert caller.code(method, content) == expected


def log_in(caller: Caller, password: str) -> httpx.Response:
    content = f"<login>{caller.planfix.login}</login><password>{password}</password>"
    return caller.post("auth.login", content, token="")


def test_a_session_lasts_an_hour(planfix: SimulatedPlanfix, caller: Caller, watch: Watch) -> None:
    sid = etree.fromstring(log_in(caller, planfix.password).content).findtext("sid") or ""
    with_sid = f"<sid>{sid}</sid>"

    assert len(sid) == 32
    assert code(caller.post("user.get", with_sid, token="")) == "ok"
    assert planfix.requests[-1].sid == sid
    watch.time += timedelta(minutes=60)
    assert code(caller.post("user.get", with_sid, token="")) == "0005"


def test_a_login_that_is_wrong_and_a_sid_that_is_missing_have_their_codes(caller: Caller) -> None:
    assert code(log_in(caller, "wrong")) == "1001"
    assert caller.code("user.get", token="") == "0012"
    assert caller.code("user.get", "<sid>unknown</sid>", token="") == "0005"


def test_sessions_can_be_ended_early(planfix: SimulatedPlanfix, caller: Caller) -> None:
    sid = etree.fromstring(log_in(caller, planfix.password).content).findtext("sid")

    planfix.faults.expire_sessions()

    assert caller.code("user.get", f"<sid>{sid}</sid>", token="") == "0005"


def test_signatures_are_those_of_the_documentation() -> None:
    login = (
        b'<request method="auth.login"><account>acc</account><login>login</login>'
        b"<password>passw</password><signature>%b</signature></request>"
    )
    planfix = SimulatedPlanfix(account="acc", login="login", password="passw", signature_key="K3Y")

    with planfix:
        caller = Caller(planfix)
        with caller.http:
            good = caller.send(login % b"600d440ffa88b119831e19e6daa8a413", token="")
            bad = caller.send(login % b"700d440ffa88b119831e19e6daa8a413", token="")

    assert (code(good), code(bad)) == ("ok", "0006")


def test_nested_values_are_signed_in_the_documented_order() -> None:
    request = (
        '<request method="contact.update"><account>acme</account>'
        "<sid>0123456789abcdef0123456789abcdef</sid><silent>1</silent><contact><id>1001</id>"
        "<name>Анна</name><lastName>Белова</lastName><email>anna@example.com</email>"
        "<phones><phone><number>+70000000001</number><typeId>1</typeId></phone>"
        "<phone><number>+70000000002</number><typeId>2</typeId></phone></phones></contact>"
        "<signature>6b813c46c5edc588ecdc65a81014a228</signature></request>"
    )

    with SimulatedPlanfix(signature_key="K3Y") as planfix:
        planfix.add(name="Anna")
        caller = Caller(planfix)
        with caller.http:
            assert code(caller.send(request.encode())) == "ok"


def test_requests_are_kept_with_their_parameters(
    planfix: SimulatedPlanfix, caller: Caller, watch: Watch
) -> None:
    caller.call("contact.getList", "<pageSize>5</pageSize><fields><field>name</field></fields>")

    (request,) = planfix.requests

    assert request.method == "contact.getList"
    assert request.parameters == {"pageSize": "5", "fields": {"field": "name"}}
    assert request.text("pageSize") == "5"
    assert request.at == watch.time
    assert planfix.calls("contact.getList") == 1


def test_calls_are_counted_even_where_they_are_not_kept(
    planfix: SimulatedPlanfix, caller: Caller
) -> None:
    planfix.log_requests = False

    caller.call("user.get")

    assert planfix.requests == []
    assert planfix.calls("user.get") == 1


def test_one_connection_serves_many_calls(planfix: SimulatedPlanfix) -> None:
    connection = http.client.HTTPConnection(planfix.url.split("/")[2])
    headers = {"Content-Type": "application/xml"}

    for _ in range(3):
        connection.request("POST", "/xml/", USER_GET, headers)
        connection.getresponse().read()
        kept = connection.sock
        assert kept is not None
    connection.close()


def test_the_time_of_a_change_is_told_in_the_robots_time_zone(
    planfix: SimulatedPlanfix, watch: Watch
) -> None:
    planfix.edit(planfix.add(name="Anna"), post="Editor")
    watch.time += timedelta(minutes=1)
    planfix.add(name="Zoë")

    updates = [contact.last_update for contact in planfix.contacts.values()]
    assert updates == ["14-02-2025 09:41", "14-02-2025 09:42"]
