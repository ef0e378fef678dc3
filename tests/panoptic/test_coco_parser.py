"""The parser on its own; most of it is tested through the reader and the doctor."""

import pytest

from unipan.panoptic.coco_parser import claims_by_id, one_segment, parse_segments, says_crowd


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), (True, True), (None, False), ("0", False), ("1", True), ("true", True), ("False", False)],
)
def test_iscrowd_is_compared_and_not_taken_for_true(value: object, crowd: bool) -> None:
    assert says_crowd(value) == crowd
    row = {"id": 1, "category_id": 1, "iscrowd": value}
    rows, _ = parse_segments({"image_id": 1, "segments_info": [row]}, {1}, "x.json")
    assert bool(rows[1]["iscrowd"]) == crowd


def test_rows_of_one_id() -> None:
    rows = [
        {"id": "3", "category_id": 1},
        {"id": 3, "category_id": "1", "bbox": [0, 0, 1, 1]},
        {"id": 0},
        None,
        {"id": -1},
    ]
    claims = claims_by_id({"segments_info": rows})
    assert {key: len(each) for key, each in claims.items()} == {3: 2, 0: 1}
    assert one_segment(claims[3])
    assert not one_segment([*claims[3], {"id": 3, "category_id": 2}])
    assert not one_segment([*claims[3], {"id": 3, "category_id": 1, "iscrowd": 1}])
    assert not one_segment([*claims[3], {"id": 3, "category_id": 1, "bbox": [5, 0, 1, 1]}])
