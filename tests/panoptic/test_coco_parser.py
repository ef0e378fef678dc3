"""What a JSON may say in the place of a number."""

from typing import Any

import pytest

from unipan.panoptic.coco_parser import parse_segments


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
