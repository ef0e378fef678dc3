"""Messages are read back as they were, and segments find the boxes that they come from."""

import gzip

import numpy as np
import pytest

from tests.server.clients import unpack
from unipan.datasets.scenes.generator import SCENE_CATEGORIES
from unipan.panoptic.maps import panoptic_map
from unipan.result import PanopticResult
from unipan.server.messages import AFFINITY_PIXELS, affinity_message, box_of_segments, pack, squeezed
from unipan.server.scenes import PageBox
from unipan.server.uploads import safe_name

CAR, BUS, SKY = SCENE_CATEGORIES[0], SCENE_CATEGORIES[1], SCENE_CATEGORIES[4]


def test_arrays_of_every_length_come_back() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "odd": rng.integers(0, 255, (3, 5), np.uint8),
        "ids": rng.integers(0, 60000, (7, 3)).astype(np.uint16),
        "values": rng.integers(-32767, 32767, (1, 1)).astype(np.int16),
    }
    header, found = unpack(gzip.decompress(squeezed(pack({"name": "Ψ"}, arrays))))
    assert header["name"] == "Ψ"
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_numbers_that_json_does_not_have_are_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({"margin": float("inf")}, {})


def test_segments_find_their_boxes() -> None:
    ids = np.zeros((20, 40), np.int32)
    ids[:8], ids[8:, :10], ids[8:, 10:20], ids[8:, 30:] = 1, 2, 3, 4
    classes = {1: SKY, 2: CAR, 3: CAR, 4: BUS}
    found = panoptic_map(ids, classes, {1: 0.9, 2: 1.0, 3: 1.0, 4: float(np.float32(0.3))})
    result = PanopticResult(found.ids, found.segments, np.zeros((20, 40, 3), np.uint8), "a")
    boxes = [
        PageBox((10, 8, 20, 20), 0, 1.0),
        PageBox((30, 8, 40, 20), 0, 0.3),  # a car of the bus's score, in its place
        PageBox((0, 8, 10, 20), 0, 1.0),
        PageBox((29, 7, 40, 20), 1, 0.3),
        PageBox((0, 0, 40, 8), 0, 0.9),  # of the sky's score
    ]
    assert box_of_segments(result, boxes, SCENE_CATEGORIES) == {2: 2, 3: 0, 4: 3}
    assert box_of_segments(result, [], SCENE_CATEGORIES) == {}


def test_affinities_of_large_images_are_sent_smaller() -> None:
    values = np.random.default_rng(0).normal(size=(1500, 1000)).astype(np.float32)
    header, arrays = unpack(affinity_message(values, 3, 4))
    assert arrays["affinity"].size <= AFFINITY_PIXELS * 1.01
    assert arrays["affinity"].shape[0] / arrays["affinity"].shape[1] == pytest.approx(1.5, abs=0.01)
    assert header["limit"] == pytest.approx(np.quantile(np.abs(values), 0.995), rel=0.05)
    header, arrays = unpack(affinity_message(np.zeros((4, 4), np.float32), 0, 0))
    assert header["limit"] > 0
    assert not arrays["affinity"].any()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("street.jpg", "street.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a.png", "a.png"),
        ("", "picture"),
        ("...", "picture"),
        ("a\x1b[31m.png", "a_[31m.png"),
        ("straße 1.jpg", "straße 1.jpg"),
        ("x" * 300 + ".jpeg", "x" * 110 + ".jpeg"),
        (".hidden", "hidden"),
    ],
)
def test_names_of_sent_pictures_are_file_names(given: str, wanted: str) -> None:
    assert safe_name(given) == wanted
