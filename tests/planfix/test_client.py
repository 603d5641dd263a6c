import base64
from collections.abc import Iterator

import pytest

from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    ItemError,
    QuotaError,
    SyncdError,
    TemporaryError,
)
from syncd.planfix.client import PlanfixClient, UnreadablePageError
from tests.planfix.conftest import Canned, Script, options

OK = b'<response status="ok"><sid>s-1</sid></response>'


def refusal(code: str) -> bytes:
    return f'<response status="error"><code> {code} </code></response>'.encode()


@pytest.fixture
def client(script: Script) -> Iterator[PlanfixClient]:
    client = PlanfixClient(options(script))
    yield client
    client.close()


def caught(client: PlanfixClient, method: str = "contact.getList", **how: bool) -> SyncdError:
    with pytest.raises(SyncdError) as error:
        client.call(method, {}, **how)
    return error.value


def test_a_token_goes_as_basic_authorisation(script: Script, client: PlanfixClient) -> None:
    script.replies = [OK]

    client.call("user.get", {"user": {"id": 1}}, silent=True)

    expected = base64.b64encode(b"key-of-ours:token-of-ours").decode()
    assert script.headers[0]["Authorization"] == f"Basic {expected}"
    assert script.requests[0].endswith(
        b'<request method="user.get"><account>acme</account><silent>1</silent>'
        b"<user><id>1</id></user></request>"
    )


def test_secrets_do_not_show(script: Script) -> None:
    assert "of-ours" not in repr(options(script, login="x", password="word-of-ours"))


@pytest.mark.parametrize(
    ("code", "on_read", "on_write"),
    [
        ("0001", AuthenticationError, AuthenticationError),
        ("0003", ConfigurationError, ItemError),
        ("0004", ConfigurationError, ConfigurationError),
        ("0005", AuthenticationError, AuthenticationError),
        ("5", TemporaryError, ItemError),
        ("0007", QuotaError, QuotaError),
        ("0011", TemporaryError, TemporaryError),
        ("0015", ConfigurationError, ItemError),
        ("0020", ConfigurationError, ConfigurationError),
        ("0024", ConfigurationError, ConfigurationError),
        ("1001", AuthenticationError, AuthenticationError),
        ("3014", TemporaryError, TemporaryError),
        ("6004", ConfigurationError, ConfigurationError),
        ("7002", ItemError, ItemError),
        ("8002", ItemError, ItemError),
        ("10001", ConfigurationError, ConfigurationError),
        ("9999", TemporaryError, ItemError),
    ],
)
def test_a_code_says_what_happens_next(
    script: Script,
    client: PlanfixClient,
    code: str,
    on_read: type[SyncdError],
    on_write: type[SyncdError],
) -> None:
    script.replies = [refusal(code)]

    errors = [caught(client), caught(client, write=True, repeatable=False)]

    assert [type(error) for error in errors] == [on_read, on_write]
    assert all(f"code {code}" in str(error) for error in errors)


def test_an_item_error_keeps_the_code(script: Script, client: PlanfixClient) -> None:
    script.replies = [refusal("8010")]

    error = caught(client, write=True)

    assert isinstance(error, ItemError)
    assert error.code == "8010"


def test_a_refused_token_is_told_with_the_remedy(script: Script, client: PlanfixClient) -> None:
    script.replies = [refusal("0020")]

    error = caught(client)

    assert str(error) == "Planfix refused our token for contact.getList (code 0020)"
    assert error.hint.startswith("Give the token this function in Account management")


def test_the_body_decides_before_the_status(script: Script, client: PlanfixClient) -> None:
    script.replies = [Canned(refusal("8002"), status=500)]

    assert isinstance(caught(client), ItemError)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Canned(b"<html>", 200), TemporaryError),
        (Canned(b"<html>", 403), AuthenticationError),
        (Canned(b"<html>", 404), ConfigurationError),
        (Canned(b"<html>", 302), ConfigurationError),
        (Canned(b"<html>", 429), TemporaryError),
        (Canned(b"<response status='ok'><a/>", 200), TemporaryError),
        (Canned(b"<response status='ok'><a></response>", 200), UnreadablePageError),
    ],
)
def test_what_is_no_reply_is_classed_by_its_status(
    script: Script, client: PlanfixClient, reply: Canned, expected: type[SyncdError]
) -> None:
    script.replies = [reply]

    assert type(caught(client)) is expected


def test_a_broken_answer_is_asked_for_again(script: Script, client: PlanfixClient) -> None:
    script.replies = [b"<response status='ok'>", OK]

    client.call("user.get", {})

    assert len(script.requests) == 2


def test_a_write_with_a_broken_answer_may_have_happened(
    script: Script, client: PlanfixClient
) -> None:
    script.replies = [b"<response status='ok'>", OK]

    error = caught(client, "contact.add", write=True, repeatable=False)

    assert isinstance(error, AmbiguousError)
    assert len(script.requests) == 1


def test_reading_stops_while_calls_are_left_for_writes(
    script: Script, client: PlanfixClient
) -> None:
    script.replies = [Canned(OK, headers={"X-RateLimit-Remaining": "999"})]
    client.call("contact.update", {}, write=True)

    with pytest.raises(QuotaError):
        client.call("contact.getList", {})


def test_a_budget_is_asked_before_each_request(script: Script, client: PlanfixClient) -> None:
    class Spent:
        def spend(self) -> None:
            raise QuotaError("used up")

    client = PlanfixClient(options(script), budget=Spent())

    with pytest.raises(QuotaError):
        client.call("user.get", {})
    assert script.requests == []


class TestLogin:
    @pytest.fixture
    def client(self, script: Script) -> Iterator[PlanfixClient]:
        client = PlanfixClient(options(script, token="", login="bot", password="word-of-ours"))
        yield client
        client.close()

    def test_the_session_goes_into_each_request(
        self, script: Script, client: PlanfixClient
    ) -> None:
        script.replies = [OK]

        client.call("user.get", {})
        client.call("user.get", {})

        assert script.methods() == ["auth.login", "user.get", "user.get"]
        assert script.texts("sid") == [None, "s-1", "s-1"]
        expected = base64.b64encode(b"key-of-ours:").decode()
        assert script.headers[0]["Authorization"] == f"Basic {expected}"

    @pytest.mark.parametrize("code", ["0005", "0012"])
    def test_an_ended_session_is_renewed_once(
        self, script: Script, client: PlanfixClient, code: str
    ) -> None:
        script.replies = [OK, refusal(code), OK, OK]

        client.call("user.get", {})

        assert script.methods() == ["auth.login", "user.get", "auth.login", "user.get"]

    def test_a_session_that_ends_twice_is_a_refusal(
        self, script: Script, client: PlanfixClient
    ) -> None:
        script.replies = [OK, refusal("0005"), OK, refusal("0005")]

        with pytest.raises(AuthenticationError):
            client.call("user.get", {})
        assert len(script.requests) == 4

    @pytest.mark.parametrize("code", ["0005", "1001"])
    def test_a_refused_login_is_not_repeated(
        self, script: Script, client: PlanfixClient, code: str
    ) -> None:
        script.replies = [refusal(code)]

        with pytest.raises(AuthenticationError) as error:
            client.call("user.get", {})
        assert script.methods() == ["auth.login"]
        assert "word-of-ours" not in str(error.value)
