"""Mailman: the suite against a real one, then its own traps."""

from collections.abc import Callable, Iterator
from contextlib import closing
from math import ceil
from typing import Any, ClassVar

import pytest

from syncd.backends import BACKENDS, Backend, Retry
from syncd.backends.mailman3 import Mailman3
from syncd.core.address import AddressKey, key_of
from syncd.core.people import MemberStatus
from syncd.core.plan import ItemResult, Result
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    SyncdError,
    TemporaryError,
)
from syncd.ports import ListId
from tests.backends.conformance import (
    BackendConformance,
    Held,
    OneText,
    Trouble,
    World,
    entry,
    results_of,
)
from tests.fakes.email_service import Fault
from tests.fakes.mailman import API, DOMAIN, USER, MailmanServer
from tests.fakes.proxy import Proxy

NEWS = f"news.{DOMAIN}"
OLD = "old@example.com"
NEW = "new@example.com"
PATIENT = Retry(attempts=3, wait_s=0.001, max_wait_s=0.002, timeout_s=30)
ONCE = Retry(attempts=1, wait_s=0.001, max_wait_s=0.002, timeout_s=30)

WRITES = r"POST (?!/members/find)|PUT|PATCH|DELETE"
FIND = "POST /members/find"
ADD = "POST /members$"


class MailmanWorld:
    """The server, as the suite looks at it: past the proxy."""

    troubles = frozenset(Trouble)
    bad_address = "who|what@example.com"

    def __init__(self, mailman: MailmanServer, proxy: Proxy) -> None:
        self._mailman = mailman
        self._proxy = proxy

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        bounced = {row["email"] for row in found(self._mailman, list_id, "by_bounces")}
        return {
            key_of(row["email"]): OneText.of(
                row.get("display_name", ""), "blocked" if row["email"] in bounced else "active"
            )
            for row in found(self._mailman, list_id)
        }

    def leave(self, list_id: ListId, address: str) -> None:
        leave(self._mailman, list_id, address)

    def block(self, list_id: ListId, address: str) -> None:
        bounce(self._mailman, list_id, address)

    def fail(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.LOST_ANSWER:
                self._proxy.fail(Fault.DROP_DONE, only=WRITES)
            case Trouble.BUSY:
                self._proxy.fail(Fault.UNAVAILABLE, times=None)
            case Trouble.ELSEWHERE:
                self._proxy.fail(Fault.PAGE, times=None)
            case Trouble.WRONG_KEY:
                refusal = {"title": "401 Unauthorized", "description": "authorization failed"}
                self._proxy.say(401, refusal, only="")

    def recover(self) -> None:
        self._proxy.recover()


def found(mailman: MailmanServer, list_id: ListId, status: str = "") -> list[dict[str, Any]]:
    """Return the members of a list as Mailman shows them, all or those of one standing."""
    query = {"list_id": list_id, "role": "member"} | ({"delivery_status": status} if status else {})
    return list(mailman.ask("POST", "/members/find", query).get("entries", []))


def one(mailman: MailmanServer, list_id: ListId, address: str) -> dict[str, Any]:
    """Return one member as Mailman shows them."""
    [row] = [row for row in found(mailman, list_id) if row["email"] == address.lower()]
    return row


def names(mailman: MailmanServer, list_id: ListId) -> dict[str, str]:
    """Return the names on a list, by address."""
    return {row["email"]: row.get("display_name", "") for row in found(mailman, list_id)}


def join(mailman: MailmanServer, list_id: ListId, address: str, name: str = "") -> None:
    """Put somebody on a list by hand, as its owner would."""
    fields = {"list_id": list_id, "subscriber": address, "display_name": name, **QUIET}
    mailman.ask("POST", "/members", fields)


def leave(mailman: MailmanServer, list_id: ListId, address: str) -> None:
    """Let a member leave."""
    mailman.ask("DELETE", f"/lists/{list_id}/roster/member", {"emails": [address.lower()]})


def bounce(mailman: MailmanServer, list_id: ListId, address: str) -> None:
    """Let Mailman stop delivery since letters came back."""
    member = one(mailman, list_id, address)["member_id"]
    stopped = {"delivery_status": "by_bounces"}
    mailman.ask("PATCH", f"/members/{member}/preferences", stopped)


QUIET = {
    "pre_verified": True,
    "pre_confirmed": True,
    "pre_approved": True,
    "send_welcome_message": False,
}


@pytest.fixture
def proxy(mailman: MailmanServer) -> Iterator[Proxy]:
    with Proxy(mailman.port, API) as proxy:
        yield proxy


Connect = Callable[[Retry], Mailman3]


@pytest.fixture
def connect(mailman: MailmanServer, proxy: Proxy) -> Iterator[Connect]:
    opened: list[Mailman3] = []

    def connect(retry: Retry) -> Mailman3:
        opened.append(Mailman3(options_of(mailman, proxy), retry))
        return opened[-1]

    yield connect
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Connect) -> Mailman3:
    return connect(PATIENT)


@pytest.fixture
def list_id(backend: Backend, proxy: Proxy) -> ListId:
    made = backend.ensure_list("News")
    proxy.requests.clear()
    return made


class TestMailman3(BackendConformance):
    page = 12  # a list comes in one answer, however long
    # An empty name is told by test_an_empty_name_leaves_the_one_there_is.
    spoken_names: ClassVar = [names for names in BackendConformance.spoken_names if any(names)]

    @pytest.fixture
    def world(self, mailman: MailmanServer, proxy: Proxy) -> World:
        return MailmanWorld(mailman, proxy)


def options_of(mailman: MailmanServer, proxy: Proxy, **other: str) -> Mailman3.Options:
    keys = {"url": proxy.root, "user": USER, "password": mailman.password, "domain": DOMAIN}
    return Mailman3.Options(**{**keys, **other})


def test_it_stands_in_the_table() -> None:
    assert BACKENDS["mailman3"] is Mailman3


def test_options_do_not_show_the_password() -> None:
    url, user = "https://lists.example.com", "restadmin"
    options = Mailman3.Options(url=url, user=user, password="s3cret", domain=DOMAIN)

    assert "s3cret" not in repr(options)


@pytest.mark.parametrize("path", ["", "/", "/3.1", "/3.1/"])
def test_check_tells_version_and_lists(mailman: MailmanServer, proxy: Proxy, path: str) -> None:
    options = options_of(mailman, proxy, url=f"{proxy.root}{path}")

    with closing(Mailman3(options, ONCE)) as backend:
        nothing = backend.check()
        backend.ensure_list("News")
        line = backend.check()

    assert nothing == "127.0.0.1 is GNU Mailman 3.3.10 with 0 lists at lists.example.com"
    assert line == "127.0.0.1 is GNU Mailman 3.3.10 with 1 list at lists.example.com"


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        ({"password": "wrong"}, AuthenticationError, "credentials"),
        ({"domain": "other.example.com"}, ConfigurationError, "no domain other.example.com"),
    ],
    ids=["password", "domain"],
)
def test_a_wrong_set_up_is_told(
    mailman: MailmanServer,
    proxy: Proxy,
    other: dict[str, str],
    error: type[SyncdError],
    words: str,
) -> None:
    with closing(Mailman3(options_of(mailman, proxy, **other), ONCE)) as backend:
        with pytest.raises(error, match=words):
            backend.check()
        with pytest.raises(error, match=words):
            backend.ensure_list("News")

    assert mailman.ask("GET", "/lists")["total_size"] == 0


CALLS: dict[str, Callable[[Mailman3], object]] = {
    "check": lambda backend: backend.check(),
    "find": lambda backend: backend.find_list("News"),
    "ensure": lambda backend: backend.ensure_list("News"),
    "delete": lambda backend: backend.delete_list(NEWS),
    "read": lambda backend: list(backend.read(NEWS)),
    "upsert": lambda backend: backend.upsert(NEWS, [entry(1)], known=False),
    "update": lambda backend: backend.upsert(NEWS, [entry(1)], known=True),
    "rename": lambda backend: backend.rename(NEWS, "a@example.com", entry(1)),
    "remove": lambda backend: backend.remove(NEWS, [entry(1)]),
}


@pytest.mark.parametrize("call", CALLS)
def test_elsewhere_on_the_server_nothing_is_taken_for_an_answer(
    mailman: MailmanServer, proxy: Proxy, call: str
) -> None:
    options = options_of(mailman, proxy, url=f"{proxy.root}/lists")

    with closing(Mailman3(options, ONCE)) as backend, pytest.raises(ConfigurationError) as caught:
        CALLS[call](backend)

    assert "not Mailman's" in str(caught.value)
    assert [request.method for request in proxy.requests] == ["GET"]


@pytest.mark.parametrize("domain", ["", "lists", "a@lists.example.com", "lists.example.com/x"])
def test_a_domain_that_is_none_is_refused(
    mailman: MailmanServer, proxy: Proxy, domain: str
) -> None:
    with pytest.raises(ConfigurationError, match="domain"):
        Mailman3(options_of(mailman, proxy, domain=domain), ONCE)


def test_a_domain_may_be_in_any_script(mailman: MailmanServer, proxy: Proxy) -> None:
    mailman.ask("POST", "/domains", {"mail_host": "xn--h1aafsjc.xn--p1ai"})

    with closing(Mailman3(options_of(mailman, proxy, domain="Списки.рф"), ONCE)) as backend:
        made = backend.ensure_list("News")

    assert made == "news.xn--h1aafsjc.xn--p1ai"


# Lists.


def test_a_list_is_made_that_greets_nobody_and_is_not_advertised(
    backend: Backend, mailman: MailmanServer
) -> None:
    made = backend.ensure_list("Новости — Юг")

    config = mailman.ask("GET", f"/lists/{made}/config")
    assert made == f"novosti-yug.{DOMAIN}"
    assert config["display_name"] == "Новости — Юг"
    switches = ("advertised", "send_welcome_message", "send_goodbye_message")
    assert [config[switch] for switch in switches] == [False, False, False]
    assert config["allow_list_posts"] is False  # of the style for announcements


@pytest.mark.parametrize("name", ["news", "News", "NEWS"])
def test_a_list_made_by_hand_is_found_by_its_address(
    backend: Backend, mailman: MailmanServer, name: str
) -> None:
    mailman.ask("POST", "/lists", {"fqdn_listname": f"news@{DOMAIN}"})
    mailman.ask("PATCH", f"/lists/{NEWS}/config", {"display_name": "Our letters"})

    assert backend.ensure_list(name) == NEWS
    assert mailman.ask("GET", f"/lists/{NEWS}")["display_name"] == "Our letters"


def test_a_list_made_by_hand_stays_as_it_is(backend: Backend, mailman: MailmanServer) -> None:
    mailman.ask("POST", "/lists", {"fqdn_listname": f"news@{DOMAIN}"})
    before = mailman.ask("GET", f"/lists/{NEWS}/config")

    backend.ensure_list("news")

    assert mailman.ask("GET", f"/lists/{NEWS}/config") == before


def test_a_list_of_another_name_is_not_taken(backend: Backend, mailman: MailmanServer) -> None:
    mailman.ask("POST", "/lists", {"fqdn_listname": f"novosti@{DOMAIN}"})
    join(mailman, f"novosti.{DOMAIN}", "a@example.com")

    with pytest.raises(ConfigurationError, match=f"novosti.{DOMAIN} of another name") as caught:
        backend.ensure_list("Новости")

    assert "list_id" in caught.value.hint


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DROP_DONE, Fault.UNAVAILABLE])
@pytest.mark.parametrize("call", ["POST", "PATCH"])
def test_a_list_that_was_half_made_is_finished(
    connect: Connect, mailman: MailmanServer, proxy: Proxy, call: str, fault: Fault
) -> None:
    proxy.fail(fault, times=None, only=call)
    with pytest.raises(TemporaryError):
        connect(ONCE).ensure_list("Новости")
    proxy.recover()

    made = connect(ONCE).ensure_list("Новости")

    [found] = mailman.ask("GET", "/lists")["entries"]
    assert (found["list_id"], found["display_name"]) == (made, "Новости")


@pytest.mark.parametrize("wrong", ["", "news", f"news@{DOMAIN}", "a/b.c", 77])
def test_an_id_that_is_no_lists_is_refused(backend: Backend, wrong: ListId) -> None:
    backend.ensure_list("News")

    for known in (False, True):
        with pytest.raises(ConfigurationError, match="has no list"):
            backend.upsert(wrong, [entry(1)], known=known)
    with pytest.raises(ConfigurationError, match="has no list"):
        backend.remove(wrong, [entry(1)])


@pytest.mark.parametrize("call", ["update", "rename", "remove"])
def test_a_list_that_is_gone_is_a_matter_of_the_config(backend: Mailman3, call: str) -> None:
    with pytest.raises(ConfigurationError, match="has no list"):
        CALLS[call](backend)


# Requests: the table in docs/backends.md.


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("change", ["add", "add nameless", "add known", "name", "nothing"])
def test_the_number_of_requests_is_as_documented(
    backend: Backend, proxy: Proxy, list_id: ListId, change: str, count: int
) -> None:
    first, last = ("", "") if change == "add nameless" else ("Анна", "Белова")
    entries = [entry(number, first=first, last=last) for number in range(count)]
    if not change.startswith("add") or change == "add known":
        backend.upsert(list_id, entries, known=False)
    if change == "name":
        entries = [entry(number, first="X") for number in range(count)]
    proxy.requests.clear()

    backend.upsert(list_id, entries, known=not change.startswith("add"))

    each = {"add": 2, "add nameless": 1, "add known": 3, "name": 3, "nothing": 2}[change]
    assert len(proxy.requests) == each * count


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201])
@pytest.mark.parametrize("leaving", ["remove", "unsubscribe"])
def test_many_leave_in_one_request(
    backend: Backend, proxy: Proxy, list_id: ListId, leaving: str, count: int
) -> None:
    backend.upsert(list_id, [entry(0)], known=False)
    proxy.requests.clear()
    entries = [entry(number) for number in range(count)]

    results = (backend.remove if leaving == "remove" else backend.unsubscribe)(list_id, entries)

    assert results_of(results) == [Result.DONE, *[Result.ABSENT] * 200][:count]
    assert len(proxy.requests) == ceil(count / 200)


@pytest.mark.parametrize("before", ["new", "had before", "known"])
def test_a_rename_costs_as_many_requests_as_documented(
    backend: Backend, mailman: MailmanServer, proxy: Proxy, list_id: ListId, before: str
) -> None:
    old, moved = "old@example.com", entry(1, "new@example.com")
    backend.upsert(list_id, [entry(1, old)], known=False)
    if before == "had before":
        backend.rename(list_id, old, moved)
        backend.rename(list_id, "new@example.com", entry(1, old))
    if before == "known":
        join(mailman, list_id, "new@example.com", "Somebody")
        leave(mailman, list_id, "new@example.com")
    proxy.requests.clear()

    backend.rename(list_id, old, moved)

    assert len(proxy.requests) == {"new": 8, "had before": 7, "known": 11}[before]


@pytest.mark.parametrize("count", [0, 1, 20])
def test_a_read_is_two_requests(
    backend: Backend, proxy: Proxy, list_id: ListId, count: int
) -> None:
    backend.upsert(list_id, [entry(number) for number in range(count)], known=False)
    proxy.requests.clear()

    assert len(list(backend.read(list_id))) == count

    assert len(proxy.requests) == 2


def test_the_version_is_asked_for_once(backend: Backend, proxy: Proxy) -> None:
    backend.check()
    backend.upsert(backend.ensure_list("News"), [entry(1)], known=False)

    assert proxy.actions.count("GET /system/versions") == 1


# Nobody is put back, and nobody hears of it.


def test_a_known_member_who_left_is_left_alone(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=False)
    leave(mailman, list_id, entry(1).person.address)

    results = backend.upsert(
        list_id, [entry(1, first="X"), entry(2, first="X")], known=True, again=True
    )

    assert results_of(results) == [Result.ABSENT, Result.DONE]
    assert names(mailman, list_id) == {"person0002@example.com": "X Белова"}


def test_a_person_puts_back_whom_a_person_asks_to(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    leave(mailman, list_id, entry(1).person.address)

    results = backend.resubscribe(list_id, [entry(1)])

    assert results_of(results) == [Result.DONE]
    assert names(mailman, list_id) == {"person0001@example.com": "Анна Белова"}


def test_a_list_that_greets_and_moderates_does_neither_for_us(
    backend: Backend, mailman: MailmanServer
) -> None:
    mailman.ask("POST", "/lists", {"fqdn_listname": f"strict@{DOMAIN}"})
    policies = {
        "subscription_policy": "confirm_then_moderate",
        "unsubscription_policy": "confirm_then_moderate",
        "send_welcome_message": True,
        "send_goodbye_message": True,
    }
    mailman.ask("PATCH", f"/lists/strict.{DOMAIN}/config", policies)
    list_id = backend.ensure_list("strict")

    added = backend.upsert(list_id, [entry(1), entry(2)], known=False)
    renamed = backend.rename(list_id, entry(1).person.address, entry(1, "new@example.com"))
    removed = backend.remove(list_id, [entry(2)])

    assert results_of([*added, renamed, *removed]) == [Result.DONE] * 4
    assert [member.person.address for member in backend.read(list_id)] == ["new@example.com"]


def test_a_request_of_the_persons_own_is_not_overruled(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    moderated = {"subscription_policy": "moderate", "admin_immed_notify": False}
    mailman.ask("PATCH", f"/lists/{list_id}/config", moderated)
    wish = {"list_id": list_id, "subscriber": entry(1).person.address}
    mailman.ask("POST", "/members", wish | {"pre_verified": True, "pre_confirmed": True})

    results = backend.upsert(list_id, [entry(1), entry(2)], known=False)

    assert results_of(results) == [Result.FAILED, Result.DONE]
    assert "waits in Mailman" in results[0].message
    assert list(names(mailman, list_id)) == ["person0002@example.com"]


def test_a_ban_is_not_overruled(backend: Backend, mailman: MailmanServer, list_id: ListId) -> None:
    mailman.ask("POST", f"/lists/{list_id}/bans", {"email": entry(1).person.address})

    results = backend.upsert(list_id, [entry(1), entry(2)], known=False)

    assert results[0] == ItemResult(Result.FAILED, "Membership is banned")
    assert list(names(mailman, list_id)) == ["person0002@example.com"]


@pytest.mark.parametrize("pattern", ["new@example.com", r"^new@.*"])
@pytest.mark.parametrize("where", ["/bans", f"/lists/{NEWS}/bans"])
def test_nor_is_a_ban_by_a_rename(
    backend: Backend, mailman: MailmanServer, reference: str, where: str, pattern: str
) -> None:
    mailman.ask("POST", where, {"email": pattern})

    result = backend.rename(NEWS, OLD, entry(1, NEW))

    assert result == ItemResult(Result.FAILED, "the new address is banned")
    assert one(mailman, NEWS, OLD)["member_id"] == reference


def test_what_waits_for_somebody_else_is_no_success(
    backend: Backend, proxy: Proxy, list_id: ListId
) -> None:
    proxy.say(202, {"token": "0" * 40, "token_owner": "subscriber"}, only=ADD)

    results = backend.upsert(list_id, [entry(1)], known=False)

    assert results_of(results) == [Result.FAILED]


def test_where_everybody_is_refused_it_is_not_their_fault(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    mailman.ask("POST", "/bans", {"email": r"^.*@example\.com"})

    with pytest.raises(ConfigurationError, match="refuses everything"):
        backend.upsert(list_id, [entry(number) for number in range(3)], known=False)


# Names.


def test_an_empty_name_leaves_the_one_there_is(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    nameless = entry(1, first="", last="")

    results = [
        *backend.upsert(list_id, [nameless], known=True),
        *backend.upsert(list_id, [nameless], known=False, again=True),
    ]

    assert results_of(results) == [Result.UNCHANGED] * 2
    assert names(mailman, list_id) == {"person0001@example.com": "Анна Белова"}


def test_the_name_of_an_address_that_mailman_knows_is_ours(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    other = backend.ensure_list("Other")
    join(mailman, other, entry(1).person.address, "Somebody")

    backend.upsert(list_id, [entry(1)], known=False)

    assert names(mailman, list_id) == {"person0001@example.com": "Анна Белова"}


def test_a_name_stays_on_one_line(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1, first=" Анна\r\nBcc:\tx ", last="\u2028Б")], known=False)

    assert names(mailman, list_id) == {"person0001@example.com": "Анна Bcc: x Б"}


def user_with(mailman: MailmanServer, address: str) -> str:
    """Make a user who prefers an address; return the id."""
    mailman.ask("POST", "/users", {"email": address, "display_name": "User"})
    mailman.ask("POST", f"/addresses/{address}/verify")
    mailman.ask("POST", f"/users/{address}/preferred_address", {"email": address})
    return str(mailman.ask("GET", f"/users/{address}")["user_id"])


def test_who_is_on_the_list_as_a_user_gets_the_name_too(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    join(mailman, list_id, user_with(mailman, "a@example.com"))

    results = backend.upsert(list_id, [entry(1, "a@example.com")], known=True)

    assert results_of(results) == [Result.DONE]
    assert names(mailman, list_id) == {"a@example.com": "Анна Белова"}


# Addresses.

TAKEN = [
    "a.b-c_d+e@example.com", "a*b@example.com", "a%b?c#d@example.com", "a&b=c$d!@example.com",
    "{x}~`'@example.com", "MiXed@Example.com", "a@почта.рф", "a@xn--80a1acny.xn--p1ai",
]  # fmt: skip
NOT_TAKEN = ["a|b@example.com", "a^b@example.com", "анна@example.com", "ü@example.com"]


@pytest.mark.parametrize("address", TAKEN)
def test_an_address_that_mailman_takes_lives_its_whole_life(
    backend: Backend, mailman: MailmanServer, list_id: ListId, address: str
) -> None:
    who = entry(1, address)
    join(mailman, list_id, "axxb@example.com", "Else")

    results = [
        *backend.upsert(list_id, [who], known=False),
        *backend.upsert(list_id, [entry(1, address, first="X")], known=True),
        backend.rename(list_id, address, entry(2, "b@example.com")),
        backend.rename(list_id, "b@example.com", who),
    ]
    seen = [member.person.key for member in backend.read(list_id)]
    results += backend.remove(list_id, [who])

    assert backend.fault_of(address) == ""
    assert results_of(results) == [Result.DONE] * 5
    assert sorted(seen) == sorted([who.person.key, "axxb@example.com"])
    assert names(mailman, list_id) == {"axxb@example.com": "Else"}


@pytest.mark.parametrize("address", NOT_TAKEN)
def test_an_address_that_mailman_refuses_is_told_before(
    backend: Backend, list_id: ListId, address: str
) -> None:
    results = backend.upsert(list_id, [entry(1, address)], known=False)

    assert backend.fault_of(address)
    assert results_of(results) == [Result.FAILED]


def test_an_address_that_no_path_can_hold_is_told_before(backend: Backend) -> None:
    assert backend.fault_of("a/b@example.com")


def test_an_address_keeps_the_spelling_of_its_owner(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1, "Anna.Belova@Почта.рф")], known=False)

    known = mailman.ask("GET", "/addresses/anna.belova@xn--80a1acny.xn--p1ai")
    assert known["original_email"] == "Anna.Belova@xn--80a1acny.xn--p1ai"


# Renames.


@pytest.fixture
def reference(backend: Backend, list_id: ListId, mailman: MailmanServer) -> str:
    """Somebody at the old address, with a setting of their own."""
    [added] = backend.upsert(list_id, [entry(1, OLD)], known=False)
    digest = {"delivery_mode": "mime_digests"}
    mailman.ask("PATCH", f"/members/{added.reference}", digest)
    return added.reference


def test_a_rename_keeps_settings_and_other_lists(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str
) -> None:
    other = backend.ensure_list("Other")
    backend.upsert(other, [entry(1, OLD)], known=False)

    result = backend.rename(list_id, OLD, entry(1, NEW, first="Eva"))

    member = one(mailman, list_id, NEW)
    assert result == ItemResult(Result.DONE, reference=reference)
    assert (member["member_id"], member["delivery_mode"]) == (reference, "mime_digests")
    assert names(mailman, list_id) == {NEW: "Eva Белова"}
    assert names(mailman, other) == {OLD: "Анна Белова"}


def test_a_rename_back_keeps_the_reference(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str
) -> None:
    backend.rename(list_id, OLD, entry(1, NEW))

    result = backend.rename(list_id, NEW, entry(1, OLD, first="Eva"))

    assert result == ItemResult(Result.DONE, reference=reference)
    assert names(mailman, list_id) == {OLD: "Eva Белова"}


@pytest.mark.parametrize("user", [True, False], ids=["of a user", "of nobody"])
def test_an_address_that_is_on_no_list_is_handed_over(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str, user: bool
) -> None:
    join(mailman, list_id, NEW, "Somebody")
    leave(mailman, list_id, NEW)
    if not user:
        mailman.ask("DELETE", f"/addresses/{NEW}/user")

    result = backend.rename(list_id, OLD, entry(1, NEW))

    assert result == ItemResult(Result.DONE, reference=reference)
    assert names(mailman, list_id) == {NEW: "Анна Белова"}


def test_an_address_that_its_user_prefers_stays_theirs(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str
) -> None:
    user = user_with(mailman, NEW)

    result = backend.rename(list_id, OLD, entry(1, NEW))

    assert result.result is Result.DONE
    assert result.reference == one(mailman, list_id, NEW)["member_id"] != reference
    assert list(names(mailman, list_id)) == [NEW]
    assert mailman.ask("GET", f"/users/{user}/preferred_address")["email"] == NEW


@pytest.mark.parametrize("role", ["member", "owner"])
def test_an_address_that_is_on_another_list_stays_its_users(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str, role: str
) -> None:
    other = backend.ensure_list("Other")
    mailman.ask("POST", "/members", {"list_id": other, "subscriber": NEW, "role": role} | (
        QUIET if role == "member" else {}
    ))  # fmt: skip
    before = mailman.ask("GET", f"/addresses/{NEW}").get("user")

    result = backend.rename(list_id, OLD, entry(1, NEW))

    assert result.result is Result.DONE
    assert result.reference == one(mailman, list_id, NEW)["member_id"] != reference
    assert list(names(mailman, list_id)) == [NEW]
    assert before is None or mailman.ask("GET", f"/addresses/{NEW}")["user"] == before
    everywhere = mailman.ask("POST", "/members/find", {"list_id": other, "role": role})
    assert [row["email"] for row in everywhere["entries"]] == [NEW]


def test_who_is_on_the_list_as_a_user_is_moved_by_himself(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    other = backend.ensure_list("Other")
    user = user_with(mailman, OLD)
    for where in (list_id, other):
        join(mailman, where, user)

    result = backend.rename(list_id, OLD, entry(1, NEW))

    assert result.result is Result.DONE
    assert names(mailman, list_id) == {NEW: "Анна Белова"}
    assert list(names(mailman, other)) == [OLD]


def test_a_blocked_address_does_not_pass_its_block_on(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str
) -> None:
    bounce(mailman, list_id, OLD)

    result = backend.rename(list_id, OLD, entry(1, NEW))

    assert result == ItemResult(Result.BLOCKED, "the address bounces", reference)
    assert list(names(mailman, list_id)) == [OLD]


def test_a_rename_that_ended_half_way_with_both_there_is_finished(
    backend: Backend, mailman: MailmanServer, list_id: ListId, reference: str
) -> None:
    join(mailman, list_id, NEW, "Анна Белова")

    result = backend.rename(list_id, OLD, entry(1, NEW), again=True)

    assert result.result is Result.DONE
    assert result.reference == one(mailman, list_id, NEW)["member_id"] != reference
    assert list(names(mailman, list_id)) == [NEW]


def test_a_change_of_capitals_is_no_move(
    backend: Backend, proxy: Proxy, list_id: ListId, reference: str
) -> None:
    proxy.requests.clear()

    result = backend.rename(list_id, OLD, entry(1, "Old@Example.com"))

    assert result == ItemResult(Result.UNCHANGED, reference=reference)
    assert {request.method for request in proxy.requests if request.action != FIND} == {"GET"}


STEPS = ["POST /users/", "POST /addresses/.*/verify", "PATCH /members/"]


FAULTS_OF_A_STEP = [
    (step, fault)
    for step in STEPS
    for fault in (Fault.DROP, Fault.DROP_DONE, Fault.ERROR, Fault.UNAVAILABLE)
]


@pytest.mark.parametrize("fault", FAULTS_OF_A_STEP)
def test_a_rename_outlives_a_fault_at_each_step(
    backend: Backend, mailman: MailmanServer, proxy: Proxy, reference: str, fault: tuple[str, Fault]
) -> None:
    proxy.fail(fault[1], only=fault[0])

    result = backend.rename(NEWS, OLD, entry(1, NEW))

    assert result == ItemResult(Result.DONE, reference=reference)
    assert names(mailman, NEWS) == {NEW: "Анна Белова"}


@pytest.mark.parametrize("fault", FAULTS_OF_A_STEP)
def test_a_rename_that_ended_at_any_step_is_finished_by_its_repetition(
    connect: Connect, mailman: MailmanServer, proxy: Proxy, reference: str, fault: tuple[str, Fault]
) -> None:
    proxy.fail(fault[1], times=None, only=fault[0])
    with pytest.raises(TemporaryError):
        connect(ONCE).rename(NEWS, OLD, entry(1, NEW))
    proxy.recover()

    result = connect(ONCE).rename(NEWS, OLD, entry(1, NEW), again=True)

    assert result.ok
    assert result.reference == reference
    assert names(mailman, NEWS) == {NEW: "Анна Белова"}


def twice_on(mailman: MailmanServer, list_id: ListId) -> None:
    """Put one address on a list twice, which only its own user can do."""
    join(mailman, list_id, OLD)
    join(mailman, list_id, NEW)
    user = one(mailman, list_id, OLD)["user"].rpartition("/")[2]
    mailman.ask("PUT", f"/addresses/{NEW}/user", {"user_id": user})
    member = one(mailman, list_id, OLD)["member_id"]
    mailman.ask("PATCH", f"/members/{member}", {"address": NEW})


def test_who_is_on_the_list_twice_is_read_once_and_leaves_twice(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    twice_on(mailman, list_id)

    members = list(backend.read(list_id))
    updated = backend.upsert(list_id, [entry(1, NEW)], known=True)
    removed = backend.remove(list_id, [entry(1, NEW)])

    assert [member.person.address for member in members] == [NEW]
    assert results_of([*updated, *removed]) == [Result.DONE] * 2
    assert found(mailman, list_id) == []


# Reading.


@pytest.mark.parametrize("status", ["by_bounces", "by_user", "by_moderator"])
@pytest.mark.parametrize("where", ["members", "addresses"])
def test_only_whose_address_bounces_is_blocked(
    backend: Backend, mailman: MailmanServer, list_id: ListId, where: str, status: str
) -> None:
    [added] = backend.upsert(list_id, [entry(1)], known=False)
    whose = added.reference if where == "members" else entry(1).person.address
    mailman.ask("PATCH", f"/{where}/{whose}/preferences", {"delivery_status": status})

    [member] = backend.read(list_id)

    blocked = status == "by_bounces"
    assert member.status is (MemberStatus.BLOCKED if blocked else MemberStatus.ACTIVE)
    assert member.reference == added.reference


def test_owners_and_strangers_are_no_members(
    backend: Backend, mailman: MailmanServer, list_id: ListId
) -> None:
    for role in ("owner", "moderator", "nonmember"):
        fields = {"list_id": list_id, "subscriber": f"{role}@example.com", "role": role}
        mailman.ask("POST", "/members", fields)

    [added] = backend.upsert(list_id, [entry(1, "nonmember@example.com")], known=False)

    [member] = backend.read(list_id)
    assert (member.reference, member.person.address) == (added.reference, "nonmember@example.com")


ANNA = {"email": "a@example.com", "display_name": "Anna", "member_id": "1" * 32}


@pytest.mark.parametrize(
    "answer",
    [
        {"start": 0, "total_size": 2, "entries": [ANNA]},
        {"start": 0, "total_size": 0, "entries": [ANNA]},
        {"start": 0, "total_size": 1},
        {"start": 0, "entries": [ANNA]},
        {"start": 0, "total_size": 1, "entries": [{"email": "a@example.com"}]},
        {"start": 0, "total_size": 1, "entries": ["a@example.com"]},
    ],
)
def test_a_read_that_is_not_whole_makes_nobody_absent(
    backend: Backend, proxy: Proxy, list_id: ListId, answer: object
) -> None:
    proxy.say(200, answer, only="GET /lists/.*/roster")

    with pytest.raises(TemporaryError, match="can't be read whole"):
        list(backend.read(list_id))


def test_a_list_that_goes_while_it_is_read_is_not_empty(
    backend: Backend, mailman: MailmanServer, proxy: Proxy, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    proxy.after(FIND, lambda: mailman.ask("DELETE", f"/lists/{list_id}"))

    with pytest.raises(ConfigurationError, match="has no list"):
        list(backend.read(list_id))


# Trouble.

FAULTS: dict[Fault, type[SyncdError]] = {
    Fault.DROP: TemporaryError,
    Fault.BUSY: TemporaryError,
    Fault.BUSY_RETRY_AFTER: TemporaryError,
    Fault.ERROR: TemporaryError,
    Fault.BAD_GATEWAY: TemporaryError,
    Fault.UNAVAILABLE: TemporaryError,
    Fault.CUT: TemporaryError,
    Fault.PAGE: ConfigurationError,
    Fault.REDIRECT: ConfigurationError,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_every_fault_is_told(connect: Connect, proxy: Proxy, call: str, fault: Fault) -> None:
    backend = connect(ONCE)
    backend.ensure_list("News")
    proxy.fail(fault, times=None)
    if (fault, call) == (Fault.CUT, "delete"):
        return  # its answer has nothing to cut

    with pytest.raises(FAULTS[fault]) as caught:
        CALLS[call](backend)

    assert "@" not in str(caught.value)


def test_what_is_too_slow_is_given_up(
    mailman: MailmanServer, proxy: Proxy, list_id: ListId
) -> None:
    proxy.fail(Fault.STALL, only=ADD)
    hasty = Retry(attempts=2, wait_s=0.001, max_wait_s=0.002, timeout_s=2)

    with closing(Mailman3(options_of(mailman, proxy), hasty)) as backend:
        results = backend.upsert(list_id, [entry(1)], known=False)

    assert results_of(results) == [Result.DONE]


def test_two_requests_that_met_in_the_database_are_no_refusal(
    backend: Backend, mailman: MailmanServer, proxy: Proxy, list_id: ListId
) -> None:
    words = "(sqlite3.OperationalError) database is locked [SQL: INSERT …]"
    proxy.say(400, {"title": "400 Bad Request", "description": words}, only=ADD)

    results = backend.upsert(list_id, [entry(1)], known=False)

    assert results_of(results) == [Result.DONE]
    assert names(mailman, list_id) == {"person0001@example.com": "Анна Белова"}


def test_a_server_that_ends_each_connection_is_no_trouble(mailman: MailmanServer) -> None:
    url = f"http://127.0.0.1:{mailman.port}"
    options = Mailman3.Options(url=url, user=USER, password=mailman.password, domain=DOMAIN)

    with closing(Mailman3(options, ONCE)) as backend:
        made = backend.ensure_list("News")
        backend.upsert(made, [entry(number) for number in range(5)], known=False)
        members = list(backend.read(made))

    assert len(members) == 5


def test_a_fault_after_a_write_leaves_it_in_doubt(
    connect: Connect, mailman: MailmanServer, proxy: Proxy, list_id: ListId
) -> None:
    proxy.fail(Fault.UNAVAILABLE, times=None, only="PATCH /addresses/")

    with pytest.raises(AmbiguousError):
        connect(ONCE).upsert(list_id, [entry(1)], known=False)
    proxy.recover()
    results = connect(ONCE).upsert(list_id, [entry(1)], known=False, again=True)

    assert results[0].ok
    assert names(mailman, list_id) == {"person0001@example.com": "Анна Белова"}


def test_a_write_whose_answer_was_lost_stays_in_doubt_though_its_repetition_never_left(
    connect: Connect, mailman: MailmanServer, proxy: Proxy, list_id: ListId
) -> None:
    def shut() -> None:
        proxy.fail(Fault.UNAVAILABLE, times=None)

    proxy.fail(Fault.DROP_DONE, only=ADD)
    proxy.after(ADD, shut)

    with pytest.raises(AmbiguousError):
        connect(ONCE).upsert(list_id, [entry(1)], known=False)

    assert len(names(mailman, list_id)) == 1


def test_a_doubt_outlives_a_repetition_that_was_not_taken(
    connect: Connect, proxy: Proxy, list_id: ListId
) -> None:
    proxy.fail(Fault.UNAVAILABLE, times=None)

    with pytest.raises(AmbiguousError):
        connect(ONCE).remove(list_id, [entry(1)], again=True)


def test_a_first_try_that_was_not_taken_is_in_no_doubt(
    connect: Connect, proxy: Proxy, list_id: ListId
) -> None:
    proxy.fail(Fault.UNAVAILABLE, times=None)

    with pytest.raises(TemporaryError) as caught:
        connect(ONCE).remove(list_id, [entry(1)])

    assert not isinstance(caught.value, AmbiguousError)


def test_a_refusal_shows_no_address(backend: Backend, proxy: Proxy, list_id: ListId) -> None:
    words = "List posting address a@example.com cannot subscribe"
    proxy.say(400, {"title": "400 Bad Request", "description": words}, only=ADD)

    results = backend.upsert(list_id, [entry(1)], known=False)

    assert results == [ItemResult(Result.FAILED, "List posting address … cannot subscribe")]


def test_a_list_cannot_subscribe_to_itself(backend: Backend, list_id: ListId) -> None:
    results = backend.upsert(list_id, [entry(1, f"news@{DOMAIN}")], known=False)

    assert results_of(results) == [Result.FAILED]
