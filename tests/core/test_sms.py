"""What counts as a phone number."""

import pytest

from syncd.core.sms import phone_number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+4915112345678", "+4915112345678"),
        ("8 (000) 000-00-03", "80000000003"),
        ("+49 [151] 123\u201145\u00a0678", "+4915112345678"),
        (" 70000000001", "+70000000001"),
        ("+1234567", "+1234567"),
        ("+123456789012345", "+123456789012345"),
        ("004915112345678", "004915112345678"),
    ],
)
def test_a_number_is_read_however_it_is_written(written: str, number: str) -> None:
    assert phone_number(written) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        "654321",
        "+1234567890123456",
        "+0123456789",
        "+70000000001,+70000000002",
        "+70000000001;+70000000002",
        "+7000000000a",
        "++70000000001",
        "+7.000.000.00.01",
        "٠١٢٣٤٥٦٧٨٩",
    ],
)
def test_what_is_not_one_number_is_refused_without_being_quoted(written: str) -> None:
    with pytest.raises(ValueError, match="not one phone number") as caught:
        phone_number(written)

    assert not written or written not in str(caught.value)
