"""What Mailman's API says is read as values, and nothing else is."""

import json
from collections.abc import Callable

import pytest

from syncd.wire.mailman import (
    CutError,
    KnownAddress,
    MailingList,
    MalformedError,
    Subscriber,
    check_whole,
    last_segment,
    local_part_of,
    read_address,
    read_fields,
    read_list,
    read_members,
    read_refusal,
    read_status,
    read_total,
    read_version,
)

HOST = "http://127.0.0.1:8001/3.1"
USER = "0253f208bfd945cf9379eccce03188c9"
MEMBER = "25882425b7e04f4ebf6700061885bb0f"

ANNA = {
    "email": "anna@example.com",
    "display_name": "Анна",
    "member_id": MEMBER,
    "user": f"{HOST}/users/{USER}",
    "subscription_mode": "as_address",
    "http_etag": '"77b2"',
}
LIST = {
    "list_id": "news.lists.example.com",
    "list_name": "news",
    "display_name": "News",
    "member_count": 2,
}


def collection(*entries: object, **other: object) -> bytes:
    """Return a collection as Mailman writes it: without `entries` where there are none."""
    fields = {"start": 0, "total_size": len(entries)} | ({"entries": entries} if entries else {})
    return json.dumps({**fields, "http_etag": '"3222"', **other}).encode()


def test_members_are_read_with_their_users() -> None:
    bruno = {"email": "b@example.com", "member_id": "b", "subscription_mode": "as_user"}

    members = list(read_members(collection(ANNA, bruno)))

    assert members == [
        Subscriber(MEMBER, "anna@example.com", "Анна", USER, by_user=False),
        Subscriber("b", "b@example.com", "", "", by_user=True),
    ]


def test_an_empty_collection_has_nobody() -> None:
    assert list(read_members(collection())) == []


@pytest.mark.parametrize(
    "body",
    [
        collection(ANNA, total_size=2),
        collection(total_size=1),
        collection(ANNA, total_size=None),
        collection({"email": "anna@example.com"}),
        collection("anna@example.com"),
        b"{} {}",
        b'{"entries": [}',
        b"<html></html>",
    ],
)
def test_members_who_are_not_as_counted_are_none(body: bytes) -> None:
    with pytest.raises(MalformedError):
        list(read_members(body))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_cut_collection_is_told_from_another_kind_of_reply(cut: int) -> None:
    body = collection(ANNA)

    with pytest.raises(MalformedError) as caught:
        list(read_members(body[:-cut]))

    assert isinstance(caught.value, CutError) is not body[:-cut].endswith(b"}")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", CutError),
        (b" \n", CutError),
        (b'{"a": ', CutError),
        (b"[]", MalformedError),
        (b"<html></html>", MalformedError),
        (b"{'a'}", MalformedError),
    ],
)
def test_what_is_no_object_is_refused(body: bytes, error: type[MalformedError]) -> None:
    with pytest.raises(MalformedError) as caught:
        read_fields(body)

    assert type(caught.value) is error


def test_an_object_is_whole() -> None:
    check_whole(b' {"a": 1}\n')

    assert read_fields(b' {"a": 1}\n') == {"a": 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"title": "404 Not Found"}', "404 Not Found"),
        (b'{"title": "400 Bad Request", "description": "No such list"}', "No such list"),
        (b'{"description": 7}', None),
        (b"{}", None),
        (b"<html>Bad Request</html>", None),
        (b"", None),
    ],
)
def test_a_refusal_is_read_in_mailmans_words(body: bytes, words: str | None) -> None:
    assert read_refusal(body) == words


def test_single_things_are_read() -> None:
    versions = {"mailman_version": "GNU Mailman 3.3.10 (Tom Sawyer)"}
    address = {"email": "a@example.com", "display_name": "A", "user": f"{HOST}/users/{USER}"}

    assert read_version(versions) == "GNU Mailman 3.3.10"
    assert read_list(LIST) == MailingList("news.lists.example.com", "news", "News", 2)
    assert read_address(address) == KnownAddress("a@example.com", USER, "A")
    assert read_address({"email": "a@example.com"}) == KnownAddress("a@example.com", "", "")
    assert read_status({"delivery_status": "by_bounces"}) == "by_bounces"
    assert read_status({}) == ""
    assert read_total({"total_size": 3}) == 3


@pytest.mark.parametrize("read", [read_version, read_list, read_address, read_total])
@pytest.mark.parametrize("fields", [{}, {"total_size": "3", "email": "", "mailman_version": 3}])
def test_what_lacks_its_field_is_none_of_mailmans(
    read: Callable[[dict[str, object]], object], fields: dict[str, object]
) -> None:
    with pytest.raises(MalformedError):
        read(fields)


@pytest.mark.parametrize(
    ("url", "segment"),
    [(f"{HOST}/members/{MEMBER}", MEMBER), (f"{HOST}/members/{MEMBER}/", MEMBER), ("", "")],
)
def test_an_id_is_the_end_of_an_address(url: str, segment: str) -> None:
    assert last_segment(url) == segment


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("news", "news"),
        ("News", "news"),
        ("team.news_2-b", "team.news_2-b"),
        ("Новости — Юг", "novosti-yug"),
        ("Подъезд №5, щука", "podezd-no5-shchuka"),
        ("Їжак і ґава", "yizhak-i-gava"),
        ("Café Straße", "cafe-strasse"),
        ("a..b@c", "a-b-c"),
        ("Łódź", "odz-bc8847fc"),
        ("会员", "list-0efb3a20"),
        ("—", "list-bda05058"),
        ("x" * 51, f"{'x' * 50}-3ecd502a"),
    ],
)
def test_a_lists_address_follows_from_its_name(name: str, local: str) -> None:
    assert local_part_of(name) == local


def test_letters_that_are_lost_do_not_make_two_names_one() -> None:
    assert local_part_of("会员 A") != local_part_of("会 A")
