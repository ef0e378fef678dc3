"""`two-channel`: class and instance in the channels of one picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.formats.test_label_picture import grey_and_alpha
from tests.datasets.maps import declare, paint, said
from unipan.datasets.formats.bdd100k import bdd100k
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.two_channel import two_channel


def test_two_channels_as_panopticapi_kitti_and_grey_with_alpha(tmp_path: Path) -> None:
    classes, instances = np.array([[4, 4, 4, 0], [9, 9, 255, 7]]), np.array([[1, 2, 0, 0], [0, 0, 0, 3]])
    wanted = {
        ("door", False, (0,)), ("door", False, (1,)), ("door", True, (2,)), ("wall", False, (4, 5)),
        ("window", False, (7,)),
    }  # fmt: skip
    folder = declare(tmp_path) / "panoptic"
    zero = np.zeros_like(classes)
    paint(folder / "api.png", np.stack([zero, instances, classes], axis=2), np.uint8)  # opencv writes BGR
    paint(folder / "kitti.png", np.stack([instances, zero, classes], axis=2), np.uint8)
    Image.fromarray(np.stack([classes, instances], axis=2).astype(np.uint8), "LA").save(folder / "grey.png")
    for index in range(3):
        assert said(two_channel(tmp_path).truth(index)) == wanted
    paint(folder / "api.png", classes, np.uint8)
    with pytest.raises(ValueError, match=r"api\.png: it has one channel; two are needed"):
        two_channel(tmp_path).truth(0)


def test_grey_with_alpha_of_16_bits(tmp_path: Path) -> None:
    """Six doors that touch and a wall, numbered beyond 255."""
    classes = np.repeat([[4], [9]], 6, axis=1)
    instances = np.array([[301, 302, 303, 304, 305, 306], [0] * 6])
    path = declare(tmp_path) / "panoptic" / "a.png"
    path.parent.mkdir()
    path.write_bytes(grey_and_alpha(classes, instances))
    wanted = {("door", False, (place,)) for place in range(6)} | {("wall", False, tuple(range(6, 12)))}
    assert said(two_channel(tmp_path).truth(0)) == wanted
    with pytest.raises(ValueError, match=r"a\.png: it has 2 channels"):
        bdd100k(tmp_path).truth(0)
    zero = np.zeros_like(classes)
    paint(path, np.stack([zero, instances, classes], axis=2), np.uint16)
    with pytest.raises(ValueError, match=r"a\.png: 3 channels of 16 bits"):
        two_channel(tmp_path).truth(0)
    paint(path, np.stack([zero, instances, classes, zero], axis=2), np.uint16)
    with pytest.raises(ValueError, match=r"a\.png: its channels have 16 bits"):
        bdd100k(tmp_path).truth(0)


def test_arrays_of_lightly_train(tmp_path: Path) -> None:
    """Segments of all classes count from 0, and -1 is void whatever the class says."""
    labels = np.array([[4, 4, 4, 9], [9, 9, 0, 7]])
    segments = np.array([[0, 1, 1, 2], [2, 2, -1, 3]])
    path = declare(tmp_path) / "panoptic" / "a.npy"
    path.parent.mkdir()
    np.save(path, np.stack([labels, segments], axis=2))
    wanted = {("door", False, (0,)), ("door", False, (1, 2)), ("wall", False, (3, 4, 5)), ("window", False, (7,))}
    assert said(two_channel(tmp_path).truth(0)) == wanted
    np.save(path, np.stack([labels, np.where(segments == 3, 2, segments)], axis=2))
    with pytest.raises(ValueError, match=r"a\.npy: segment 2 is of class 7 and of class 9"):
        two_channel(tmp_path).truth(0)
    np.save(path, np.full((2, 2, 2), -1))
    assert len(two_channel(tmp_path).truth(0)) == 0


def test_instances_from_0_and_void_classes(tmp_path: Path) -> None:
    values = np.array([[[4, 0], [4, 1], [9, 0], [33, 5]]], np.uint8)
    (declare(tmp_path) / "panoptic").mkdir()
    Image.fromarray(values, "LA").save(tmp_path / "panoptic" / "a.png")
    options = FormatOptions(crowds="things", void_classes=(33,))
    assert said(two_channel(tmp_path, options).truth(0)) == {
        ("door", False, (0,)), ("door", False, (1,)), ("wall", False, (2,)),
    }  # fmt: skip
