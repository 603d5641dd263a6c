"""Contradictions: keys that are right one by one and can't be true together."""

from pathlib import Path

import pytest

from syncd.core.link import Consent, NewSubscribers
from tests.config.worlds import GATEWAY, MINIMAL, config, less, problems, settings, without

SECOND_LINK = """
[[links]]
name = "others"
selection = "company"
backend = "news"
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            config(planfix=MINIMAL["planfix"] + 'login = "robot"'),
            "config.toml:6: [planfix] login: goes against token (line 5); keep one",
        ),
        (
            config(planfix=MINIMAL["planfix"] + 'password = "p"'),
            "config.toml:6: [planfix] password: goes against token (line 5); keep one",
        ),
        (
            config(planfix=without("planfix", "token")),
            "config.toml:1: [planfix]: has no way to log in; add token, or login and password",
        ),
        (
            config(planfix=without("planfix", "token", more='login = "robot"')),
            "config.toml:5: [planfix] login: needs password; add it, or use token instead",
        ),
        (
            config(planfix=without("planfix", "token", more='password = "p"')),
            "config.toml:5: [planfix] password: needs login; add it, or use token instead",
        ),
        (
            config(retry='max_wait = "5s"\nwait = "6s"'),
            "config.toml:18: [retry] wait: is longer than max_wait (line 17); raise that",
        ),
        (
            config(retry='wait = "2m"'),
            "config.toml:17: [retry] wait: is longer than max_wait (60s if not given); raise that",
        ),
        (
            config(schedule='every = "15m"\ncron = "* * * * *"'),
            "config.toml:18: [schedule] cron: goes against every (line 17); keep one",
        ),
        (
            config() + '[[backends]]\nname = "news"\ntype = "embedded"\npath = "x"\n',
            "config.toml:17: [[backends]] name: is taken (line 7); write another",
        ),
        (
            config() + "[[backends]]\n" + MINIMAL["backends"].strip().replace('"news"', '"again"'),
            "config.toml:16: [[backends]]: is the backend of line 8 once more; use that one's name",
        ),
        (
            config() + SECOND_LINK.replace("others", "customers") + 'list = "X"',
            "config.toml:18: [[links]] name: is taken (line 12); write another",
        ),
        (
            config() + SECOND_LINK + 'list = "Customers"',
            (
                "config.toml:21: [[links]] list: is fed by another link (line 15); "
                "give each its own list"
            ),
        ),
        (
            config() + SECOND_LINK + 'list = "customers"',
            (
                "config.toml:21: [[links]] list: is fed by another link (line 15); "
                "give each its own list"
            ),
        ),
        (
            config(links=without("links", "list", more="list_id = 7"))
            + SECOND_LINK
            + 'list_id = "7"',
            (
                "config.toml:21: [[links]] list_id: is fed by another link (line 15); "
                "give each its own list"
            ),
        ),
        (
            config() + SECOND_LINK,
            "config.toml:17: [[links]]: lacks list; add its name, or list_id",
        ),
        (
            config(links=without("links", "backend", more='backend = "mews"')),
            'config.toml:15: [[links]] backend: is the name of no backend; did you mean "news"?',
        ),
        (
            config(links=without("links", "backend", more='backend = "x"')),
            (
                "config.toml:15: [[links]] backend: is the name of no backend; "
                "write the name of one, or add [[backends]]"
            ),
        ),
        (
            config(links__consent='unsubscribed = "No"'),
            (
                "config.toml:17: [links.consent] unsubscribed: needs field and subscribed; "
                "write all three, or none"
            ),
        ),
        (
            config(links__consent="allow_planfix_release = true"),
            (
                "config.toml:17: [links.consent] allow_planfix_release: "
                "needs field and its two values; take it out"
            ),
        ),
    ],
)
def test_a_contradiction_names_its_lines(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


READABLE = 'name = "news"\ntype = "embedded"\npath = "x"'
PUSHED = '[[receiver.email]]\ntoken = "a"\nbackend = "news"\n'
MESSAGES = '[[receiver.sms]]\nkey = "a"\nrelay = "gateway"\n'


def linked(*lines: str, **sections: str) -> str:
    """Return a config whose link has further keys, from line 16 where its backend is the usual."""
    return config(**sections, links=MINIMAL["links"] + "\n".join(lines))


@pytest.mark.parametrize("direction", ["both", "to-planfix"])
def test_a_list_that_can_be_read_may_change_planfix(tmp_path: Path, direction: str) -> None:
    text = linked(f'direction = "{direction}"', 'new_subscribers = "create"', backends=READABLE)

    [link] = settings(tmp_path, text).links

    assert (link.direction, link.new_subscribers) == (direction, NewSubscribers.CREATE)


@pytest.mark.parametrize("direction", ["both", "to-planfix"])
def test_a_list_that_reports_may_change_planfix_once_there_is_a_receiver(
    tmp_path: Path, direction: str
) -> None:
    text = linked(f'direction = "{direction}"')

    assert settings(tmp_path, text + "[receiver]\n").links[0].direction == direction
    assert problems(tmp_path, text) == [
        (
            "config.toml:16: [[links]] direction: needs a backend that can be read; "
            'write "to-list", or add [receiver] for what the list reports'
        )
    ]


def test_a_list_that_neither_can_be_read_nor_reports_changes_nothing(tmp_path: Path) -> None:
    loose = 'name = "news"\ntype = "loose"'
    text = linked('direction = "both"', backends=loose, receiver="")

    assert problems(tmp_path, text) == [
        'config.toml:14: [[links]] direction: needs a backend that can be read; write "to-list"'
    ]


@pytest.mark.parametrize(
    ("lines", "other"),
    [
        (('new_subscribers = "create"',), '"to-list" if not given'),
        (('new_subscribers = "create"', 'direction = "to-list"'), "line 17"),
    ],
)
def test_new_subscribers_are_made_contacts_only_where_planfix_may_change(
    tmp_path: Path, lines: tuple[str, ...], other: str
) -> None:
    assert problems(tmp_path, linked(*lines)) == [
        (
            f"config.toml:16: [[links]] new_subscribers: goes against direction ({other}); "
            'write "ignore"'
        )
    ]


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [
        ("list", '"Customers"', MINIMAL["backends"]),
        ("list_id", "7", MINIMAL["backends"].replace(".com/", ".com")),
        ("list_id", "7", MINIMAL["backends"].replace("lists.e", "Lists.E")),
    ],
)
def test_two_logins_to_one_service_feed_no_list_together(
    tmp_path: Path, key: str, value: str, first: str
) -> None:
    line = f"{key} = {value}"
    text = config(backends=first, links=without("links", "list", more=line))
    again = without("backends", "name", "token", more='name = "again"\ntoken = "another"')
    text += f"[[backends]]\n{again}\n" + SECOND_LINK.replace('"news"', '"again"') + line

    assert problems(tmp_path, text) == [
        (
            f"config.toml:26: [[links]] {key}: is fed by another link (line 15); "
            "give each its own list"
        )
    ]


def test_two_lists_of_one_name_in_two_domains_are_two(tmp_path: Path) -> None:
    domain = 'type = "loose"\nfolder = "x"\ndomain = '
    text = config(backends=f'name = "news"\n{domain}"a.example.com"')
    text += f'[[backends]]\nname = "own"\n{domain}"b.example.com"\n'
    text += SECOND_LINK.replace('"news"', '"own"') + 'list = "Customers"'

    assert len(settings(tmp_path, text).links) == 2


def test_links_may_show_consent_in_fields_of_their_own(tmp_path: Path) -> None:
    consent = '[links.consent]\nfield = {}\nunsubscribed = "No"\nsubscribed = "Yes"\n'
    text = config() + consent.format(7) + SECOND_LINK + 'list = "X"\n' + consent.format(8)

    found = [link.consent for link in settings(tmp_path, text).links]

    assert found == [
        Consent(field=7, unsubscribed="No", subscribed="Yes"),
        Consent(field=8, unsubscribed="No", subscribed="Yes"),
    ]


def test_a_link_that_writes_nothing_to_its_list_puts_nobody_back(tmp_path: Path) -> None:
    own = '[[backends]]\nname = "own"\ntype = "embedded"\npath = "x"\n'
    keys = 'list = "X"\ndirection = "to-planfix"\nvanished = "restore"\n'
    text = config() + own + SECOND_LINK.replace('"news"', '"own"') + keys

    [problem] = problems(tmp_path, text)

    assert problem.endswith(
        '[[links]] vanished: goes against direction (line 26); write "unsubscribe"'
    )


@pytest.mark.parametrize("other", ["", 'scope = "account"\n'])
def test_lists_that_people_leave_singly_share_no_consent_field(tmp_path: Path, other: str) -> None:
    consent = '[links.consent]\nfield = 7\nunsubscribed = "No"\nsubscribed = "Yes"\n'
    text = config() + consent + SECOND_LINK + 'list = "X"\n' + consent + other

    assert problems(tmp_path, text) == [
        (
            "config.toml:27: [links.consent] field: is another link's too (line 17); "
            'give each its own, or write scope = "account" in both'
        )
    ]


def test_lists_that_people_leave_together_may_share_a_consent_field(tmp_path: Path) -> None:
    consent = (
        '[links.consent]\nfield = 7\nunsubscribed = "No"\nsubscribed = "Yes"\nscope = "account"\n'
    )

    assert (
        len(settings(tmp_path, config() + consent + SECOND_LINK + 'list = "X"\n' + consent).links)
        == 2
    )


def gateway(*without_keys: str, more: str = "") -> str:
    return f"{less(GATEWAY, *without_keys)}\n{more}\n"


def kannel(login: str, password: str) -> str:
    own = f'login = "{login}"\npassword = "{password}"'
    return gateway("key", more=own).replace("planfix-sms", "kannel")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            config(sms=gateway(more='login = "us"')),
            "config.toml:21: [[sms]] login: goes against key (line 20); keep one",
        ),
        (
            config(sms=gateway("key")),
            "config.toml:16: [[sms]]: has no way to log in; add key, or login and password",
        ),
        (
            config(sms=gateway("key", more='login = "us"')),
            "config.toml:20: [[sms]] login: needs password; add it, or use key instead",
        ),
        (
            config(sms=gateway().replace("planfix-sms", "kannel")),
            (
                "config.toml:20: [[sms]] key: goes against type (line 18): kannel has none; "
                "write login and password"
            ),
        ),
        (
            config(sms=kannel("us", "пароль")),
            (
                "config.toml:21: [[sms]] password: holds more than plain letters, digits and "
                "signs; kannel can't be sent it"
            ),
        ),
        (
            config(sms=kannel("zoë", "p")),
            (
                "config.toml:20: [[sms]] login: holds more than plain letters, digits and "
                "signs; kannel can't be sent it"
            ),
        ),
        (
            config(sms=gateway()) + f"[[sms]]\n{gateway()}",
            "config.toml:22: [[sms]] name: is taken (line 17); write another",
        ),
        (
            config(alerts__sms='via = "gateway"\nto = ["+4915112345678"]'),
            (
                "config.toml:17: [alerts.sms] via: is the name of no gateway; "
                "write the name of one, or add [[sms]]"
            ),
        ),
        (
            config(sms=gateway(), alerts='sms = { via = "getaway", to = ["+4915112345678"] }'),
            'config.toml:22: [alerts.sms] via: is the name of no gateway; did you mean "gateway"?',
        ),
        (
            config() + PUSHED.replace("news", "mews"),
            (
                "config.toml:18: [[receiver.email]] backend: is the name of no backend; "
                'did you mean "news"?'
            ),
        ),
        (
            config() + PUSHED + PUSHED,
            "config.toml:20: [[receiver.email]] token: is taken (line 17); write another",
        ),
        (
            config() + PUSHED + "relay = 7",
            "config.toml:19: [[receiver.email]] relay: is not known; known are backend, token",
        ),
        (
            config() + MESSAGES,
            (
                "config.toml:18: [[receiver.sms]] relay: is the name of no gateway; "
                "write the name of one, or add [[sms]]"
            ),
        ),
        (
            config(sms=gateway()) + MESSAGES + MESSAGES,
            "config.toml:25: [[receiver.sms]] key: is taken (line 22); write another",
        ),
        (
            config(sms=gateway()) + 2 * MESSAGES.replace("key", 'login = "us"\npassword'),
            "config.toml:26: [[receiver.sms]] login: is taken (line 22); write another",
        ),
        (
            config(sms=gateway()) + MESSAGES.replace("key", "password"),
            "config.toml:22: [[receiver.sms]] password: needs login; add it, or use key instead",
        ),
        (
            config(receiver='listen = "localhost:80"\nadmin_listen = "localhost:80"'),
            (
                "config.toml:18: [receiver] admin_listen: is the same as listen (line 17); "
                "write another port"
            ),
        ),
        (
            config(receiver='listen = "127.0.0.1:8788"'),
            (
                "config.toml:17: [receiver] listen: is the same as admin_listen (if not given); "
                "write another port"
            ),
        ),
    ],
)
def test_a_push_or_a_gateway_that_cannot_work_is_told(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problems(tmp_path, text) == [problem]


def test_any_two_free_ports_are_two(tmp_path: Path) -> None:
    text = config(receiver='listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"')

    assert settings(tmp_path, text).receiver is not None


def test_the_two_values_of_a_consent_field_differ(tmp_path: Path) -> None:
    consent = 'field = 1234\nsubscribed = "X"\nunsubscribed = "X"'

    assert problems(tmp_path, config(links__consent=consent)) == [
        (
            "config.toml:18: [links.consent] subscribed: is the same as unsubscribed (line 19); "
            "write two values"
        )
    ]


def test_two_links_may_use_one_list_name_on_two_backends(tmp_path: Path) -> None:
    other = '[[backends]]\nname = "own"\ntype = "embedded"\npath = "x"\n'
    second = SECOND_LINK.replace('"news"', '"own"') + 'list = "Customers"'

    assert len(settings(tmp_path, config() + other + second).links) == 2


def test_a_link_may_have_a_list_name_and_an_id(tmp_path: Path) -> None:
    link = settings(tmp_path, config(links=MINIMAL["links"] + "list_id = 7")).links[0]

    assert (link.list_name, link.list_id) == ("Customers", 7)
