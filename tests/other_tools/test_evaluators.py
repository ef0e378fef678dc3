"""Where other evaluators differ from the definition, as docs/evaluation.md says, and what we say in the same place."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unipan
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, panoptic_map

CLASSES = Categories(tuple(Category(n, name, n < 3, (0, 0, n)) for n, name in enumerate("abcd", 1)))


@pytest.fixture(scope="module")
def said(python_of: Callable[[str], str]) -> dict[str, float | None]:
    command = [python_of("evaluators"), "-W", "ignore", str(Path(__file__).with_name("evaluators.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float | None] = json.loads(done.stdout.split("SAID ")[1])
    return found


def our_pq(truth: PanopticMap, prediction: PanopticMap) -> float | None:
    metric = unipan.PanopticQuality(CLASSES)
    metric.update(truth, prediction)
    found = metric.compute()["All"]
    return found and found.pq


def drawn(*segments: tuple[int, slice]) -> PanopticMap:
    """Segments of whole columns: (category id, columns)."""
    ids = np.zeros((40, 40), np.int64)
    for number, (_, columns) in enumerate(segments, 1):
        ids[:, columns] = number
    return panoptic_map(ids, {number: CLASSES[category] for number, (category, _) in enumerate(segments, 1)})


def test_two_empty_maps(said: dict[str, float | None]) -> None:
    assert said["MONAI, two empty maps"] == 0
    assert said["empanada, two empty maps"] == 1
    assert said["panoptica, two empty maps"] is None  # NaN
    assert our_pq(drawn(), drawn()) is None


def test_half_of_an_object(said: dict[str, float | None]) -> None:
    assert said["panoptica, half of an object"] == 0.5
    assert our_pq(drawn((1, slice(10))), drawn((1, slice(5)))) == 0


def test_two_classes_of_four(said: dict[str, float | None]) -> None:
    assert said["lightly-train, two classes of four"] == 0.5
    same = drawn((1, slice(20)), (3, slice(20, 40)))
    assert our_pq(same, same) == 1
