import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.simulator.planfix import SimulatedPlanfix
from tests.cli.conftest import CommandLine

NOTHING = dict.fromkeys(
    ("add", "update", "rename", "remove", "unsubscribe", "planfix_update", "planfix_create",
     "consent"),
    0,
)  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["--bogus"],
        ["--once", "status"],
        ["--dry-run", "check"],
        ["--json"],
        ["--link", "customers", "check"],
        ["--link", "nowhere", "--once"],
        ["--link", "nowhere"],
        ["--link", "nowhere", "status"],
        ["approve", "20260101T000000Z-0000"],
        ["rebase", "nowhere"],
        ["lists", "members", "nowhere"],
        ["lists", "unsubscribe", "nowhere", "anna@example.com"],
        ["lists", "delete", "nowhere", "--yes"],
        ["lists", "delete", "customers"],
        ["contacts", "delete", "1"],
        ["contacts", "access", "1", "grant"],
        ["contacts", "user-info", "1"],
        ["contacts", "contractors", "1"],
        ["contacts", "custom-data", "1", "Field=Yes"],
        ["forget", "nobody@example.com"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_wrong_usage(syncd: CommandLine, arguments: list[str]) -> None:
    done = syncd(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err
    assert "Traceback" not in done.err


def test_help_imports_nothing_that_takes_time() -> None:
    slow = "{'apscheduler', 'httpx', 'lxml', 'sqlmodel', 'structlog'}"

    loaded = subprocess.run(
        [sys.executable, "-c", f"import syncd.cli, sys; print({slow} & set(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert loaded.stdout == "set()\n"


@pytest.mark.parametrize("slow", ["apscheduler", "sqlalchemy", "starlette"])
def test_a_single_run_does_not_import_what_it_has_no_use_for(syncd: CommandLine, slow: str) -> None:
    check = (
        "import sys; from syncd.cli import run; code = run(['--once']);"
        f"sys.exit(code or any(name.startswith('{slow}') for name in sys.modules))"
    )

    with syncd.start("-c", check) as process:
        process.communicate()

    assert process.returncode == 0


def test_a_run_prints_the_run_document_and_nothing_else(syncd: CommandLine) -> None:
    done = syncd("--once", "--json", "--link", "customers")

    document = done.json()
    assert done.code == 0
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", document.pop("run"))
    assert document.pop("started") <= document.pop("finished")
    assert document == {
        "dry_run": False, "outcome": "ok", "exit_code": 0, "error": None,
        "links": [
            {
                "link": "customers", "outcome": "ok", "error": None,
                "planfix_read": 2, "list_read": 0, "certified": True,
                "planned": {**NOTHING, "add": 2}, "applied": {**NOTHING, "add": 2},
                "withheld": 0, "held": 0, "quarantined": 0,
            }
        ],
    }  # fmt: skip


def test_a_dry_run_shows_its_plan_and_writes_nothing(syncd: CommandLine) -> None:
    done = syncd("--dry-run", "--json")

    customers, _ = done.json()["links"]
    assert customers["applied"] == NOTHING
    assert [(op["op"], op["email"], op["old_email"]) for op in customers["operations"]] == [
        ("add", "anna@example.com", None),
        ("add", "boris@example.com", None),
    ]
    assert syncd("lists", "members", "customers").code == 2  # no list was made


def test_a_dry_run_for_people_is_a_table(syncd: CommandLine) -> None:
    done = syncd("--dry-run")

    assert done.code == 0
    assert re.search(r"OPERATION +CONTACT +E-MAIL", done.out)
    assert re.search(r"add +\d+ +anna@example\.com", done.out)


def test_a_run_for_people_says_what_was_done(syncd: CommandLine) -> None:
    done = syncd("--once")

    assert "customers: done" in done.out
    assert "applied: 2 add" in done.out
    assert "anna@" not in done.err


@pytest.mark.parametrize("option", ["--once", "--dry-run"])
def test_a_run_that_never_began_still_gives_a_document(syncd: CommandLine, option: str) -> None:
    (syncd.folder / "config.toml").write_text("[planfix]\n")

    done = syncd(option, "--json")

    document = done.json()
    assert (done.code, document["exit_code"], document["outcome"]) == (78, 78, "failed")
    assert document["error"]["kind"] == "configuration"
    assert document["dry_run"] is (option == "--dry-run")
    assert document["links"] == []
    assert "Error: " in done.err


def test_a_side_that_refuses_our_token_is_77(syncd: CommandLine) -> None:
    config = syncd.folder / "config.toml"
    config.write_text(re.sub(r'token = ".*"', 'token = "another"', config.read_text()))

    done = syncd("--once", "--json")

    assert (done.code, done.json()["links"][0]["error"]["kind"]) == (77, "authentication")
    assert "Error: customers: " in done.err
    assert "Try: " in done.err


def test_a_side_that_is_away_is_69(syncd: CommandLine, planfix: SimulatedPlanfix) -> None:
    config = syncd.folder / "config.toml"
    config.write_text(config.read_text().replace(planfix.url, "http://127.0.0.1:1/xml/"))

    done = syncd("--once", "--json")

    assert (done.code, done.json()["links"][0]["error"]["kind"]) == (69, "temporary")


def test_a_guard_refuses_with_4_and_names_the_command_that_releases(
    syncd: CommandLine, planfix: SimulatedPlanfix
) -> None:
    ids = [planfix.add(name=f"P{n}", email=f"p{n}@example.org") for n in range(20)]
    syncd("--once")
    for contact in ids:
        planfix.delete(contact)

    refused = syncd("--once", "--link", "customers")
    command = re.search(r"syncd approve (\S+)", refused.out)
    assert command is not None
    status = syncd("status")
    approved = syncd("approve", command[1])
    done = syncd("--once", "--json", "--link", "customers")

    assert refused.code == 4
    assert f"syncd approve {command[1]}" in status.out
    assert (approved.code, done.code) == (0, 0)
    assert "20 operations released" in approved.out
    assert done.json()["links"][0]["applied"]["remove"] == 20


def test_another_run_is_75(synced: CommandLine) -> None:
    holder = (
        "import sys; from pathlib import Path; from syncd.store.store import Store;\n"
        "with Store(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(synced.folder / "syncd.db")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

        done = synced("--once", "--json")
        process.kill()

    document = done.json()
    assert (done.code, document["error"]["kind"], document["links"]) == (75, "temporary", [])


def test_a_fault_of_our_own_is_70_with_a_traceback_only_in_the_log(synced: CommandLine) -> None:
    faulty = "from syncd.app import look; del look.status; from syncd.cli import main; main()"
    with synced.start("-c", faulty, "status") as process:
        _, err = process.communicate()

    assert process.returncode == 70
    assert "Error: A fault of syncd's own" in err
    (event,) = [json.loads(line) for line in err.splitlines() if line.startswith('{"')]
    assert "AttributeError" in event["exception"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [("status",), ("--once", "--json")])
def test_a_result_that_cant_be_written_is_told_in_words(
    synced: CommandLine, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with (
        Path("/dev/full").open("w") as full,
        synced.start("-m", "syncd", *command, stdout=full) as process,
    ):
        _, err = process.communicate()

    assert process.returncode == 70
    assert "Error: The result can't be written: No space left on device." in err
    assert "Traceback" not in err


def test_a_terminal_without_some_letters_shows_the_others(
    synced: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    config = synced.folder / "config.toml"
    config.write_text(config.read_text().replace('"customers"', '"Kundschaft Süd"'))

    with synced.start("-m", "syncd", "status", stdout=subprocess.PIPE) as process:
        out, _ = process.communicate()

    assert (process.returncode, "Kundschaft S?d" in out) == (0, True)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_whoever_closes_the_outputs_wants_none(synced: CommandLine, closed: str) -> None:
    typed = f"exec {sys.executable} -m syncd --once --json {closed}"

    done = subprocess.run(
        ["/bin/sh", "-c", typed], cwd=synced.folder, capture_output=True, check=False,
        env={**os.environ, "SYNCD_CONFIG": str(synced.folder / "config.toml")},
    )  # fmt: skip

    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


def test_a_reader_who_has_gone_is_no_fault(synced: CommandLine) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with synced.start("-m", "syncd", "status", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate()

    assert (process.returncode, err) == (0, "")


def test_the_daemon_runs_at_once_and_ends_with_0(syncd: CommandLine) -> None:
    with syncd.start("-m", "syncd") as process:
        assert process.stderr is not None
        events: list[str] = []
        while events.count("run.closed") < 2:
            events.append(json.loads(process.stderr.readline())["event"])
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        process.communicate()

    assert (code, events.count("run.closed")) == (0, 2)
    assert syncd("status", "--json").json()["links"][0]["in_step"] is True


def test_check_says_what_fails_and_what_to_do(syncd: CommandLine) -> None:
    good = syncd("check")
    config = syncd.folder / "config.toml"
    config.write_text(re.sub(r'token = ".*"', 'token = "another"', config.read_text()))

    bad = syncd("check")

    assert (good.code, bad.code) == (0, 77)
    assert "FAIL" not in good.out
    assert re.search(r"^FAIL  Planfix: .*\n +Try: ", bad.out, re.MULTILINE)


def test_status_shows_every_link_and_the_next_run(synced: CommandLine) -> None:
    people = synced("status")
    document = synced("status", "--json").json()
    one = synced("--json", "--link", "firms", "status").json()

    assert re.search(r"customers +Customers +yes +2 ", people.out)
    assert [link["link"] for link in document["links"]] == ["customers", "firms"]
    assert document["next_run"] > document["last_run"]["finished"]
    assert [link["link"] for link in one["links"]] == ["firms"]


def test_history_tells_one_persons_story(synced: CommandLine) -> None:
    told = synced("history", "Anna@example.com")
    document = synced("history", "--json", "anna@example.com").json()
    nobody = synced("history", "nobody@example.com")

    assert "added to the list" in told.out
    assert [event["link"] for event in document] == ["customers"]
    assert (nobody.code, nobody.out) == (0, "Nothing is known of that address.\n")


def test_lists_and_their_members_are_shown(synced: CommandLine) -> None:
    lists = synced("lists", "--json").json()
    members = synced("lists", "members", "customers", "--json").json()
    table = synced("lists", "members", "customers")

    assert [(line["link"], line["pairs"], line["members"]) for line in lists] == [
        ("customers", 2, 2), ("firms", 0, 0),
    ]  # fmt: skip
    assert [member["email"] for member in members] == ["anna@example.com", "boris@example.com"]
    assert re.search(r"anna@example\.com +Anna +Berg +active", table.out)


def test_a_person_taken_off_a_list_stays_off(synced: CommandLine) -> None:
    taken_off = synced("lists", "unsubscribe", "customers", "anna@example.com")
    run = synced("--once", "--json", "--link", "customers").json()

    statuses = {
        member["email"]: member["status"]
        for member in synced("lists", "members", "customers", "--json").json()
    }
    assert taken_off.code == 0
    assert "Unsubscribed" in taken_off.out
    assert statuses == {"anna@example.com": "unsubscribed", "boris@example.com": "active"}
    assert run["links"][0]["applied"] == NOTHING


def test_forget_asks_nobody_where_there_is_no_terminal(synced: CommandLine) -> None:
    forgotten = synced("forget", "anna@example.com")

    assert forgotten.code == 0
    assert "Erased" in forgotten.out
    assert synced("history", "anna@example.com").out == "Nothing is known of that address.\n"


def test_a_list_is_deleted_and_its_pairs_end(synced: CommandLine) -> None:
    deleted = synced("lists", "delete", "customers", "--yes")

    assert (deleted.code, "2 pairs ended" in deleted.out) == (0, True)


def test_rebase_forgets_the_pairs(synced: CommandLine) -> None:
    assert "2 pairs of customers forgotten" in synced("rebase", "customers").out


def test_backup_copies_the_store(synced: CommandLine, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"

    done = synced("backup", str(target))
    again = synced("backup", str(target))

    assert (done.code, again.code) == (0, 78)
    with sqlite3.connect(target) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


def test_contacts_are_worked_on_by_hand(syncd: CommandLine) -> None:
    added = syncd("--json", "contacts", "add", "clara@example.com", "--last-name", "Holm").json()
    contact = str(added["id"])
    updated = syncd("contacts", "update", contact, "--name", "Clara")
    card = syncd("contacts", "get", contact, "--json").json()
    listed = syncd("contacts", "list", "--email", "clara", "--json").json()
    deleted = syncd("contacts", "delete", contact, "--yes")
    gone = syncd("contacts", "get", contact)

    assert (updated.code, deleted.code, gone.code) == (0, 0, 1)
    assert (card["name"], card["last_name"], card["email"]) == (
        "Clara", "Holm", "clara@example.com",
    )  # fmt: skip
    assert [one["email"] for one in listed] == ["clara@example.com"]
    assert "Error: " in gone.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "--target", "filter:715"], 78, "syncd contacts filters"),
        (["get", "99999999999999999999"], 2, "not in the range"),
    ],
    ids=["no such filter", "no such number"],
)
def test_what_planfix_has_not_is_no_fault_of_ours(
    syncd: CommandLine, arguments: list[str], code: int, words: str
) -> None:
    done = syncd("contacts", *arguments)

    assert done.code == code
    assert words in done.err
    assert "fault of syncd's own" not in done.err


def test_a_filter_is_named_as_in_the_config_or_by_its_id(
    syncd: CommandLine, planfix: SimulatedPlanfix
) -> None:
    planfix.add_filter("715", "Newsletter", [planfix.add(email="anna@example.com")])

    told = [
        syncd("contacts", "list", "--target", target, "--json").json()
        for target in ("715", "filter:715")
    ]

    assert told[0] == told[1] != []


def test_contacts_are_found_by_an_additional_address_too(
    syncd: CommandLine, planfix: SimulatedPlanfix
) -> None:
    clara = planfix.add(
        name="Clara", email="clara@example.com", secondary_emails=("clara@example.org",)
    )

    both, further = (
        syncd("contacts", "list", "--email", part, "--json").json()
        for part in ("clara@", "@example.org")
    )

    assert [one["id"] for one in both] == [one["id"] for one in further] == [clara]


@pytest.mark.parametrize("command", ["groups", "phone-types", "filters"])
def test_what_planfix_names_is_listed(syncd: CommandLine, command: str) -> None:
    done = syncd("contacts", command)

    assert done.code == 0
    assert done.out.startswith("ID")
    assert isinstance(syncd("contacts", command, "--json").json(), list)


def test_a_password_comes_from_standard_input_only(syncd: CommandLine) -> None:
    empty = syncd("contacts", "user-info", "1", "--password")
    as_argument = syncd("contacts", "user-info", "1", "--password", "5ecret")

    assert (empty.code, as_argument.code) == (2, 2)


def test_the_demo_needs_no_config(syncd: CommandLine) -> None:
    (syncd.folder / "config.toml").unlink()

    done = syncd("demo")

    assert (done.code, done.err) == (0, "")
    assert "syncd demo" in done.out
