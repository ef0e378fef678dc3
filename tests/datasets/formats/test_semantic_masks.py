"""`semantic-masks`: class and instances in two pictures, or one mask per instance."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.maps import declare, paint, said
from unipan.datasets.formats.semantic_masks import semantic_and_masks


def test_semantic_picture_with_numbers_and_with_masks(tmp_path: Path) -> None:
    semantic = [[4, 4, 4, 9], [7, 7, 9, 0]]
    numbers = [[1, 1, 0, 1], [2, 2, 0, 0]]  # the door strays over the wall, and one door pixel has no instance
    paint(declare(tmp_path) / "semantic" / "x.png", semantic, np.uint8)
    paint(tmp_path / "instances" / "x.png", numbers, np.uint8)
    wanted = {
        ("door", False, (0, 1, 3)), ("door", True, (2,)), ("window", False, (4, 5)), ("wall", False, (6,)),
    }  # fmt: skip
    assert said(semantic_and_masks(tmp_path).truth(0)) == wanted
    (tmp_path / "instances" / "x.png").unlink()
    for number in (1, 2):
        paint(tmp_path / "instances" / "x" / f"{number}.png", np.array(numbers) == number, np.uint8)
    assert said(semantic_and_masks(tmp_path).truth(0)) == wanted


def test_instances_that_fit_no_thing_or_no_size_are_named(tmp_path: Path) -> None:
    paint(declare(tmp_path) / "semantic" / "x.png", [[9, 4]], np.uint8)
    paint(tmp_path / "instances" / "x.png", [[5, 0]], np.uint8)
    with pytest.raises(ValueError, match=r"x\.png: instance 5 lies on no thing class of"):
        semantic_and_masks(tmp_path).truth(0)
    paint(tmp_path / "instances" / "x.png", [[5], [0]], np.uint8)
    with pytest.raises(ValueError, match=r"it is \(2, 1\) but .* is \(1, 2\)"):
        semantic_and_masks(tmp_path).truth(0)
    (tmp_path / "instances" / "x.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"instances/x\.png: no such file"):
        semantic_and_masks(tmp_path).truth(0)
