import io
import json
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from syncd import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


@dataclass
class Wrapped:
    address: str


LOCAL = "a local value".upper()


def refuse(address: str) -> None:
    kept = LOCAL
    raise ValueError("no such member: " + address, len(kept))


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_what_is_bound(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(run="r1", link="customers"):
        structlog.get_logger().info("run.closed", added=3)

    (line,) = lines(stream)
    stamp = line.pop("timestamp")
    assert line == {
        "event": "run.closed", "level": "info", "run": "r1", "link": "customers", "added": 3,
    }  # fmt: skip
    assert stamp.endswith("Z")


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    structlog.get_logger().debug("operation.done")

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [
        ("auto", Terminal(), False),
        ("auto", io.StringIO(), True),
        ("json", Terminal(), True),
        ("console", io.StringIO(), False),
    ],
    ids=["auto on a terminal", "auto elsewhere", "json", "console"],
)
def test_the_style_follows_the_stream_only_where_it_is_auto(
    style: str, stream: io.StringIO, is_json: bool
) -> None:
    logs.configure("info", style, stream)

    structlog.get_logger().info("run.closed")

    assert stream.getvalue().startswith("{") is is_json


@pytest.mark.parametrize(
    "text",
    [
        "anna@example.com",
        "refused: anna.o'hara+news@example.com, says the list",
        "<anna@example.com>",
        "address='anna@example.com'",
        '"anna b"@example.com',
        "анна@пример.example.org",
        "https://lists.example.com/members/anna%40example.com?page=1",
        "mailto:anna@example.com",
        "bounce+anna=example.com@lists.example.com",
        "anna@[192.0.2.1]",
    ],
)
def test_no_address_is_written(stream: io.StringIO, text: str) -> None:
    structlog.get_logger().info(text, told=text, deep=[{"who": (text,)}], other=Wrapped(text))

    assert "nna" not in stream.getvalue()
    assert "анна" not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "authToken=5ecret",
        '{"authToken": "5ecret and more"}',
        "{'api_key': '5ecret'}",
        "<sid>5ecret</sid>",
        "<password>a 5ecret</password>",
        "Authorization: Basic 5ecret==",
        "authorization: Bearer 5ecret",
        "login=acme&password=5ecret&to=1",
        "a registered one: open 5ecret sesame",
        "a registered one in a URL: ?key=open%205ecret%20sesame",
    ],
)
def test_no_secret_is_written(stream: io.StringIO, text: str) -> None:
    logs.hide(["open 5ecret sesame", ""])

    structlog.get_logger().info(text, body=text, deep={"body": [text.encode()]})

    assert "5ecret" not in stream.getvalue()


@pytest.mark.parametrize("key", ["password", "token", "api_key", "authToken", "smtp_password"])
def test_a_value_whose_key_names_a_secret_is_not_written(stream: io.StringIO, key: str) -> None:
    structlog.get_logger().info("side.checked", **{key: "5ecret"}, deep={key: "5ecret"})

    assert "5ecret" not in stream.getvalue()


def test_innocent_words_stay(stream: io.StringIO) -> None:
    told = "customers: 3 of 40 removals withheld (limit 10 %); see syncd status"

    structlog.get_logger().info("link.withheld", told=told, share=0.075, last=None)

    (line,) = lines(stream)
    assert (line["told"], line["share"], line["last"]) == (told, 0.075, None)


def test_a_long_line_without_an_address_is_soon_redacted() -> None:
    text = "x" * 2_000_000 + "%41" + "y" * 2_000_000 + " @"

    assert logs.redact(text) == text


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_holds_no_local_value_and_no_address(style: str) -> None:
    stream = io.StringIO()
    logs.configure("info", style, stream)

    try:
        refuse("anna@example.com")
    except ValueError:
        structlog.get_logger().exception("run.failed")

    written = stream.getvalue()
    assert "Traceback (most recent call last)" in written
    assert "ValueError" in written
    assert "anna" not in written
    assert LOCAL not in written


def test_other_libraries_are_heard_from_warning_on(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("GET https://example.com/?token=5ecret")
    logging.getLogger("httpx").warning("%s refused", "anna@example.com")

    (line,) = lines(stream)
    line.pop("timestamp")
    assert line == {
        "event": "library.spoke", "level": "warning", "library": "httpx", "message": "… refused",
    }  # fmt: skip


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    logs.configure("info", "json", Full())

    structlog.get_logger().error("run.failed")


def test_configured_again_it_changes_for_loggers_that_exist(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    log.info("first.told")
    second = io.StringIO()

    logs.configure("warning", "json", second)
    log.info("second.told")
    log.warning("third.told")

    assert [line["event"] for line in lines(stream)] == ["first.told"]
    assert [line["event"] for line in lines(second)] == ["third.told"]


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listen as systemd's journal does, with a stream that leads there."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal,
        (tmp_path / "stderr").open("w+", encoding="utf-8") as stream,
    ):
        journal.bind(str(tmp_path / "journal"))
        journal.setblocking(False)
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        logs.configure("info", "auto", stream, journal=tmp_path / "journal")
        yield journal


def test_an_entry_of_the_journal_has_each_key_in_a_field(journal: socket.socket) -> None:
    with structlog.contextvars.bound_contextvars(run="r1", link="customers"):
        structlog.get_logger().warning("link.withheld", operations=3, why="anna@example.com\nleft")

    fields = entry(journal.recv(65536))
    assert json.loads(fields.pop("MESSAGE"))["event"] == "link.withheld"
    assert fields == {
        "PRIORITY": "4", "SYSLOG_IDENTIFIER": "syncd", "SYNCD_EVENT": "link.withheld",
        "SYNCD_RUN": "r1", "SYNCD_LINK": "customers", "SYNCD_OPERATIONS": "3",
        "SYNCD_WHY": f"{logs.HIDDEN}\nleft",
    }  # fmt: skip


def test_what_the_journal_does_not_take_is_a_line(journal: socket.socket, tmp_path: Path) -> None:
    journal.close()

    structlog.get_logger().info("run.closed")

    line = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert json.loads(line)["event"] == "run.closed"


def entry(sent: bytes) -> dict[str, str]:
    """Read an entry in the journal's native form."""
    fields = {}
    while sent:
        name, _, rest = sent.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            sent = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, sent = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    return fields
