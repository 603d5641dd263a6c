"""Keys that are unknown, missing or of another type, and the ways to a config."""

import stat
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from syncd.config.load import LATER_TYPES, find, load
from syncd.errors import ConfigurationError
from tests.config.worlds import (
    BACKENDS,
    MINIMAL,
    SECRET,
    config,
    problems,
    settings,
    without,
    write,
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            config(planfix=MINIMAL["planfix"] + "page_sise = 7"),
            'config.toml:6: [planfix] page_sise: is not known; did you mean "page_size"?',
        ),
        (
            config(log="colour = true"),
            "config.toml:17: [log] colour: is not known; known are format, level",
        ),
        (
            config(links__limits="removal = 7"),
            'config.toml:17: [links.limits] removal: is not known; did you mean "removals"?',
        ),
        (
            config(links__limits='"re\\nmoval" = 7'),
            "config.toml:17: [links.limits] 're\\nmoval': is not known; did you mean \"removals\"?",
        ),
        (
            config(backends=MINIMAL["backends"] + 'path = "x"'),
            "config.toml:11: [[backends]] path: is not known; known are name, token, type, url",
        ),
        (config(stor="x = 1"), 'config.toml:16: [stor]: is not known; did you mean "store"?'),
        (
            config(reciever="x = 1"),
            'config.toml:16: [reciever]: is not known; did you mean "receiver"?',
        ),
        (
            "colour = 1\n" + config(),
            (
                "config.toml:1: [colour]: is not known; known are "
                "alerts, backends, links, log, planfix, receiver, retry, schedule, sms, store"
            ),
        ),
        ("log = 7\n" + config(), "config.toml:1: [log]: is a whole number; write one [log]"),
        ("[[log]]\n" + config(), "config.toml:1: [log]: is a list; write one [log]"),
        (
            "[links]\n" + config().split("[[links]]")[0],
            "config.toml:1: [links]: is a table; write [[links]]",
        ),
        (
            config().split("[[backends]]")[1].join(["[[backends]]", ""]),
            "config.toml:1: [planfix]: is missing; add it, with url, account, api_key",
        ),
        (
            config(planfix=without("planfix", "account")),
            "config.toml:1: [planfix]: lacks account; add it: text",
        ),
        (
            config(backends=without("backends", "token")),
            "config.toml:6: [[backends]]: lacks token; add it: a secret",
        ),
        (
            config(links__consent="field = 7").replace("field", "scope"),
            'config.toml:17: [links.consent] scope: is a whole number; write "link" or "account"',
        ),
        (
            config(links=MINIMAL["links"] + 'direction = "tolist"'),
            'config.toml:16: [[links]] direction: is no known word; did you mean "to-list"?',
        ),
        (
            config(backends='name = "news"\ntype = "planfix_json"'),
            'config.toml:8: [[backends]] type: is no known word; did you mean "planfix-json"?',
        ),
    ],
)
def test_what_is_unknown_missing_or_of_another_type_is_told(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problems(tmp_path, text) == [problem]


@pytest.mark.parametrize("kind", LATER_TYPES)
def test_a_type_of_backend_that_is_to_come_is_refused(tmp_path: Path, kind: str) -> None:
    text = config(backends=f'name = "news"\ntype = "{kind}"\npassword = "{SECRET}"')

    [problem] = problems(tmp_path, text)

    assert problem.startswith(
        "config.toml:8: [[backends]] type: this version does not have it yet; write "
    )


def test_a_type_of_backend_is_there_as_soon_as_it_is_declared(tmp_path: Path) -> None:
    path = write(tmp_path, config(backends='name = "news"\ntype = "mailchimp"'))

    found = load(path, {"mailchimp": BACKENDS["loose"]}).settings

    assert found.backends[0].type == "mailchimp"


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = config(
        planfix=without("planfix", "url", "account", more='url = "x"'),
        log='level = "loud"',
        backends=without("backends", "type", more='type = "smoke"'),
        links=without("links", "list", "selection"),
    )

    found = problems(tmp_path, text)

    assert [problem.split(": ")[:2] for problem in found] == [
        ["config.toml:1", "[planfix]"],
        ["config.toml:4", "[planfix] url"],
        ["config.toml:9", "[[backends]] type"],
        ["config.toml:10", "[[links]]"],
        ["config.toml:10", "[[links]]"],
        ["config.toml:14", "[log] level"],
    ]


def test_an_empty_section_is_told_all_that_it_lacks(tmp_path: Path) -> None:
    assert problems(tmp_path, "[planfix]\n") == [
        "config.toml:1: [planfix]: has no way to log in; add token, or login and password",
        "config.toml:1: [planfix]: lacks account; add it: text",
        "config.toml:1: [planfix]: lacks api_key; add it: a secret",
        (
            "config.toml:1: [planfix]: lacks url; add it: "
            "an https:// address (http:// for this machine only)"
        ),
    ]


def test_backends_and_links_may_be_written_inline(tmp_path: Path) -> None:
    text = """
    links = []
    backends = [
      { name = "a", type = "embedded", path = "x" },
      { name = "b", type = "embedded", path = 7 },
    ]
    planfix.url = "https://api.example.com/xml/"
    planfix.account = "acme"
    planfix.api_key = "k"
    planfix.token = "t"
    """

    [problem] = problems(tmp_path, text)

    assert problem == "config.toml:5: [[backends]] path: is a whole number; write a path"


def test_a_config_with_a_secret_that_others_can_read_gets_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, config())

    for mode, warned in ((0o600, 0), (0o640, 1), (0o604, 1), (0o620, 0)):
        path.chmod(mode)
        warnings = load(path, BACKENDS).warnings
        assert len(warnings) == warned
        assert all(f"chmod 600 {path}" in text for text in warnings)
        assert SECRET not in str(warnings)


def test_a_config_that_only_points_to_its_secrets_may_be_read_by_anybody(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET, encoding="utf-8")
    text = config()
    for number in (1, 2, 3):
        text = text.replace(f'"{SECRET}-{number}"', '{ file = "key" }')
    path = write(tmp_path, text)
    path.chmod(path.stat().st_mode | stat.S_IROTH)

    assert load(path, BACKENDS).warnings == ()


def test_credentials_and_variables_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("one\n", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("NEWS_TOKEN", "two")
    text = config(
        planfix=without("planfix", "token", more='token = { credential = "key" }'),
        backends=without("backends", "token", more='token = { env = "NEWS_TOKEN" }'),
    )

    found = settings(tmp_path, text)

    assert found.planfix.token is not None
    assert found.planfix.token.reveal() == "one"
    assert found.backends[0].options.token == "two"


def test_the_config_is_found_as_asked_for_then_by_the_environment_then_in_etc() -> None:
    environ = {"SYNCD_CONFIG": "/b"}

    assert find("/a", environ) == Path("/a")
    assert find(None, environ) == Path("/b")
    assert find(None, {"SYNCD_CONFIG": ""}) == Path("/etc/syncd/config.toml")


def check(folder: Path, text: str) -> None:
    """Load a config that may be anything: only one kind of error may come of it."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    try:
        load(path, BACKENDS)
    except ConfigurationError as error:
        assert SECRET not in str(error)  # noqa: PT017  (most texts raise, a few load)


anything = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)

words = st.sampled_from(
    [
        "planfix",
        "links",
        "backends",
        "receiver",
        "sms",
        "email",
        "alerts",
        "listen",
        "to",
        "limits",
        "consent",
        "token",
        "url",
        "type",
        "name",
        "field",
        "cron",
        "list",
        "list_id",
        "every",
        "wait",
        "command",
        "direction",
        "a b",
        "é",
        "",
        "file",
    ]
)
scalars = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.sampled_from(["both", "embedded", "mailman3", "planfix-json", "http://[", "filter:", "1s"]),
    st.sampled_from(["* * * * *", "0 0 l x ?", "1-0 */0 last mon-x 5th", "\x7f", "../..", SECRET]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def toml(value: object) -> str:
    """Write a value as TOML on one line."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(v)}" for key, v in value.items()) + "}"
        case _:
            return str(value)


@anything
@given(st.text(max_size=200) | st.text("[]{}=\"'#.,\\\n\r \tab1_-", max_size=60))
def test_no_text_raises_anything_else(tmp_path: Path, text: str) -> None:
    check(tmp_path, text)


@anything
@given(st.dictionaries(words, values, max_size=5))
def test_no_toml_raises_anything_else(tmp_path: Path, document: dict[str, object]) -> None:
    check(tmp_path, "\n".join(f"{toml(key)} = {toml(v)}" for key, v in document.items()))


@anything
@given(st.sampled_from(sorted(MINIMAL)), words, values)
def test_no_value_of_a_key_raises_anything_else(
    tmp_path: Path, section: str, key: str, value: object
) -> None:
    check(tmp_path, config(**{section: without(section, key, more=f"{toml(key)} = {toml(value)}")}))


@anything
@given(st.text(string.printable[:95], max_size=20), st.text("0123456789*/-,lastmonjan ?#thx"))
def test_no_schedule_raises_anything_else(tmp_path: Path, timezone: str, cron: str) -> None:
    check(tmp_path, config(schedule=f"timezone = {toml(timezone)}\ncron = {toml(cron)}"))
