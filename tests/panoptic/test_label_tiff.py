"""Label pictures, as tifffile and Pillow read them."""

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from unipan.panoptic.categories import Category
from unipan.panoptic.label_tiff import label_tiff
from unipan.panoptic.maps import panoptic_map

CELL = Category(3, "Zelle ä", True, (1, 2, 3))


@pytest.mark.parametrize(
    ("largest", "kind"), [(1, np.uint16), (65535, np.uint16), (65536, np.uint32), (2**24 - 1, np.uint32)]
)
def test_ids_survive(largest: int, kind: type) -> None:
    ids = np.zeros((5, 7), np.int32)
    ids[1:3, 2:6] = largest
    data = label_tiff(panoptic_map(ids, {largest: CELL}), "a ä.jpg")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        [page] = file.pages
        assert page.dtype == kind
        assert np.array_equal(page.asarray(), ids)
        said = json.loads(page.description)
    assert said == {"image": "a ä.jpg", "void": 0, "classes": {str(largest): "Zelle ä"}}
    if kind is np.uint16:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), ids)


def test_nothing_is_zero() -> None:
    data = label_tiff(panoptic_map(np.zeros((2, 3), np.int32), {}))
    assert not np.asarray(Image.open(io.BytesIO(data))).any()
