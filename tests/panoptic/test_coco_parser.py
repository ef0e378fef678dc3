"""The parser on its own; most of it is tested through the reader and the doctor."""

from typing import Any

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


@pytest.mark.parametrize("value", [0, 1, True, False, 1.0, None])
def test_iscrowd_is_0_or_1(value: Any) -> None:
    row = {"id": 5, "category_id": 1, "iscrowd": value}
    assert parse_segments({"image_id": 1, "segments_info": [row]}, {1}, "gt.json") == ({5: row}, [])


@pytest.mark.parametrize(("value", "meant"), [(1.5, 1), (-1, 1), (10**30, 1), ([], 0), ({}, 0), ("0", 0), ("1", 1)])
def test_any_other_iscrowd_is_a_finding(value: Any, meant: int) -> None:
    row = {"id": 5, "category_id": 1, "iscrowd": value}
    rows, findings = parse_segments({"image_id": 1, "segments_info": [row]}, {1}, "gt.json")
    assert rows[5]["iscrowd"] == meant
    assert [finding.kind for finding in findings] == ["number-type"]
    assert "`iscrowd`" in str(findings[0])
