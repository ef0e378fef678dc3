"""Panoptic JSON of detectron2 and mmdetection, and one-channel ids."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.datasets.maps import CLASSES, DOOR, SKY, WALL, parts, same, small_map, write_dataset
from unipan.datasets.formats.panoptic_json import panoptic_json
from unipan.panoptic.maps import panoptic_map
from unipan.panoptic.png import encode_png


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_ground_truth(tmp_path / "gt")


def write_ground_truth(folder: Path) -> Path:
    """The JSON of a dataset, which gives classes and images; its categories are listed stuff first."""
    path = write_dataset(folder) / "panoptic.json"
    content = json.loads(path.read_text())
    content["categories"].reverse()
    path.write_text(json.dumps(content))
    return path


def test_detectron2(truth: Path, tmp_path: Path) -> None:
    # The truth's JSON with new annotations, whose segments have neither area nor bbox nor iscrowd.
    content = json.loads(truth.read_text())
    for row in content["annotations"]:
        row["segments_info"] = [
            {"id": s["id"], "category_id": s["category_id"], "score": 0.5} for s in row["segments_info"]
        ]
    (tmp_path / "predictions.json").write_text(json.dumps(content))
    data = panoptic_json(tmp_path / "predictions.json", panoptic=truth.parent / "panoptic")
    assert data.image_ids == [100, 101, 102]
    assert {(c, p) for c, _, _, p in parts(data.truth(1))} == {(c, p) for c, _, _, p in parts(small_map(1))}
    assert {segment.score for segment in data.truth(1)} == {0.5}
    with pytest.raises(FileNotFoundError, match=r"0\.png: .*image 100.*--panoptic"):
        panoptic_json(tmp_path / "predictions.json")


def test_mmdetection(truth: Path, tmp_path: Path) -> None:
    # Annotations alone; id = class number + 1000 * instance; PNGs in PREFIX.panoptic/.
    ids = np.array([[1000, 1000, 2, 2000], [3, 3, 0, 0]], np.int32)
    (tmp_path / "x.panoptic").mkdir()
    (tmp_path / "x.panoptic" / "000000000101.png").write_bytes(encode_png(ids))
    rows = [(1000, 12), (2, 9), (2000, 12), (3, 7)]
    segments = [{"id": i, "category_id": c, "area": 1, "isthing": 1} for i, c in rows]
    annotation = {"image_id": 101, "segments_info": segments, "file_name": "000000000101.png"}
    (tmp_path / "x.panoptic.json").write_text(json.dumps({"annotations": [annotation]}))
    data = panoptic_json(tmp_path / "x.panoptic.json", classes=truth)
    assert data.file_names == ["1.png"]
    assert same(data.truth(0), panoptic_map(ids, {1000: SKY, 2: WALL, 2000: SKY, 3: CLASSES[1]}))
    for segment, number in zip(segments, (0, 3, 1, 2), strict=True):
        segment["category_id"] = number
    (tmp_path / "x.panoptic.json").write_text(json.dumps({"annotations": [annotation]}))
    found = panoptic_json(tmp_path / "x.panoptic.json", classes=truth, contiguous=True)
    listed = [row["name"] for row in json.loads(truth.read_text())["categories"]]
    assert [segment.category.name for segment in found.truth(0)] == [listed[number] for number in (0, 3, 1, 2)]
    with pytest.raises(ValueError, match=r"segment 1000: category id 0 is not in .*--contiguous"):
        panoptic_json(tmp_path / "x.panoptic.json", classes=truth).truth(0)
    with pytest.raises(FileNotFoundError, match=r"classes\.json: no such file, but this format"):
        panoptic_json(tmp_path / "x.panoptic.json")


def test_ids_of_16_bits(truth: Path, tmp_path: Path) -> None:
    ids = np.array([[300, 300, 60_000], [0, 5, 5]], np.uint16)
    (tmp_path / "p").mkdir()
    cv2.imwrite(str(tmp_path / "p" / "a.png"), ids)
    segments = [
        {"id": 300, "category_id": 4},
        {"id": 60_000, "category_id": 9},
        {"id": 5, "category_id": 4, "iscrowd": 1},
    ]
    annotation: dict[str, Any] = {"image_id": "a", "segments_info": segments, "file_name": "a.png"}
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"annotations": [annotation], "categories": CLASSES.to_coco()}))
    wanted = panoptic_map(ids.astype(np.int32), {300: DOOR, 60_000: WALL, 5: DOOR}, crowds={5})
    assert same(panoptic_json(path).truth(0), wanted)
    for change, message in (
        ({"segments_info": segments[:2]}, "id 5 has pixels but no segment"),
        ({"segments_info": [*segments, {"id": 8, "category_id": 4}]}, "segment id 8 is declared but has no pixel"),
        ({"segments_info": [*segments, segments[0]]}, "segment 300: this id appears twice"),
        ({"segments_info": [{"id": 300, "category_id": 4, "score": "x"}]}, "its `score` is 'x'"),
        ({"file_name": "../a.png"}, "leads out of"),
        ({"file_name": None}, "image 'a': .*`file_name`"),
    ):
        path.write_text(json.dumps({"annotations": [{**annotation, **change}], "categories": CLASSES.to_coco()}))
        with pytest.raises(ValueError, match=message):
            panoptic_json(path).truth(0)
