"""The gate counts what differs, whatever segments are called, and refuses too much of it."""

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.export.parity import Parity, differing_pixels
from unipan.panoptic.maps import PanopticMap, panoptic_map


def halves(left: int, right: int, edge: int = 5, classes: tuple[int, int] = (0, 0)) -> PanopticMap:
    ids = np.full((4, 10), right, np.int32)
    ids[:, :edge] = left
    named = {left: CATEGORIES[classes[0]], right: CATEGORIES[classes[1]]}
    return panoptic_map(ids, {key: value for key, value in named.items() if key})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (halves(1, 2), 0),
        (halves(7, 3), 0),  # other numbers
        (halves(1, 2, edge=6), 4),  # one column went over
        (halves(1, 2, classes=(0, 1)), 20),  # another class
        (halves(1, 0), 20),  # void
    ],
)
def test_pixels_are_compared_by_segment(other: PanopticMap, expected: int) -> None:
    assert differing_pixels(halves(1, 2), other) == expected
    assert differing_pixels(other, halves(1, 2)) == expected


def test_a_few_pixels_pass_and_more_do_not() -> None:
    Parity(pixels=10_000, differing=10, worst=(0.001, "a.png")).require()
    with pytest.raises(ValueError, match=r"0\.11% of the pixels.*most in a\.png"):
        Parity(pixels=10_000, differing=11, worst=(0.002, "a.png")).require()


def test_edited_scenes_pass_the_gate_too() -> None:
    Parity(pixels=10_000, edited=10, worst_edited=(0.001, "a.png")).require()
    with pytest.raises(ValueError, match=r"after edits .* 0\.11% of the pixels.*most in a\.png"):
        Parity(pixels=10_000, edited=11, worst_edited=(0.002, "a.png")).require()


def test_pq_may_not_change() -> None:
    truth = halves(1, 2)
    one, other = PanopticQuality(CATEGORIES), PanopticQuality(CATEGORIES)
    one.update(truth, truth, "a")
    other.update(truth, halves(1, 2, edge=6), "a")
    with pytest.raises(ValueError, match=r"PQ is 100\.00 with torch"):
        Parity(pixels=40, quality=(one, other)).require()
    Parity(pixels=40, quality=(one, one)).require()


def test_another_number_of_detections_is_told() -> None:
    found = Parity(images=1, pixels=9, largest=np.inf)
    assert "another number of detections" in "".join(found.lines())
    assert found.to_json()["largest_difference_of_p"] is None
