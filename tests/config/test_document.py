from pathlib import Path

import pytest

from syncd.config.document import parse, read
from syncd.errors import ConfigurationError

HERE = Path("config.toml")


def test_each_key_and_header_knows_its_line() -> None:
    text = '''a = 1 # b = 2
b.c = """x
[no]
no = 3 \\"""
"""""
["q.k" . t ] # c
d = [ # ]
  1979-05-27 07:32:00, 'x]',
  { e = "}", f.g = [[], [1]] },
]
'single' = \'\'\'
no = 1\'\'\'\'
[[l]]
n = 1
[l.lim]
r = 2
[[l]]

[l.lim]
r = 3
[[l.deep]]
x = {}
'''

    document = parse(text.replace("\n", "\r\n"), HERE)

    assert document.lines == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 2,
        ("q.k",): 6,
        ("q.k", "t"): 6,
        ("q.k", "t", "d"): 7,
        ("q.k", "t", "d", 0): 8,
        ("q.k", "t", "d", 1): 8,
        ("q.k", "t", "d", 2): 9,
        ("q.k", "t", "d", 2, "e"): 9,
        ("q.k", "t", "d", 2, "f"): 9,
        ("q.k", "t", "d", 2, "f", "g"): 9,
        ("q.k", "t", "d", 2, "f", "g", 0): 9,
        ("q.k", "t", "d", 2, "f", "g", 1): 9,
        ("q.k", "t", "d", 2, "f", "g", 1, 0): 9,
        ("q.k", "t", "single"): 11,
        ("l",): 13,
        ("l", 0): 13,
        ("l", 0, "n"): 14,
        ("l", 0, "lim"): 15,
        ("l", 0, "lim", "r"): 16,
        ("l", 1): 17,
        ("l", 1, "lim"): 19,
        ("l", 1, "lim", "r"): 20,
        ("l", 1, "deep"): 21,
        ("l", 1, "deep", 0): 21,
        ("l", 1, "deep", 0, "x"): 22,
    }


def test_a_key_that_is_missing_has_the_line_of_its_table() -> None:
    document = parse("\n[a]\nb = 1\n", HERE)

    assert document.line(("a", "c")) == 2
    assert document.line(("x", "y")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\n\nb = \n", "config.toml:3: is not valid TOML: invalid value"),
        ("a = 1\n[a\n", "config.toml:2: is not valid TOML: "),
        ("a = 1\na = 2\n", "config.toml:2: is not valid TOML: cannot overwrite a value"),
        ("a = " + "[" * 5000, "config.toml:1: is nested too deeply"),
        ("a = " + "9" * 5000, "config.toml:1: holds a number that is far too long"),
    ],
    ids=["no value", "open header", "twice", "deep", "long number"],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, HERE)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xef\xbb\xbfa = 1\n", ":1: begins with a byte order mark"),
        (b'a = 1\nb = "\xff"\n', ":2: is not in UTF-8"),
        ("a = 1\n".encode("utf-16"), ":1: is not in UTF-8"),
    ],
    ids=["mark", "latin", "utf-16"],
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(raw)

    with pytest.raises(ConfigurationError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}{message}")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    looping = tmp_path / "loop"
    looping.symlink_to(looping)
    cases = {
        tmp_path / "absent": "there is no such file",
        tmp_path: "is a directory",
        looping: "can't be read",
        tmp_path / "nul\0": "can't be read",
    }

    for path, message in cases.items():
        with pytest.raises(ConfigurationError, match=message):
            read(path)
