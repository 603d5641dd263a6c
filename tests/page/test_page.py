"""The page in process: what it shows, to whom, and what it never shows."""

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from starlette.types import Message
from structlog.testing import capture_logs

from syncd.core.overview import LinkOverview, Overview, Waiting
from syncd.core.plan import Finding, Guard
from syncd.errors import TemporaryError
from syncd.metrics import CONTENT_TYPE
from syncd.page.view import page
from tests.page.conftest import Shown, app, asking
from tests.page.samples import (
    BAD_DAY,
    CUSTOMERS,
    FRESH,
    GOOD_DAY,
    NEWSLETTER,
    NOW,
    PARTNERS,
    PULSE,
)

TAGS = [
    element.tag
    for element in html.fromstring(
        page(
            Overview(links=(replace(FRESH, held=(Waiting(contact=1, why="so"),)),)),
            pulse=None, pushes={}, problems=(), now=NOW,
        )
    ).iter()
]  # fmt: skip
HELD = replace(NEWSLETTER, name="held", runs=(replace(NEWSLETTER.runs[0], held=3),))
ONE_HELD = replace(HELD, runs=(replace(NEWSLETTER.runs[0], held=1),))
GONE = TemporaryError("The store /var/lib/syncd/syncd.db can't be read.", hint="See: syncd check")


def ask(
    path: str = "/",
    shown: Shown | None = None,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    async def once() -> httpx.Response:
        async with asking(shown) as client:
            return await client.request(method, path, headers=dict(headers or {}))

    return asyncio.run(once())


def words(reply: httpx.Response) -> str:
    """Return what a person reads, on one line."""
    apart = re.sub(r"</(td|th|dt|dd)>", r" </\1>", reply.text)
    return re.sub(r"[ \n]+", " ", text_of(html.fromstring(apart), "//body"))


def find(tree: Any, path: str) -> list[Any]:
    """Return what an XPath finds, of whatever type that is."""
    return list(tree.xpath(path))


def text_of(tree: Any, path: str) -> str:
    """Return the text of what an XPath finds first."""
    return str(tree.xpath(f"string({path})")).strip()


def showing(*links: LinkOverview) -> Shown:
    return Shown(found=replace(BAD_DAY, links=links))


# What it shows.


def test_a_good_day_says_so_first() -> None:
    reply = ask(shown=Shown(found=GOOD_DAY))

    assert reply.status_code == 200
    assert text_of(html.fromstring(reply.text), "//h1") == "Everything is in step"
    assert "Waits for a person" not in words(reply)


@pytest.mark.parametrize(
    ("links", "headline"),
    [
        ((NEWSLETTER,), "Everything is in step"),
        ((NEWSLETTER, HELD), "In step, but for 3 who wait"),
        ((NEWSLETTER, ONE_HELD), "In step, but for 1 who waits"),
        ((NEWSLETTER, FRESH), "1 of 2 links are in step"),
        ((CUSTOMERS,), "customers: waits for a person"),
        ((FRESH,), "press: has not run yet"),
        ((), "No link is set up"),
    ],
)
def test_the_headline_says_how_all_of_it_stands(
    links: tuple[LinkOverview, ...], headline: str
) -> None:
    assert text_of(html.fromstring(ask(shown=showing(*links)).text), "//h1") == headline


def test_what_is_withheld_is_shown_with_its_reason_and_the_command_that_approves_it() -> None:
    told = words(ask())

    assert "312 removals are planned" in told
    assert "Withheld: 312 removals." in told
    assert f"syncd approve {CUSTOMERS.runs[0].run}" in told


def test_what_was_approved_asks_for_nothing_more() -> None:
    assert CUSTOMERS.refusal is not None
    word = replace(CUSTOMERS.refusal, approved=NOW + timedelta(hours=3))
    over = replace(CUSTOMERS.refusal, approved=NOW - timedelta(hours=3))

    assert "syncd approve" not in words(ask(shown=showing(replace(CUSTOMERS, refusal=word))))
    assert "syncd approve" in words(ask(shown=showing(replace(CUSTOMERS, refusal=over))))


def test_an_approval_says_whose_operations_it_releases_too() -> None:
    assert CUSTOMERS.refusal is not None
    both = replace(CUSTOMERS.refusal, also=("firms", "press"))

    told = words(ask(shown=showing(replace(CUSTOMERS, refusal=both))))

    assert "The command also releases what the same run withheld of firms, press." in told


def test_a_link_that_failed_is_among_what_is_wrong_with_what_to_do() -> None:
    page = html.fromstring(ask(shown=showing(PARTNERS)).text)

    [wrong] = find(page, "//section[@aria-labelledby='problems']//li")
    assert [text_of(line, ".") for line in find(wrong, "p")] == [
        "partners. lists.example.com did not answer within 120 seconds, five times in a row.",
        "The next run tries again; if it stays, look after the side that is named.",
    ]
    assert text_of(page, "//h1") == "partners: failed"


def test_what_waits_is_still_shown_while_a_link_fails() -> None:
    failed = replace(PARTNERS.runs[0], run="20261126T140500Z-ffff")
    link = replace(CUSTOMERS, runs=(failed, *CUSTOMERS.runs))

    told = words(ask(shown=showing(link)))

    assert f"syncd approve {CUSTOMERS.runs[0].run}" in told
    assert "withheld 312" in told
    assert "held 2 quarantined 1" in told
    assert "Withheld, held and quarantined are as the run at 14:02 UTC" in told


def test_a_link_that_points_elsewhere_is_given_its_own_command() -> None:
    assert CUSTOMERS.refusal is not None
    finding = Finding(Guard.SCOPE, "The pairs were made with another account.", "Put it back.")
    moved = replace(CUSTOMERS.refusal, findings=(finding,), operations={})

    told = words(ask(shown=showing(replace(CUSTOMERS, refusal=moved))))

    assert "syncd rebase customers" in told
    assert "syncd approve" not in told


def test_who_waits_is_shown_by_number_with_the_reason() -> None:
    told = words(ask())

    assert "48201 held not a valid e-mail address" in told
    assert "50113 quarantined The list service refused it: the domain takes no mail" in told
    assert "next try in 4 hours" in told


def test_more_who_wait_than_are_shown_are_counted() -> None:
    judged = replace(CUSTOMERS.runs[0], held=200)

    told = words(ask(shown=showing(replace(CUSTOMERS, judged=judged))))

    assert "And 198 more: syncd status" in told


def test_each_link_says_how_it_stands() -> None:
    page = html.fromstring(ask().text)

    told = [
        (text_of(head, "h3/text()"), text_of(head, "p"))
        for head in find(page, "//div[@class='head']")
    ]

    assert told == [
        ("newsletter", "in step"),
        ("customers", "waits for a person"),
        ("partners", "failed"),
        ("press", "has not run yet"),
    ]


def test_the_daemon_says_when_it_runs_next_or_that_it_runs_now() -> None:
    running = replace(PULSE, running_since=PULSE.begun)

    assert "The next one is due at 14:16 UTC (in 11 minutes)." in words(ask())
    assert "A run is under way since 14:01 UTC." in words(ask(shown=Shown(beat=running)))


def test_consent_and_what_comes_in_are_counted() -> None:
    told = words(ask())

    assert "customers 63" in told
    assert "12 of them left every link at once." in told
    assert "planfix/email taken 1\u202f204" in told
    assert "unknown 1" in told


def test_a_config_without_links_has_a_page_all_the_same() -> None:
    told = words(ask(shown=Shown(found=Overview(), beat=None, came_in={})))

    assert "No link is set up" in told
    assert "No run has ended yet." in told
    assert "There is none in the config." in told


def test_a_problem_hides_no_link_and_invents_none() -> None:
    dead = replace(PULSE, beat_s=600.0)

    told = words(ask(shown=Shown(found=Overview(), beat=dead)))

    assert "restart syncd" in told
    assert "There is none in the config." in told
    assert "No run has ended yet." in told


def test_a_picture_has_a_column_for_each_run_and_says_in_words_what_it_shows() -> None:
    page = html.fromstring(ask(shown=showing(NEWSLETTER)).text)

    [picture] = find(page, "//svg[@role='img']")
    rows = find(page, "//details//tbody/tr")

    assert len(find(picture, "g")) == len(rows) == len(NEWSLETTER.runs)
    assert picture.get("aria-label").startswith("48 runs, ")
    assert text_of(picture, "g[last()]/title") == "14:02 UTC: done, nothing changed"


def test_a_first_run_alone_has_its_picture() -> None:
    alone = replace(CUSTOMERS, runs=CUSTOMERS.runs[-1:], refusal=None, held=(), quarantined=())

    told = words(ask(shown=showing(alone)))

    assert "One run; most changes in one run: 1\u202f790" in told


# What it never shows.


def test_what_comes_from_outside_is_text_and_nothing_else() -> None:
    nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    assert CUSTOMERS.refusal is not None
    link = replace(
        CUSTOMERS,
        name=nasty,
        list_name=nasty,
        runs=(replace(CUSTOMERS.runs[0], error=nasty),),
        refusal=replace(
            CUSTOMERS.refusal, link=nasty, findings=(Finding(Guard.MASS_CHANGE, nasty, nasty),)
        ),
        held=(Waiting(contact=1, why=nasty),),
        quarantined=(Waiting(contact=2, why=nasty, next_try=NOW),),
    )

    reply = ask(shown=Shown(found=Overview(links=(link,)), came_in={(nasty, nasty): 1}))

    page = html.fromstring(reply.text)
    assert find(page, "//script") == []
    assert [image.get("src") for image in find(page, "//img")] == ["/icon.svg"]
    assert find(page, "//@*[starts-with(name(), 'on')]") == []
    assert nasty in words(reply)


@given(text=st.text())
def test_no_text_whatever_makes_another_page(text: str) -> None:
    link = replace(
        FRESH, name=f"link {text}", list_name=f"list {text}", held=(Waiting(contact=1, why=text),)
    )
    shown = Overview(links=(link,))

    found = html.fromstring(page(shown, pulse=None, pushes={}, problems=(), now=NOW))

    assert [element.tag for element in found.iter()] == TAGS


def test_an_address_in_a_reason_stays_hidden() -> None:
    told = "refused: anna@example.com has left; token=abcdef123456"
    link = replace(
        CUSTOMERS,
        runs=(replace(CUSTOMERS.runs[0], error=told),),
        refusal=None,
        held=(Waiting(contact=1, why=told),),
        quarantined=(Waiting(contact=2, why=told, next_try=NOW),),
    )

    reply = ask(shown=showing(link))

    assert "refused: " in reply.text
    assert "anna" not in reply.text
    assert "abcdef123456" not in reply.text


# To whom, and how.


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/icon.svg", "/nothing"])
def test_no_answer_may_be_framed_sniffed_kept_or_run(path: str) -> None:
    found = ask(path).headers

    policy = found["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert found["x-content-type-options"] == "nosniff"
    assert found["cache-control"] == "no-store"
    assert found["referrer-policy"] == "no-referrer"
    assert found["cross-origin-resource-policy"] == "same-origin"


def test_the_policy_allows_the_pages_own_style_and_no_other() -> None:
    reply = ask()

    [style] = re.findall(r"<style>(.*?)</style>", reply.text, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in reply.headers["content-security-policy"]
    assert " style=" not in reply.text


def test_nothing_on_the_page_is_fetched_from_elsewhere() -> None:
    page = html.fromstring(ask().text)

    assert {str(found) for found in find(page, "//@src | //@href")} == {
        "/", "/icon.svg", "/health", "/metrics",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/health"])
def test_nothing_can_be_changed_here(path: str, method: str) -> None:
    reply = ask(path, method=method)

    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/icon.svg"])
def test_head_says_what_get_would_without_saying_it(path: str) -> None:
    reply = ask(path, method="HEAD")

    assert reply.status_code == 200
    assert reply.headers["content-type"] == ask(path).headers["content-type"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8788", "127.0.0.1:8788", "[::1]:8788", "192.0.2.7", "SYNCD-host"],
)
def test_whoever_asks_by_an_address_or_a_name_of_ours_is_answered(host: str) -> None:
    assert ask(headers={"Host": host}).status_code == 200


def test_a_load_balancer_that_names_no_host_is_answered() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": [], "query_string": b""}

    async def once() -> None:
        await app()(scope, receive, send)

    asyncio.run(once())

    assert sent[0]["status"] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8788", "", "[::1", "a b"],
)
@pytest.mark.parametrize("path", ["/", "/metrics", "/health"])
def test_a_name_that_is_not_ours_sees_nothing(host: str, path: str) -> None:
    reply = ask(path, headers={"Host": host})

    assert reply.status_code == 421
    assert "customers" not in reply.text


def test_what_does_not_exist_is_told_so() -> None:
    assert ask("/planfix/email").status_code == 404


# When something is wrong.


def test_health_is_200_while_all_is_well() -> None:
    reply = ask("/health")

    assert (reply.status_code, reply.json()) == (200, {"status": "ok", "problems": []})


def test_a_store_that_cannot_be_read_is_told_everywhere() -> None:
    shown = Shown(found=GONE)

    page, health, metrics = (ask(path, shown) for path in ("/", "/health", "/metrics"))

    assert {reply.status_code for reply in (page, health, metrics)} == {503}
    assert {reply.headers["retry-after"] for reply in (page, health, metrics)} == {"30"}
    assert "The store /var/lib/syncd/syncd.db can't be read. See: syncd check" in words(page)
    assert text_of(html.fromstring(page.text), "//title") == "syncd can't do its work – syncd"
    assert "No run has ended yet" not in page.text  # nobody knows
    assert "They can't be shown now." in words(page)
    assert [problem["name"] for problem in health.json()["problems"]] == ["store"]
    assert "can't be read" in metrics.text


def test_a_fault_of_ours_is_an_answer_and_a_traceback_in_the_log() -> None:
    class Broken(Shown):
        def run_ended(self) -> datetime | None:
            raise ZeroDivisionError

    with capture_logs() as logs:
        reply = ask("/health", Broken())

    assert reply.status_code == 500
    assert [(line["event"], line["log_level"]) for line in logs] == [("page.failed", "error")]


def test_the_metrics_are_told_as_prometheus_wants_them() -> None:
    reply = ask("/metrics")

    assert 'syncd_link_pairs{link="customers"} 1790.0\n' in reply.text
    assert reply.headers["content-type"] == CONTENT_TYPE


def test_health_is_json_that_a_machine_can_read() -> None:
    reply = ask("/health", Shown(beat=replace(PULSE, beat_s=600.0)))

    assert reply.headers["content-type"] == "application/json"
    [problem] = json.loads(reply.text)["problems"]
    assert problem["name"] == "scheduler"
    assert "600 seconds ago" in problem["message"]
