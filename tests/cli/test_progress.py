import io

import pytest

from syncd.cli.asked import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_pages_of_each_read(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)

    with progress() as tell:
        assert tell is not None
        for page in range(1, 4):
            tell(page, 3)
        tell(1, 7)

    assert "3/3" in terminal.getvalue()
    assert "1/7" in terminal.getvalue()


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())

    with progress() as tell:
        assert tell is None
