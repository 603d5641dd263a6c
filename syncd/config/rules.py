"""What the keys must be to each other: contradictions, each named with both of its lines."""

from collections.abc import Mapping, Sequence
from typing import Final

from syncd.config.kinds import did_you_mean
from syncd.config.reading import Reading, Table

_CONSENT_FIELD: Final = ("field", "unsubscribed", "subscribed")


def check_rules(
    reading: Reading,
    sections: Mapping[str, Table],
    backends: Sequence[Table],
    links: Sequence[Table],
) -> None:
    """Report every contradiction; what is wrong by itself has been reported before."""
    _check_login(reading, sections["planfix"])
    _check_retry(reading, sections["retry"])
    _check_schedule(reading, sections["schedule"])
    _check_names(reading, backends)
    _check_places(reading, backends)
    _check_names(reading, links)
    names = [table.values["name"] for table in backends if "name" in table.values]
    for link in links:
        _check_backend(reading, link, names)
        _check_has_list(reading, link)
        _check_consent(reading, link)
    _check_lists(reading, links, "list")
    _check_lists(reading, links, "list_id")


def _check_login(reading: Reading, planfix: Table) -> None:
    if not planfix.values:  # the section itself is missing, which has been told
        return
    login = [key for key in ("login", "password") if key in planfix.raw]
    if "token" in planfix.raw:
        for key in login:
            line = reading.line(planfix, "token")
            reading.report(planfix.where, f"goes against token (line {line}); keep one", key)
    elif not login:
        reading.report(planfix.where, "has no way to log in; add token, or login and password")
    elif len(login) == 1:
        other = "password" if login == ["login"] else "login"
        reading.report(planfix.where, f"needs {other}; add it, or use token instead", login[0])


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


def _check_names(reading: Reading, tables: Sequence[Table]) -> None:
    first: dict[str, Table] = {}
    for table in tables:
        if "name" in table.values:
            other = first.setdefault(table.values["name"], table)
            if other is not table:
                line = reading.line(other, "name")
                reading.report(table.where, f"is taken (line {line}); write another", "name")


def _check_places(reading: Reading, backends: Sequence[Table]) -> None:
    """Refuse one service under two names: two links could feed the same list through it."""
    places = [{**table.raw, "name": None} for table in backends]
    for index, (table, place) in enumerate(zip(backends, places, strict=True)):
        if "type" in table.values and place in places[:index]:
            line = reading.line(backends[places.index(place)], "type")
            reading.report(
                table.where, f"is the backend of line {line} once more; use that one's name"
            )


def _check_backend(reading: Reading, link: Table, names: Sequence[str]) -> None:
    name = link.values.get("backend")
    if name is not None and name not in names:
        question = did_you_mean(name, names)
        remedy = question or "write the name of one, or add [[backends]]"
        reading.report(link.where, f"is the name of no backend; {remedy}", "backend")


def _check_has_list(reading: Reading, link: Table) -> None:
    if "list" not in link.raw and "list_id" not in link.raw:
        reading.report(link.where, "lacks list; add its name, or list_id")


def _check_lists(reading: Reading, links: Sequence[Table], key: str) -> None:
    first: dict[tuple[str, str], Table] = {}
    for link in links:
        if key not in link.raw or not {key, "backend"} <= link.values.keys():
            continue
        # An id is compared as text: 7 and "7" may well be the same list to the service.
        other = first.setdefault((link.values["backend"], str(link.values[key])), link)
        if other is not link:
            line = reading.line(other, key)
            reading.report(
                link.where, f"is fed by another link (line {line}); give each its own list", key
            )


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
