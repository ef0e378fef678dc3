"""The line of a training: what matters is there at 80 columns, and no loss is cut off."""

import io
import re

import pytest
from rich.console import Console

from unipan.training.progress_line import losses_that_fit, training_line

LOSSES = {
    **{"rpn_objectness": 0.5953, "rpn_box": 0.0173, "box_class": 0.8758, "box_regression": 0.264, "mask": 2.0949},
    **{"semantic": 2.0567, "panoptic": 1.9616, "potential": 2.3031},
}


def drawn(width: int, terminal: bool = True, quality: float | None = 0.452) -> list[str]:
    """The states of the line, without colours and movements of the cursor."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width)
    with training_line(console, 4800, 1233, lambda: quality) as advance:
        advance(LOSSES)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    return [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.mark.parametrize(("width", "least"), [(80, 4), (100, 6), (160, 8)])
def test_count_time_and_quality_come_first_and_losses_are_whole(width: int, least: int) -> None:
    line = drawn(width)[-1]
    found = re.fullmatch(r"1234/4800 +(\d+:\d\d:\d\d|-:--:--) +PQ 45\.2 +\S+ +(.*)", line)
    assert found is not None, line
    assert len(line) <= width
    losses = found[2].split("  ")
    assert losses[:4] == ["P 1.96", "Psi 2.30", "V 2.06", "class 0.88"]
    assert len(losses) >= least
    assert all(re.fullmatch(r"[A-Za-z ]+ \d+\.\d\d", loss) for loss in losses)


def test_a_narrow_terminal_keeps_what_matters() -> None:
    line = drawn(50)[-1]
    assert line.startswith("1234/4800")
    assert "PQ 45.2" in line


def test_before_the_first_validation_there_is_no_quality() -> None:
    assert re.search(r"PQ +- ", drawn(80, quality=None)[-1])


def test_nothing_is_drawn_without_a_terminal() -> None:
    assert drawn(80, terminal=False) == []
    file = io.StringIO()
    with training_line(Console(file=file), 9, 0, lambda: None) as advance:
        advance(LOSSES)
    assert file.getvalue() == ""  # no empty line either


def test_a_loss_of_ones_own_is_shown_under_its_name() -> None:
    assert losses_that_fit({"my_term": 1.0, "mask": 0.5}, 40) == "mask 0.50  my term 1.00"
    assert losses_that_fit({"my_term": 1.0}, 5) == ""
