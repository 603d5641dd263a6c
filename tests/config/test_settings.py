"""Each key: what it takes, and what it refuses."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from syncd.config.kinds import TABLE, TABLES, Listen
from syncd.config.rows import rows_of
from syncd.config.secrets import Secret
from syncd.config.settings import (
    ARRAYS,
    SECTIONS,
    Alerts,
    AlertSms,
    EmailPush,
    LogLevel,
    Receiver,
    SmsGateway,
    SmsPush,
    SmsType,
)
from syncd.core.link import (
    Conflict,
    Consent,
    ConsentScope,
    Direction,
    Limits,
    Link,
    NewSubscribers,
    Selection,
    Vanished,
)
from syncd.core.sms import phone_number
from syncd.errors import ConfigurationError
from tests.config.tables import SUBTABLES
from tests.config.worlds import (
    ARRAY_TABLES,
    GATEWAY,
    MINIMAL,
    SECRET,
    FileOptions,
    LooseOptions,
    config,
    less,
    settings,
    without,
)


@dataclass(frozen=True)
class Good:
    key: str  # as section.key
    toml: str
    value: object


GOOD = [
    Good("planfix.url", '"https://x.example.com:8443/xml/?a=1"', ...),
    Good("planfix.url", '"http://127.0.0.1:8080/xml/"', ...),
    Good("planfix.url", '"http://[::1]/"', ...),
    Good("planfix.url", '"http://localhost/"', ...),
    Good("planfix.account", '"acme"', ...),
    Good("planfix.api_key", '"k"', Secret("k")),
    Good("planfix.token", '"k"', Secret("k")),
    Good("planfix.login", '"robot"', ...),
    Good("planfix.password", '"p"', Secret("p")),
    Good("planfix.signature_secret", '"s"', Secret("s")),
    Good("planfix.page_size", "1", 1),
    Good("planfix.page_size", "100", 100),
    Good("planfix.requests_per_second", "2.5", 2.5),
    Good("planfix.requests_per_second", "3", 3.0),
    Good("planfix.daily_calls", "1", 1),
    Good("retry.attempts", "1", 1),
    Good("retry.wait", '"5s"', 5.0),
    Good("retry.max_wait", '"2h"', 7200.0),
    Good("retry.timeout", '"1m"', 60.0),
    Good("store.path", '"/var/lib/x.db"', Path("/var/lib/x.db")),
    Good("schedule.every", '"1d"', 86400.0),
    Good("schedule.cron", '"*/15 8-20 * * mon-fri"', ...),
    Good("schedule.cron", '"0 0 29 2 *"', ...),
    Good("schedule.cron", '"0 0 * * */2"', ...),
    Good("schedule.timezone", '"Europe/Berlin"', ZoneInfo("Europe/Berlin")),
    Good("backends.name", '"news"', ...),
    Good("backends.type", '"planfix-json"', ...),
    Good("links.name", '"клиенты"', ...),
    Good("links.selection", '"contact"', Selection("contact")),
    Good("links.selection", '"company"', Selection("company")),
    Good("links.selection", '"filter:123"', Selection("123")),
    Good("links.selection", '"filter::5"', Selection(":5")),
    Good("links.backend", '"news"', ...),
    Good("links.list", '"Customers"', ...),
    Good("links.list_id", '"17"', "17"),
    Good("links.list_id", "17", 17),
    Good("links.direction", '"to-list"', Direction.TO_LIST),
    Good("links.conflict", '"hold"', Conflict.HOLD),
    Good("links.new_subscribers", '"ignore"', NewSubscribers.IGNORE),
    Good("links.vanished", '"restore"', Vanished.RESTORE),
    Good("links.limits.removals", "0", 0),
    Good("links.limits.removals_percent", "100", 100),
    Good("links.limits.removals_floor", "0", 0),
    Good("links.consent.scope", '"account"', ConsentScope.ACCOUNT),
    Good("links.consent.field", "1234", 1234),
    Good("links.consent.unsubscribed", '"No"', ...),
    Good("links.consent.subscribed", '"Yes"', ...),
    Good("links.consent.allow_planfix_release", "true", True),
    Good("receiver.listen", '"0.0.0.0:80"', Listen("0.0.0.0", 80)),
    Good("receiver.listen", '"localhost:0"', Listen("localhost", 0)),
    Good("receiver.admin_listen", '"[::1]:8788"', Listen("::1", 8788)),
    Good("receiver.email.token", '"k"', Secret("k")),
    Good("receiver.email.backend", '"news"', ...),
    Good("receiver.sms.login", '"acme"', ...),
    Good("receiver.sms.password", '"p"', Secret("p")),
    Good("receiver.sms.key", '"k"', Secret("k")),
    Good("receiver.sms.relay", '"gateway"', ...),
    Good("sms.name", '"gateway"', ...),
    Good("sms.type", '"planfix-sms"', SmsType.PLANFIX_SMS),
    Good("sms.type", '"kannel"', SmsType.KANNEL),
    Good("sms.url", '"http://127.0.0.1:13013/cgi-bin/sendsms"', ...),
    Good("sms.login", '"acme"', ...),
    Good("sms.password", '"p"', Secret("p")),
    Good("sms.key", '"k"', Secret("k")),
    Good("sms.sender", '"ACME"', ...),
    Good("alerts.sms.via", '"gateway"', ...),
    Good("alerts.sms.to", '["+49 151 1234-5678"]', ("+4915112345678",)),
    Good("alerts.command", '["/bin/page", "", "-v"]', ("/bin/page", "", "-v")),
    Good("alerts.after_failures", "1", 1),
    Good("log.level", '"debug"', LogLevel.DEBUG),
    Good("log.format", '"json"', "json"),
]

BAD = {
    "planfix.url": [
        "7",
        '""',
        '"example.com"',
        '"ftp://x.example.com"',
        '"http://x.example.com/"',
        '"http://127.0.0.1.example.com/"',
        f'"https://robot:{SECRET}@x.example.com/"',
        '"https://x.example.com/#a"',
        '"https://x.example.com:port/"',
        '"https://["',
        '"https://x y.example.com/"',
        '"https:///xml"',
    ],
    "planfix.account": ["7", '" "', '"a\\nb"'],
    "planfix.api_key": ["7", '""'],
    "planfix.token": ["7", '""'],
    "planfix.login": ["7", '""'],
    "planfix.password": ["7", '""'],
    "planfix.signature_secret": ["7", '""'],
    "planfix.page_size": ["0", "101", '"100"', "true", "1.0"],
    "planfix.requests_per_second": ["0", "-1.0", "nan", "inf", '"1"', "true"],
    "planfix.daily_calls": ["0", "1.5", "9999999999"],
    "retry.attempts": ["0", '"5"'],
    "retry.wait": ["1", '"0s"', '"1"', '"1.5s"', '"1 s"', '"-1s"', '"1w"', '"99999999999s"'],
    "retry.max_wait": ['"60"'],
    "retry.timeout": ['"s"', '"٣s"'],
    "store.path": ["7", '""', '"a\\u0000"'],
    "schedule.every": ["15", '"15"'],
    "schedule.cron": [
        "7",
        '"* * * *"',
        '"99 * * * *"',
        '"* * * * 1-5"',
        '"* * * * mon,2"',
        '"0 0 31 2 *"',
        '"0 0 x 2 *"',
    ],
    "schedule.timezone": ['"Europe"', '"Nowhere/X"', '"../../etc/passwd"', "1"],
    "backends.name": ["7", '""'],
    "backends.type": ["7", '"mailman3"', '"planfix"', '["planfix-json"]'],
    "links.name": ["7", '""'],
    "links.selection": ["7", '"12"', '"filter:"', '"filter:contact"', '"filter: template"'],
    "links.backend": ["7", '"old"'],
    "links.list": ["7", '""'],
    "links.list_id": ["true", "1.5", '""', "-1", "99999999999999999999"],
    "links.direction": ["7", '"both"', '"to-planfix"', '"to_list"'],  # its backend can't be read
    "links.conflict": ["7", '"lists"'],
    "links.new_subscribers": ["true", '"add"'],
    "links.vanished": ["7", '"keep"'],
    "links.limits": ["7"],
    "links.limits.removals": ["-1", '"200"', "true"],
    "links.limits.removals_percent": ["101", "0.5"],
    "links.limits.removals_floor": ["-1"],
    "links.consent": ["true"],
    "links.consent.scope": ['"links"'],
    "links.consent.field": ["0", '"1234"'],
    "links.consent.unsubscribed": ["7", '""'],
    "links.consent.subscribed": ["7", '""'],
    "links.consent.allow_planfix_release": ["1", '"true"'],
    "receiver.listen": [
        "8787",
        '"8787"',
        '"127.0.0.1"',
        '":8787"',
        '"::1:8787"',
        '"[::z]:8787"',
        '"[:1]:8787"',
        '"127.0.0.1:65536"',
        '"127.0.0.1:٣"',
        '"http://127.0.0.1:8787"',
    ],
    "receiver.admin_listen": ['"127.0.0.1:"'],
    "receiver.email": ["7", "{}", "[1]"],
    "receiver.email.token": ["7", '""'],
    "receiver.email.backend": ["7", '"new"'],
    "receiver.sms": ['"gateway"'],
    "receiver.sms.login": ["7", '""'],
    "receiver.sms.password": ["7", '""'],
    "receiver.sms.key": ["7", '""'],
    "receiver.sms.relay": ["7", '"gate"'],
    "sms.name": ["7", '""'],
    "sms.type": ["7", '"sms"', '"planfix"'],
    "sms.url": ['"http://sms.example.com/send"', f'"https://robot:{SECRET}@sms.example.com/"'],
    "sms.login": ["7", '""'],
    "sms.password": ["7", '""'],
    "sms.key": ["7", '""'],
    "sms.sender": ["7", '"A\\nB"'],
    "alerts.sms": ['"gateway"', "[]"],
    "alerts.sms.via": ["7", '"gate"'],
    "alerts.sms.to": [
        '"+4915112345678"',
        "[]",
        "[7]",
        '["call me"]',
        '["+12"]',
        '["+491511234567, 8"]',
    ],
    "alerts.command": ['"page"', "[]", "[1]", '["a", 1]', '[""]', '["a\\u0000"]'],
    "alerts.after_failures": ["0"],
    "log.level": ['"verbose"', "1"],
    "log.format": ['"text"'],
}


def keys() -> set[str]:
    """Return every key of the config, as section.key."""
    subtables = {heading.strip("[]"): cls for heading, cls in SUBTABLES.items()}
    classes = {**SECTIONS, **ARRAYS, **subtables}
    return {f"{name}.{row.name}" for name, cls in classes.items() for row in rows_of(cls)}


WHOLE = {  # what a section needs besides the key in question
    "receiver.email": 'token = "k"\nbackend = "news"',
    "receiver.sms": 'key = "k"\nrelay = "gateway"',
    "sms": GATEWAY,
    "alerts.sms": 'via = "gateway"\nto = ["+4915112345678"]',
    "links.consent": 'field = 7\nunsubscribed = "N"\nsubscribed = "Y"',
    **MINIMAL,
}


def body(section: str, key: str, toml: str) -> dict[str, str]:
    """Return a section of a config in which a key has this value, and what goes with it."""
    line = f"{key} = {toml}"
    whole = WHOLE.get(section, "")
    with_it = {"password": 'login = "robot"\n', "login": 'password = "p"\n'}.get(key, "")
    if with_it:
        whole = less(whole, "token", "key")
    if section == "sms" and toml == '"kannel"':
        whole, with_it = less(whole, "key"), 'login = "robot"\npassword = "p"\n'
    needed = {} if section == "sms" else {"sms": GATEWAY}
    return {**needed, section.replace(".", "__"): f"{less(whole, key)}\n{with_it}{line}"}


def test_every_key_is_tried_with_good_and_with_bad_values() -> None:
    tables = {
        f"{name}.{row.name}"
        for name, cls in {**SECTIONS, **ARRAYS}.items()
        for row in rows_of(cls)
        if row.kind in {TABLE, TABLES}
    }

    assert {case.key for case in GOOD} == keys() - tables
    assert set(BAD) == keys()


@pytest.mark.parametrize("case", GOOD, ids=lambda case: f"{case.key}={case.toml}")
def test_a_good_value_becomes_a_setting(tmp_path: Path, case: Good) -> None:
    section, _, key = case.key.rpartition(".")
    wanted = case.toml.strip('"') if case.value is ... else case.value

    found: Any = settings(tmp_path, config(**body(section, key, case.toml)))

    for step in section.split("."):
        found = getattr(found, step)
        found = found[0] if isinstance(found, tuple) else found
    name = "list_name" if case.key == "links.list" else key
    assert getattr(found, name) == wanted


@pytest.mark.parametrize(
    ("key", "toml"), [(key, toml) for key, values in BAD.items() for toml in values]
)
def test_a_bad_value_is_named_by_file_line_and_key(tmp_path: Path, key: str, toml: str) -> None:
    section, _, name = key.rpartition(".")
    text = config(**body(section, name, toml))
    line = text.split("\n").index(f"{name} = {toml}") + 1
    header = f"[[{section}]]" if section in ARRAY_TABLES else f"[{section}]"

    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text)

    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/config.toml:{line}: {header} {name}: ")
    assert "; " in message
    assert SECRET not in message


def test_the_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    found = settings(tmp_path, config())

    assert found.planfix.page_size == 100
    assert found.planfix.requests_per_second == 1.0
    assert found.planfix.daily_calls is None
    assert {key.name: getattr(found.retry, key.name) for key in fields(found.retry)} == {
        "attempts": 5,
        "wait": 1.0,
        "max_wait": 60.0,
        "timeout": 120.0,
    }
    assert found.store.path == Path("/var/lib/syncd/syncd.db")
    assert (found.schedule.every, found.schedule.cron) == (900.0, None)
    assert found.links[0].limits == Limits(removals=200, removals_percent=10, removals_floor=3)
    assert found.links[0] == Link(
        name="customers",
        selection=Selection("contact"),
        backend="news",
        list_name="Customers",
        direction=Direction.TO_LIST,
        conflict=Conflict.PLANFIX,
        new_subscribers=NewSubscribers.IGNORE,
        vanished=Vanished.UNSUBSCRIBE,
        consent=Consent(scope=ConsentScope.LINK, field=None, allow_planfix_release=False),
    )
    assert (found.receiver, found.sms) == (None, ())
    assert found.alerts == Alerts(sms=None, command=(), after_failures=3)
    assert (found.log.level, found.log.format) == ("info", "auto")


def test_an_empty_receiver_listens_on_this_machine(tmp_path: Path) -> None:
    found = settings(tmp_path, config(receiver="")).receiver

    assert found == Receiver(
        listen=Listen("127.0.0.1", 8787), admin_listen=Listen("127.0.0.1", 8788), email=(), sms=()
    )
    assert (str(Listen("127.0.0.1", 8787)), str(Listen("::1", 80))) == (
        "127.0.0.1:8787",
        "[::1]:80",
    )


def test_pushes_and_gateways_become_settings(tmp_path: Path) -> None:
    kannel = 'name = "kannel"\ntype = "kannel"\nurl = "http://localhost/"'
    found = settings(
        tmp_path,
        config(sms=f'{kannel}\nlogin = "us"\npassword = "p"')
        + f"[[sms]]{GATEWAY}"
        + '[[receiver.email]]\ntoken = "a"\nbackend = "news"\n'
        + '[[receiver.email]]\ntoken = "b"\nbackend = "news"\n'
        + '[[receiver.sms]]\nkey = "c"\nrelay = "kannel"\n'
        + '[alerts]\nsms = { via = "gateway", to = ["+4915112345678"] }\n',
    )

    assert found.receiver == Receiver(
        email=(
            EmailPush(token=Secret("a"), backend="news"),
            EmailPush(token=Secret("b"), backend="news"),
        ),
        sms=(SmsPush(key=Secret("c"), relay="kannel"),),
    )
    assert found.sms == (
        SmsGateway(
            name="kannel",
            type=SmsType.KANNEL,
            url="http://localhost/",
            login="us",
            password=Secret("p"),
        ),
        SmsGateway(
            name="gateway",
            type=SmsType.PLANFIX_SMS,
            url="https://sms.example.com/",
            key=Secret("k"),
        ),
    )
    assert found.alerts.sms == AlertSms(via="gateway", to=(phone_number("+4915112345678"),))


def test_a_cron_text_takes_the_place_of_the_interval(tmp_path: Path) -> None:
    found = settings(tmp_path, config(schedule='cron = "0 4 * * *"\ntimezone = "UTC"'))

    assert found.schedule.every is None
    assert found.schedule.cron == "0 4 * * *"
    assert found.schedule.timezone == ZoneInfo("UTC")


def test_relative_paths_begin_at_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n", encoding="utf-8")

    found = settings(
        tmp_path,
        config(
            planfix=without("planfix", "api_key", more='api_key = { file = "key" }'),
            store='path = "syncd.db"',
            backends='name = "news"\ntype = "embedded"\npath = "lists.db"',
        ),
    )

    assert found.planfix.api_key == Secret("from-file")
    assert found.store.path == tmp_path / "syncd.db"
    assert found.backends[0].options == FileOptions(path=tmp_path / "lists.db")


def test_optional_keys_of_a_backend_may_be_left_out(tmp_path: Path) -> None:
    some = 'name = "news"\ntype = "loose"\nfolder = "x"'
    none = 'name = "news"\ntype = "loose"'

    assert settings(tmp_path, config(backends=some)).backends[0].options == LooseOptions(
        folder=tmp_path / "x"
    )
    assert settings(tmp_path, config(backends=none)).backends[0].options == LooseOptions()


def test_no_setting_shows_its_secret(tmp_path: Path) -> None:
    assert SECRET not in repr(settings(tmp_path, config()))
