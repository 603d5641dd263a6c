import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.people import Contact, ContactId, CustomValue, Person
from syncd.wire import planfix_xml as xml
from syncd.wire.planfix_xml import BrokenContent, BrokenReply, ContactPage, Refusal

SAMPLES = Path(__file__).parents[1] / "samples" / "planfix"


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def page(contacts: str, total: int = 1, count: int = 1) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<response status="ok">'
        f'<contacts totalCount="{total}" count="{count}">{contacts}</contacts></response>'
    ).encode()


ANNA = "<contact><id>1</id><name>Anna</name><email>anna@example.com</email></contact>"


class TestRequest:
    def test_the_documented_login_is_signed_as_documented(self) -> None:
        body = xml.request(
            "auth.login", "acc", {"login": "login", "password": "passw"}, signature_key="K3Y"
        )

        assert b"<signature>600d440ffa88b119831e19e6daa8a413</signature>" in body

    def test_nested_values_are_signed_as_the_sample(self) -> None:
        phones: list[tuple[str, xml.Value]] = [
            ("phone", [("number", "+70000000001"), ("typeId", 1)]),
            ("phone", [("number", "+70000000002"), ("typeId", 2)]),
        ]
        contact: dict[str, xml.Value] = {
            "id": 1001,
            "name": "Анна",
            "lastName": "Белова",
            "email": "anna@example.com",
            "phones": phones,
        }

        body = xml.request(
            "contact.update",
            "acme",
            {"contact": contact},
            sid="0123456789abcdef0123456789abcdef",
            signature_key="K3Y",
            silent=True,
        )

        assert body == sample("request-signed.xml").rstrip()

    def test_none_is_left_out_and_an_empty_text_is_an_empty_element(self) -> None:
        body = xml.request("m", "acme", {"post": None, "skype": "", "group": 0})

        assert body.endswith(
            b'<request method="m"><account>acme</account><skype/><group>0</group></request>'
        )

    def test_forbidden_characters_are_dropped(self) -> None:
        body = xml.request("m", "acme", {"name": "A\x0b\ud800\uffffn\tn & <a>"})

        assert b"<name>An\tn &amp; &lt;a&gt;</name>" in body


class TestOpenReply:
    def test_a_refusal_keeps_its_code_as_text(self) -> None:
        with pytest.raises(Refusal) as caught:
            xml.open_reply(sample("error-0005.xml"))

        assert caught.value.code == "0005"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            sample("reply-not-xml.txt"),
            sample("reply-truncated.xml.txt"),
            b"<answer status='ok'/>",
            b"<response/>",
            b"<response status='maybe'/>",
            b"<!DOCTYPE response><response status='ok'/>",
            "<!DOCTYPE response><response status='ok'/>".encode("utf-16"),
        ],
    )
    def test_what_is_no_whole_reply_is_broken(self, body: bytes) -> None:
        with pytest.raises(BrokenReply):
            xml.open_reply(body)


class TestReadPage:
    def test_the_sample_page_reads_as_people_see_it(self) -> None:
        read = xml.read_page(sample("contact-getList-page1.xml"))

        contacts = list(read.contacts)
        assert (read.total, read.count) == (7, 5)
        assert contacts[:3] == [
            Contact(
                ContactId(1001), Person.of("anna.belova@example.com", "Анна Петровна", "Белова")
            ),
            Contact(ContactId(2001), Person.of("office@example.org", "ООО «Ромашка»", "")),
            Contact(ContactId(1002), Person.of("", "Иван", "Сидоров")),
        ]
        assert [contact.id for contact in contacts] == [1001, 2001, 1002, 1004, 1005]

    def test_custom_fields_are_read_where_they_are_wanted(self) -> None:
        body = sample("contact-getList-page1.xml")
        consent = CustomValue(10124, "Согласие на рассылку", "yes", "yes")

        [anna, *_] = xml.read_page(body, frozenset({10124})).contacts
        split = xml.split_page(body)
        assert split is not None
        parsed = xml.parse_pieces(split.pieces, frozenset({10124}))

        assert anna.custom == (consent,)
        assert parsed is not None
        assert parsed[0].custom == (consent,)

    @pytest.mark.parametrize("name", ["contact-getList-empty.xml", "contact-getList-past-end.xml"])
    def test_an_empty_page_has_a_total(self, name: str) -> None:
        read = xml.read_page(sample(name))

        assert (read.count, read.contacts) == (0, ())
        assert xml.total_of(sample(name)) == read.total

    def test_forbidden_characters_do_not_stand_in_the_way(self) -> None:
        read = xml.read_page(sample("contact-getList-unparsable.xml.txt"))

        assert read.count == len(read.contacts) > 0

    def test_a_digest_is_that_of_the_bytes_up_to_the_end_of_the_contact(self) -> None:
        split = xml.split_page(page("\n " + ANNA + ANNA, count=2))

        assert split is not None
        assert list(map(bytes.strip, split.pieces)) == [ANNA[: -len("</contact>")].encode()] * 2
        assert split.digests == [hashlib.sha256(piece).digest() for piece in split.pieces]
        assert len(set(split.digests)) == 2

    def test_only_direct_children_count(self) -> None:
        contact = (
            "<contact><user><id>7</id><email>x@example.com</email></user><id> 1 </id>"
            "<name>Anna<!-- --> P.</name></contact>"
        )

        read = xml.read_page(page(contact))

        assert read.contacts == (Contact(ContactId(1), Person.of("", "Anna P.", "")),)

    @pytest.mark.parametrize(
        "body",
        [
            page(ANNA, count=2),
            b'<response status="ok"/>',
            page(ANNA).replace(b' count="1"', b""),
            page(ANNA)[:-4],
            b"<!DOCTYPE response>" + page(ANNA).partition(b"\n")[2],
        ],
    )
    def test_a_cut_or_lying_page_is_broken_as_a_whole(self, body: bytes) -> None:
        with pytest.raises(BrokenReply) as caught:
            xml.read_page(body)

        assert not isinstance(caught.value, BrokenContent)

    @pytest.mark.parametrize(
        "contact",
        [
            "<contact><id>1</id><name>&nbsp;</name></contact>",
            "<contact><id>1</name></contact>",
            "<contact><name>Anna</name></contact>",
            "<contact><id>-1</id></contact>",
            "<contact><id>0</id></contact>",
        ],
    )
    def test_one_bad_contact_in_a_whole_envelope_is_told_apart(self, contact: str) -> None:
        with pytest.raises(BrokenContent):
            xml.read_page(page(contact))

    def test_another_encoding_is_read_as_declared(self) -> None:
        body = page(ANNA.replace("Anna", "Анна\x0b")).decode().replace("UTF-8", "windows-1251")

        read = xml.read_page(body.encode("cp1251"))

        assert read.contacts[0].person.first == "Анна"


class TestOtherReplies:
    def test_a_card_shows_what_the_list_does_not(self) -> None:
        card = xml.card_of(xml.open_reply(sample("contact-get.xml")))

        assert (card.id, card.userid, card.general) == (1001, 50001, 101)
        assert (card.name, card.mid_name, card.last_name) == ("Анна Петровна", "Петровна", "Белова")
        assert card.secondary_emails == ("belova@example.org", "a.p.belova@example.org")
        assert card.group == xml.NamedItem("7", "Клиенты")
        assert card.custom[1] == CustomValue(10124, "Согласие на рассылку", "yes", "yes")

    @pytest.mark.parametrize("name", ["contact-add-reply.xml", "contact-add-silent-reply.xml"])
    def test_a_new_contact_has_its_id(self, name: str) -> None:
        assert xml.contact_id_of(xml.open_reply(sample(name))) == 1006

    def test_lists_for_the_settings_are_read(self) -> None:
        groups = xml.groups_of(xml.open_reply(sample("contact-getGroupList-reply.xml")))
        filters = xml.filters_of(xml.open_reply(sample("contact-getFilterList-reply.xml")))
        types = xml.phone_types_of(xml.open_reply(sample("contact-getPhoneTypes-reply.xml")))

        assert groups[2] == xml.NamedItem("9", "Press & media")
        assert [each.id for each in filters] == [":contact", ":company", "4711", "4712"]
        assert types[0] == xml.NamedItem("1", "Мобильный")

    def test_an_employee_is_read(self) -> None:
        employee = xml.employee_of(xml.open_reply(sample("user-get-reply.xml")))

        assert employee == xml.Employee(9001, "Робот Syncd", "ADMIN", "ACTIVE", "Europe/Moscow")

    def test_a_login_gives_a_session(self) -> None:
        sid = xml.sid_of(xml.open_reply(sample("auth-login-reply.xml")))

        assert sid == "0123456789abcdef0123456789abcdef"

    @pytest.mark.parametrize(
        "read", [xml.sid_of, xml.contact_id_of, xml.card_of, xml.groups_of, xml.employee_of]
    )
    def test_a_reply_without_its_value_is_broken(self, read: object) -> None:
        root = xml.open_reply(b"<response status='ok'><contact/></response>")

        with pytest.raises(BrokenReply):
            read(root)  # type: ignore[operator]  # each of them takes the root


class TestFastPath:
    def test_pieces_read_as_the_whole_page_does(self) -> None:
        body = sample("contact-getList-page1.xml")

        split = xml.split_page(body)

        assert split is not None
        assert fast(body) == xml.read_page(body)
        assert [split.guess(place) for place in range(4)] == [1001, 2001, 1002, 1004]
        assert xml.total_of(body) == split.total == 7

    @pytest.mark.parametrize(
        "body",
        [
            page("<contact><contact></contact><id>1</id></contact>"),
            page("<contact><id>1</id></contact ><contact><id>2</id></contact>"),
            page(
                "<contact><contact></contact><contact></contact ></contact ><contact></contact>",
                count=2,
            ),
            page("<contact/>" + ANNA),
            page(ANNA, count=2),
            page("<!-- -->" + ANNA),
            page("<?php ?>" + ANNA),
            page(ANNA.replace("<contact>", '<contact a="1">')),
            page(ANNA).replace(b"UTF-8", b"koi8-r"),
            page(ANNA).replace(b"<contacts ", b'<contacts xmlns="urn:x" '),
            page(ANNA)[:-3],
            page(ANNA).replace(b'"ok"', b'"error"'),
            b"\xef\xbb\xbf" + page(ANNA),
        ],
    )
    def test_what_is_unusual_is_declined(self, body: bytes) -> None:
        assert fast(body) is None

    @pytest.mark.parametrize(
        "piece",
        [
            b"<contact><id>1</id><b></contact>",
            b"<contact><id>1</id>&nbsp;</contact>",
            b"<contact><id>1</id>\x0b</contact>",
            b"<contact><id>1</id>\xff</contact>",
            b"<contact><id>x</id></contact>",
            b"<contact><id>1</id></contact><contact><id>2</id></contact>",
            b"<contact><id>1</id></contact ><contact><id>2</id></contact>",
            b"<contact><id>1</id></contact><!-- -->",
            b"<contact><id>1</id><!-- </contact> -->",
            b"<other><id>1</id></other>",
        ],
    )
    def test_a_piece_that_cannot_be_read_is_declined(self, piece: bytes) -> None:
        assert xml.parse_pieces([piece.removesuffix(b"</contact>")]) is None


def fast(body: bytes, known: Mapping[bytes, Contact] | None = None) -> ContactPage | None:
    """Read a page of which some pieces were read before, by their digests."""
    known = known or {}
    split = xml.split_page(body)
    if split is None:
        return None
    each = list(zip(split.pieces, split.digests, strict=True))
    new = xml.parse_pieces([piece for piece, digest in each if digest not in known])
    if new is None:
        return None
    rest = iter(new)
    contacts = tuple(known[digest] if digest in known else next(rest) for _, digest in each)
    return ContactPage(split.total, len(contacts), contacts)


SCRAPS = (
    "<contact>", "</contact>", "</contact >", "<contact/>", "<contact a='1'>", "<id>1</id>",
    "<id> 22 </id>", "<id>x</id>", "<email>a@example.com</email>", "<name>Zoë</name>",
    "<user><id>3</id></user>", "<isCompany>true</isCompany>", "<lastName>L</lastName>",
    "<!-- </contact> -->", "<![CDATA[<contact>]]>", "<?p </contact> ?>", "<!DOCTYPE a>",
    "&amp;", "&nbsp;", "&#x0B;", "&#11;", "&", "<", ">", "\x0b", "\x00", " ", "\n", "\r\n",
    "<x:y/>", "</contacts>", "<contacts>", "<b>", "</b>", "<contact><id>9</id></contact>",
    "<contact\n><id>8</id></contact\n>", "</contacts></response>", "é", "\u2028",
)  # fmt: skip

ORDINARY = f"{ANNA}{ANNA.replace('<id>1<', '<id>2<')}<contact><id>5</id><email/></contact>"
WHOLE = st.sampled_from([f"{piece}</contact>" for piece in ORDINARY.split("</contact>")[:-1]])
INSIDE = st.lists(st.one_of(WHOLE, st.sampled_from(SCRAPS)), max_size=8)
HEADS = st.sampled_from(
    [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<?xml version='1.0'?>",
        '<?xml version="1.0" encoding="koi8-r"?>',
        '<?xml version="1.1"?>',
        "",
        "\n",
        "\ufeff",
        "<!DOCTYPE response>",
        "<!-- c -->",
    ]
)
LISTS = st.sampled_from(
    [
        '<contacts totalCount="{total}" count="{count}">',
        "<contacts count='{count}'\n totalCount='{total}' >",
        '<contacts totalCount="{total}" count="{count}" x="1">',
        '<contacts totalCount="{total}" totalCount="{total}" count="{count}">',
        '<contacts totalCount="{total}" count="{count}"/>',
        '<contacts count="{count}">',
    ]
)
TAILS = st.sampled_from(
    ["</contacts></response>", "\n</contacts >\n</response>\n", "</contacts>", "", "</response>"]
)


@given(
    head=HEADS,
    opening=LISTS,
    inside=INSIDE,
    tail=TAILS,
    lie=st.sampled_from([0, 0, 0, 1, -1]),
    cut=st.one_of(st.just(None), st.integers(0, 400)),
    junk=st.one_of(st.just(b""), st.binary(max_size=2)),
)
def test_the_fast_path_gives_what_a_full_parse_gives_or_declines(
    *,
    head: str,
    opening: str,
    inside: list[str],
    tail: str,
    lie: int,
    cut: int | None,
    junk: bytes,
) -> None:
    middle = "".join(inside)
    count = max(middle.count("<contact>") + lie, 0)
    text = f'{head}<response status="ok">{opening.format(total=9, count=count)}{middle}'
    body = (text.encode() + junk + tail.encode())[:cut]

    split = xml.split_page(page(ORDINARY, count=3))
    assert split is not None
    contacts = xml.read_page(page(ORDINARY, count=3)).contacts
    known = dict(zip(split.digests, contacts, strict=True))

    for quick in (fast(body), fast(body, known)):
        if quick is not None:
            assert quick == xml.read_page(body)


@given(inside=st.lists(WHOLE, min_size=1, max_size=6), gap=st.sampled_from(["", "\n  ", "\r\n\t"]))
def test_ordinary_pages_take_the_fast_path(inside: list[str], gap: str) -> None:
    body = page(gap + gap.join(inside) + gap, count=len(inside))

    assert fast(body) == xml.read_page(body)
    assert fast(body) is not None
