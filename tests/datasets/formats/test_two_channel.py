"""`two-channel`: class and instance in the channels of one picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.maps import declare, paint, said
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
