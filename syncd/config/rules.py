"""What the keys must be to each other: contradictions, each named with both of its lines."""

from collections.abc import Mapping, Sequence
from typing import Final

from syncd.config.kinds import did_you_mean
from syncd.config.reading import Reading, Table
from syncd.config.settings import BackendType, SmsType, place_of
from syncd.core.link import ConsentScope, Direction, NewSubscribers, Vanished

_CONSENT_FIELD: Final = ("field", "unsubscribed", "subscribed")


def check_rules(
    reading: Reading,
    sections: Mapping[str, Table],
    arrays: Mapping[str, Sequence[Table]],
    types: Mapping[str, BackendType],
) -> None:
    """Report every contradiction; what is wrong by itself has been reported before."""
    backends, links, gateways = arrays["backends"], arrays["links"], arrays["sms"]
    _check_login(reading, sections["planfix"], "token")
    _check_retry(reading, sections["retry"])
    _check_schedule(reading, sections["schedule"])
    for tables in arrays.values():
        _check_unique(reading, tables, "name")
    _check_places(reading, backends)
    receiver = sections.get("receiver")
    by_name = {table.values["name"]: table for table in backends if "name" in table.values}
    for link in links:
        _check_reference(reading, link, "backend", backends, "backends")
        _check_has_list(reading, link)
        _check_consent(reading, link)
        _check_new_subscribers(reading, link)
        _check_vanished(reading, link)
        backend = by_name.get(link.values.get("backend", ""))
        if backend is not None:
            _check_direction(reading, link, backend, types, receives=receiver is not None)
    _check_fields(reading, links)
    _check_lists(reading, links, by_name, "list")
    _check_lists(reading, links, by_name, "list_id")
    for gateway in gateways:
        _check_login(reading, gateway, "key")
        _check_kannel(reading, gateway)
    if receiver is not None:
        _check_receiver(reading, receiver, backends, gateways)
    alert = sections["alerts"].values.get("sms")
    if isinstance(alert, Table):
        _check_reference(reading, alert, "via", gateways, "sms")


def _check_login(reading: Reading, table: Table, instead: str) -> None:
    """Report what is not either login and password, or what may stand `instead` of them."""
    if not table.values:  # the section itself is missing, which has been told
        return
    login = [key for key in ("login", "password") if key in table.raw]
    if instead in table.raw:
        for key in login:
            line = reading.line(table, instead)
            reading.report(table.where, f"goes against {instead} (line {line}); keep one", key)
    elif not login:
        reading.report(table.where, f"has no way to log in; add {instead}, or login and password")
    elif len(login) == 1:
        other = "password" if login == ["login"] else "login"
        reading.report(table.where, f"needs {other}; add it, or use {instead} instead", login[0])


def _check_retry(reading: Reading, retry: Table) -> None:
    wait, max_wait = retry.values.get("wait"), retry.values.get("max_wait")
    if wait is None or max_wait is None or wait <= max_wait:
        return
    given = "max_wait" in retry.raw
    other = f"line {reading.line(retry, 'max_wait')}" if given else f"{max_wait:.0f}s if not given"
    reading.report(retry.where, f"is longer than max_wait ({other}); raise that", "wait")


def _check_schedule(reading: Reading, schedule: Table) -> None:
    if "cron" not in schedule.raw:
        return
    schedule.values["every"] = None
    if "every" in schedule.raw:
        line = reading.line(schedule, "every")
        reading.report(schedule.where, f"goes against every (line {line}); keep one", "cron")


def _check_unique(reading: Reading, tables: Sequence[Table], *keys: str) -> None:
    """Report each table in which these keys, taken together, say what they say in another."""
    first: dict[tuple[object, ...], Table] = {}
    for table in tables:
        said = tuple(table.values.get(key) for key in keys)
        if None not in said:
            other = first.setdefault(said, table)
            if other is not table:
                line = reading.line(other, keys[0])
                reading.report(table.where, f"is taken (line {line}); write another", keys[0])


def _check_places(reading: Reading, backends: Sequence[Table]) -> None:
    """Refuse one service under two names: two links could feed the same list through it."""
    places = [{**table.raw, "name": None} for table in backends]
    for index, (table, place) in enumerate(zip(backends, places, strict=True)):
        if "type" in table.values and place in places[:index]:
            line = reading.line(backends[places.index(place)], "type")
            reading.report(
                table.where, f"is the backend of line {line} once more; use that one's name"
            )


def _check_reference(
    reading: Reading, table: Table, key: str, targets: Sequence[Table], array: str
) -> None:
    """Report a name that no table of an array has."""
    name = table.values.get(key)
    names = [target.values["name"] for target in targets if "name" in target.values]
    if name is not None and name not in names:
        question = did_you_mean(name, names)
        remedy = question or f"write the name of one, or add [[{array}]]"
        what = "backend" if array == "backends" else "gateway"
        reading.report(table.where, f"is the name of no {what}; {remedy}", key)


def _check_has_list(reading: Reading, link: Table) -> None:
    if "list" not in link.raw and "list_id" not in link.raw:
        reading.report(link.where, "lacks list; add its name, or list_id")


def _check_lists(
    reading: Reading, links: Sequence[Table], backends: Mapping[str, Table], key: str
) -> None:
    first: dict[tuple[str, ...], Table] = {}
    for link in links:
        backend = backends.get(link.values.get("backend", ""))
        if key not in link.raw or key not in link.values or backend is None:
            continue
        # Two backends may be one service, with a login each: what counts is where the list is.
        place = place_of(backend.values) or backend.values["name"]
        # Written in two ways it may well be the same to the service: 7 and "7", News and news.
        spelled = (*(part.rstrip("/") for part in place.split(" ")), str(link.values[key]))
        other = first.setdefault(tuple(part.casefold() for part in spelled), link)
        if other is not link:
            line = reading.line(other, key)
            reading.report(
                link.where, f"is fed by another link (line {line}); give each its own list", key
            )


def _check_direction(
    reading: Reading,
    link: Table,
    backend: Table,
    types: Mapping[str, BackendType],
    *,
    receives: bool,
) -> None:
    """Report a link that is to learn from a list of which nobody tells anything."""
    kind = types.get(backend.values.get("type", ""))
    if link.values.get("direction", Direction.TO_LIST) is Direction.TO_LIST:
        return
    if kind is None or kind.can_read:
        return
    reports = "token" in backend.raw  # which is what a list's reports are known by
    if reports and receives:
        return
    remedy = 'write "to-list"' + (", or add [receiver] for what the list reports" * reports)
    reading.report(link.where, f"needs a backend that can be read; {remedy}", "direction")


def _check_new_subscribers(reading: Reading, link: Table) -> None:
    if (
        link.values.get("new_subscribers") is NewSubscribers.CREATE
        and link.values.get("direction") is Direction.TO_LIST
    ):
        given = "direction" in link.raw
        other = f"line {reading.line(link, 'direction')}" if given else '"to-list" if not given'
        reading.report(
            link.where, f'goes against direction ({other}); write "ignore"', "new_subscribers"
        )


def _check_vanished(reading: Reading, link: Table) -> None:
    """Report a link that is to put people back on a list to which it writes nothing."""
    restores = link.values.get("vanished") is Vanished.RESTORE
    if restores and link.values.get("direction") is Direction.TO_PLANFIX:
        line = reading.line(link, "direction")
        message = f'goes against direction (line {line}); write "unsubscribe"'
        reading.report(link.where, message, "vanished")


def _check_consent(reading: Reading, link: Table) -> None:
    consent = link.values.get("consent")
    if not isinstance(consent, Table):
        return
    given = [key for key in _CONSENT_FIELD if key in consent.raw]
    missing = [key for key in _CONSENT_FIELD if key not in consent.raw]
    if given and missing:
        reading.report(
            consent.where, f"needs {' and '.join(missing)}; write all three, or none", given[0]
        )
    both = [consent.values.get(key) for key in ("unsubscribed", "subscribed")]
    if both[0] and both[0] == both[1]:
        line = reading.line(consent, "unsubscribed")
        message = f"is the same as unsubscribed (line {line}); write two values"
        reading.report(consent.where, message, "subscribed")
    if consent.values.get("allow_planfix_release") and not given:
        message = "needs field and its two values; take it out"
        reading.report(consent.where, message, "allow_planfix_release")


def _check_fields(reading: Reading, links: Sequence[Table]) -> None:
    """Refuse one field for the consent of several lists, unless it is the same for all of them."""
    first: dict[int, Table] = {}
    for link in links:
        consent = link.values.get("consent")
        if not isinstance(consent, Table) or consent.values.get("field") is None:
            continue
        other = first.setdefault(consent.values["field"], consent)
        scopes = {each.values.get("scope", ConsentScope.LINK) for each in (consent, other)}
        if other is not consent and scopes != {ConsentScope.ACCOUNT}:
            line = reading.line(other, "field")
            message = (
                f"is another link's too (line {line}); give each its own, or write"
                ' scope = "account" in both'
            )
            reading.report(consent.where, message, "field")


def _check_kannel(reading: Reading, gateway: Table) -> None:
    if gateway.values.get("type") is not SmsType.KANNEL:
        return
    if "key" in gateway.raw:
        line = reading.line(gateway, "type")
        message = f"goes against type (line {line}): kannel has none; write login and password"
        reading.report(gateway.where, message, "key")
    login, password = gateway.values.get("login"), gateway.values.get("password")
    for key, value in (("login", login), ("password", password and password.reveal())):
        if value and not (value.isascii() and value.isprintable()):
            message = "holds more than plain letters, digits and signs; kannel can't be sent it"
            reading.report(gateway.where, message, key)


def _check_receiver(
    reading: Reading, receiver: Table, backends: Sequence[Table], gateways: Sequence[Table]
) -> None:
    """Report pushes that lead nowhere or can't be told apart, and servers in one place."""
    pushes, messages = receiver.values.get("email", ()), receiver.values.get("sms", ())
    for push in pushes:
        _check_reference(reading, push, "backend", backends, "backends")
    for message in messages:
        _check_login(reading, message, "key")
        _check_reference(reading, message, "relay", gateways, "sms")
    _check_unique(reading, pushes, "token")
    _check_unique(reading, messages, "key")
    _check_unique(reading, messages, "login", "password")
    listen, admin = receiver.values.get("listen"), receiver.values.get("admin_listen")
    if listen is not None and listen == admin and listen.port:
        key = "admin_listen" if "admin_listen" in receiver.raw else "listen"
        other = "listen" if key == "admin_listen" else "admin_listen"
        line = f"line {reading.line(receiver, other)}" if other in receiver.raw else "if not given"
        reading.report(receiver.where, f"is the same as {other} ({line}); write another port", key)
