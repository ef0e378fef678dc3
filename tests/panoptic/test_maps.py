import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID, PanopticMap, class_map, panoptic_map

SKY, CAR = Category(5, "sky", False, (0, 0, 9)), Category(2, "car", True, (9, 0, 0))
CLASSES = Categories.of([SKY, CAR])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_areas_and_boxes_equal_boolean_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 4, 90_000, 256**3 - 1], rng.integers(1, 9, 2)).astype(np.int64)
    present = [key for key in (256**3 - 1, 4, 90_000) if (ids == key).any()]
    panoptic = panoptic_map(ids, dict.fromkeys(present, CAR), scores={4: 0.25}, crowds={4})
    assert [segment.id for segment in panoptic] == present
    assert panoptic.ids.dtype == np.int32
    for segment in panoptic:
        y, x = np.nonzero(ids == segment.id)
        assert segment.area == len(y)
        assert segment.bbox == (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)
        assert (segment.score, segment.iscrowd) == ((0.25, True) if segment.id == 4 else (1.0, False))


def test_maps_that_contradict_their_segments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.png: id 7 has pixels but no segment"):
        panoptic_map(np.array([[7]]), {}, source="a.png")
    with pytest.raises(ValueError, match=r"a\.png: segment id 3 is declared but has no pixel"):
        panoptic_map(np.array([[7]]), {7: CAR, 3: SKY}, source="a.png")
    with pytest.raises(ValueError, match=r"segment id 0 is outside 1\.\."):
        panoptic_map(np.array([[0]]), {0: CAR})
    with pytest.raises(ValueError, match="no pixels"):
        panoptic_map(np.zeros((0, 3), np.int32), {})
    assert len(panoptic_map(np.zeros((2, 2), np.int32), {})) == 0


def test_class_map() -> None:
    panoptic = panoptic_map(np.array([[0, 3], [9, 9]]), {9: SKY, 3: CAR}, crowds={3})
    assert class_map(panoptic, CLASSES).tolist() == [[VOID, 0], [1, 1]]
    with pytest.raises(ValueError, match=r"category id 5 \('sky'\) is not one of the 1 classes"):
        class_map(panoptic, Categories((CAR,)))
    empty = PanopticMap(np.zeros((0, 3), np.int32), ())
    assert class_map(empty, CLASSES).shape == (0, 3)
    assert class_map(PanopticMap(np.zeros((2, 3), np.int32), ()), CLASSES).tolist() == [[VOID] * 3] * 2
    with pytest.raises(ValueError, match="id 9 has pixels"):
        class_map(PanopticMap(panoptic.ids, panoptic.segments[1:]), CLASSES)
