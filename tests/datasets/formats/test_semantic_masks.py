"""`semantic-masks`: class and instances in two pictures, or one mask per instance."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.maps import declare, paint, said
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.label_picture import read_labels
from unipan.datasets.formats.semantic_masks import LOST, semantic_and_masks


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
    (tmp_path / "instances" / "x").mkdir()
    (tmp_path / "instances" / "x" / "1.png").symlink_to("gone.png")
    with pytest.raises(FileNotFoundError, match=r"1\.png: a link to gone\.png, where nothing is"):
        semantic_and_masks(tmp_path).truth(0)
    (tmp_path / "semantic" / "dead.png").symlink_to("gone.png")
    assert len(semantic_and_masks(tmp_path)) == 2


@pytest.mark.parametrize(("ending", "dtype"), [("npy", np.int64), ("tif", np.int32)])
def test_numbers_beyond_16_bits_in_other_files(ending: str, dtype: type, tmp_path: Path) -> None:
    """Parcel ids have seven digits, microscopes write TIFF."""
    semantic = np.array([[4, 4, 4, 4, 9], [7, 7, 9, 19, 19]])
    numbers = np.array([[3_512_001, 3_512_001, 3_512_002, 3_512_002, 0], [3_599_999, 3_599_999, 0, 0, 0]])
    declare(tmp_path)
    for part, values, kind in (("semantic", semantic, np.uint8), ("instances", numbers, dtype)):
        (tmp_path / part).mkdir()
        path = tmp_path / part / f"x.{ending}"
        np.save(path, values.astype(kind)) if ending == "npy" else Image.fromarray(values.astype(kind)).save(path)
    with pytest.raises(ValueError, match=rf"x\.{ending}: class 19 is not in .*--void-classes 19"):
        semantic_and_masks(tmp_path).truth(0)
    assert said(semantic_and_masks(tmp_path, FormatOptions(void_classes=(19,))).truth(0)) == {
        ("door", False, (0, 1)), ("door", False, (2, 3)), ("window", False, (5, 6)), ("wall", False, (4, 7)),
    }  # fmt: skip


def test_an_instance_on_no_thing_can_be_left_out(tmp_path: Path) -> None:
    paint(declare(tmp_path) / "semantic" / "x.png", [[9, 4, 9]], np.uint8)
    paint(tmp_path / "instances" / "x.png", [[5, 2, 5]], np.uint8)
    with pytest.raises(ValueError, match=r"instance 5 .*--strays leave-out"):
        semantic_and_masks(tmp_path).truth(0)
    data = semantic_and_masks(tmp_path, FormatOptions(strays="leave-out"))
    assert said(data.truth(0)) == {("door", False, (1,)), ("wall", False, (0, 2))}
    assert data.left_out.count(LOST) == 1


def test_one_picture_in_two_files_is_refused(tmp_path: Path) -> None:
    paint(declare(tmp_path) / "semantic" / "x.png", [[9]], np.uint8)
    np.save(tmp_path / "semantic" / "x.npy", np.array([[9]]))
    with pytest.raises(ValueError, match=r"x\.png: x\.npy is there too"):
        semantic_and_masks(tmp_path)
    np.save(tmp_path / "y.npy", np.array([[2**40]]))
    with pytest.raises(ValueError, match="more than 32 bits hold"):
        read_labels(tmp_path / "y.npy")
