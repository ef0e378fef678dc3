"""The bar of long work: on a terminal it shows the pace and the time left, elsewhere nothing."""

import io
import time

import pytest

from unipan.commands import progress
from unipan.commands.progress import progress_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("unit", ["images/s", ""])
def test_a_terminal_sees_the_pace_and_the_time_left(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress, "_REFRESH", 0.0)
    with progress_of("segmenting", 10, unit) as advance:
        for done in range(1, 6):
            time.sleep(0.02)
            advance(done, 10)
    shown = terminal.getvalue()
    assert "segmenting" in shown
    assert "50%" in shown
    assert "0:00:0" in shown
    assert ("images/s" in shown) == bool(unit)


def test_where_no_terminal_is_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of("segmenting", 10, "images/s") as advance:
        advance(1, 10)
    assert capsys.readouterr() == ("", "")
