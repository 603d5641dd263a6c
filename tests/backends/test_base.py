"""What a service says, as it may be shown."""

import pytest

from syncd.backends.base import shortened


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Список не найден", "Список не найден"),
        ("bad <anna@example.com>, sorry", "bad … sorry"),
        ("bad anna%40example.com", "bad …"),
        ("bad anna&#64;example.com", "bad …"),
        ("bad anna＠example.com", "bad …"),
        ("two\nlines\x1b[31m\u2028three", "two lines [31m three"),
        ("x" * 300, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_a_services_words_are_short_and_hold_no_address(said: str, shown: str) -> None:
    assert shortened(said) == shown
