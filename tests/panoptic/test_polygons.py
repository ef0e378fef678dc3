"""Polygons cover the pixels of their segment exactly, and are valid; shapely is the oracle."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.geometry import box, shape
from shapely.ops import unary_union

from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.panoptic.polygons import segment_polygons, to_geojson

CELL = Category(3, "cell", True, (1, 2, 3))


def map_of(ids: np.ndarray) -> PanopticMap:
    return panoptic_map(ids.astype(np.int32), {int(key): CELL for key in np.unique(ids) if key})


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(lambda s: arrays(np.int32, s, elements=st.integers(0, 2)))
)
def test_any_map(ids: np.ndarray) -> None:
    panoptic = map_of(ids)
    features = to_geojson(panoptic)["features"]
    assert len(features) == len(panoptic)
    for feature, segment in zip(features, panoptic, strict=True):
        found = shape(feature["geometry"])
        rows, columns = np.nonzero(ids == segment.id)
        pixels = unary_union([box(x, y, x + 1, y + 1) for y, x in zip(rows, columns, strict=True)])
        assert found.is_valid
        assert found.area == segment.area
        assert found.symmetric_difference(pixels).area == 0


def test_a_hole_that_touches_the_outline_is_a_ring_of_its_own() -> None:
    ids = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]])  # the zeros meet in a corner
    panoptic = map_of(ids)
    [part] = segment_polygons(panoptic, panoptic.segments[0])
    assert len(part) == 2
    assert part[1].tolist() == [[1, 2], [2, 2], [2, 1], [1, 1]]


def test_parts_that_meet_in_a_corner_are_two_polygons() -> None:
    found = to_geojson(map_of(np.array([[5, 0], [0, 5]])))["features"][0]["geometry"]
    assert found["type"] == "MultiPolygon"
    assert found["coordinates"] == [
        [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]],
        [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]],
    ]


def test_what_a_feature_says() -> None:
    panoptic = panoptic_map(np.array([[0, 7, 7]], np.int32), {7: CELL}, {7: 0.75})
    content = json.loads(json.dumps(to_geojson(panoptic, "a.jpg")))
    assert (content["type"], content["name"]) == ("FeatureCollection", "a.jpg")
    [feature] = content["features"]
    assert feature["geometry"] == {"type": "Polygon", "coordinates": [[[1, 0], [3, 0], [3, 1], [1, 1], [1, 0]]]}
    assert feature["properties"]["classification"] == {"name": "cell", "color": [1, 2, 3]}
    assert feature["properties"]["measurements"] == {"score": 0.75}
    assert (feature["properties"]["score"], feature["properties"]["area"]) == (0.75, 2)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4)])
def test_no_segment_no_feature(shape: tuple[int, int]) -> None:
    assert to_geojson(map_of(np.zeros(shape)))["features"] == []
