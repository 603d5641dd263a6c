from pathlib import Path

import pytest

from syncd.config.secrets import Secret, Surroundings, WrongValueError, read_secret


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    (tmp_path / "key").write_text("s3cret\n", encoding="utf-8")
    (tmp_path / "windows").write_text("s3cret\r\n", encoding="utf-8")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "lines").write_text("s3cret\nmore\n", encoding="utf-8")
    (tmp_path / "latin").write_bytes(b"s3cret\xff")
    (tmp_path / "large").write_text("s3cret" * 20000, encoding="utf-8")
    return Surroundings(
        tmp_path, {"KEY": "s3cret", "EMPTY": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    )


@pytest.mark.parametrize(
    "value",
    [
        "s3cret",
        {"file": "key"},
        {"file": "windows"},
        {"env": "KEY"},
        {"credential": "key"},
    ],
    ids=str,
)
def test_a_secret_comes_from_text_file_environment_or_credential(
    surroundings: Surroundings, value: object
) -> None:
    assert read_secret(value, surroundings) == Secret("s3cret")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("s3cret\nmore", "has a line break"),
        (7, "is a whole number; write text, "),
        (["s3cret"], "is a list; write text, "),
        ({}, "is a table of another shape"),
        ({"file": 7}, "is a table of another shape"),
        ({"file": "key", "env": "KEY"}, "is a table of another shape"),
        ({"path": "key"}, "is a table of another shape"),
        ({"file": ""}, "names no file"),
        ({"file": "a\0b"}, "names no file"),
        ({"file": "absent"}, "can't be read from "),
        ({"file": "."}, "can't be read from "),
        ({"file": "empty"}, "is empty; put the secret into the file"),
        ({"file": "lines"}, "has a line break"),
        ({"file": "latin"}, "is no UTF-8 text"),
        ({"file": "large"}, "is far too long"),
        ({"env": "ABSENT"}, "names an environment variable that is not set"),
        ({"env": "EMPTY"}, "is empty; put the secret into the variable"),
        ({"credential": "absent"}, "can't be read from "),
        ({"credential": "../key"}, "names no credential"),
        ({"credential": ".."}, "names no credential"),
    ],
    ids=repr,
)
def test_what_is_no_secret_is_told_without_showing_it(
    surroundings: Surroundings, value: object, message: str
) -> None:
    with pytest.raises(WrongValueError) as caught:
        read_secret(value, surroundings)

    assert str(caught.value).startswith(message)
    assert "s3cret" not in str(caught.value)


def test_a_credential_outside_systemd_says_where_credentials_come_from(tmp_path: Path) -> None:
    with pytest.raises(WrongValueError, match="LoadCredential="):
        read_secret({"credential": "key"}, Surroundings(tmp_path, {}))


def test_a_secret_shows_itself_only_when_revealed() -> None:
    secret = Secret("s3cret")

    assert "s3cret" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "s3cret"
    assert {secret, Secret("s3cret")} == {secret}
    assert secret != "s3cret"
