"""What transformers returns, in memory and on disk."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.datasets.formats.test_panoptic_json import write_ground_truth
from tests.datasets.maps import DOOR, WALL, parts, same
from unipan.datasets.formats.classes import read_classes
from unipan.datasets.formats.huggingface import huggingface, huggingface_map
from unipan.panoptic.maps import panoptic_map


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_ground_truth(tmp_path / "gt")


def test_transformers_in_memory(truth: Path) -> None:
    classes = read_classes(truth, truth.parent)
    # Mask2Former: ids from 1, void 0.
    segmentation = torch.tensor([[1, 1, 0], [2, 2, 0]], dtype=torch.int32)
    info = [{"id": 1, "label_id": 4, "was_fused": False, "score": 0.9}, {"id": 2, "label_id": 9, "score": 0.8}]
    found = huggingface_map(segmentation, info, classes)
    assert parts(found) == parts(panoptic_map(segmentation.numpy(), {1: DOOR, 2: WALL}, {1: 0.9, 2: 0.8}))
    # EoMT: ids from 0, void -1.
    moved = huggingface_map(segmentation.numpy() - 1, [{**row, "id": row["id"] - 1} for row in info], classes)
    assert same(found, moved)
    # Nothing found: -1 everywhere, no segments.
    assert len(huggingface_map(-np.ones((2, 2)), [], classes)) == 0
    counted = huggingface_map([[1, 1]], [{"id": 1, "label_id": 0}], classes, contiguous=True)
    assert counted.segments[0].category == classes.listed[0]
    # A segment that a later one covered is still listed.
    assert len(huggingface_map([[1, 1]], [{"id": 1, "label_id": 4}, {"id": 2, "label_id": 4}], classes)) == 1
    for segmentation, info, message in (
        ([[1.5]], [{"id": 1, "label_id": 4}], "must be H x W whole numbers"),
        ([[1], [1, 1]], [], "the rows of `segmentation` differ in length"),
        ([[1]], [{"id": "x", "label_id": 4}], "needs an `id`, a whole number"),
        ([[1]], [{"id": 1, "label_id": 4}, {"id": 1, "label_id": 9}], "segment 1: it is listed as 'door' and as 'w"),
        ([[1, 3]], [{"id": 1, "label_id": 4}], "id 3 has pixels but no segment"),
        ([[1]], [{"id": 1, "label_id": 77}], "segment 1: category id 77 is not in"),
        ([[1]], [{"id": 1, "label_id": 4, "score": "x"}], "its `score` is 'x'"),
    ):
        with pytest.raises(ValueError, match=message):
            huggingface_map(segmentation, info, classes)


def test_transformers_on_disk(truth: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    folder.mkdir()
    ids = np.array([[1, 1, -1], [300, 300, 0]])
    info = {"segments_info": [{"id": 1, "label_id": 4}, {"id": 300, "label_id": 9}]}
    (folder / "0.json").write_text(json.dumps({**info, "segmentation": ids.tolist()}))
    (folder / "1.json").write_text(json.dumps(info))
    np.save(folder / "1.npy", ids)
    (folder / "2.json").write_text(json.dumps(info))
    cv2.imwrite(str(folder / "2.png"), np.maximum(ids, 0).astype(np.uint16))
    data = huggingface(folder, truth)
    assert data.image_ids == [100, 101, 102]
    assert same(data.truth(0), data.truth(1))
    assert same(data.truth(0), data.truth(2))
    (folder / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2\.json: it has no `segmentation`"):
        huggingface(folder, truth).truth(2)
    (folder / "2.json").write_text("[]")
    with pytest.raises(ValueError, match=r"2\.json: `segments_info` must be a list"):
        huggingface(folder, truth).truth(2)


def test_fused_stuff_is_listed_for_each_query(truth: Path) -> None:
    classes = read_classes(truth, truth.parent)
    info = [
        {"id": 1, "label_id": 9, "was_fused": True, "score": 0.91},
        {"id": 2, "label_id": 4, "was_fused": False, "score": 0.8},
        {"id": 1, "label_id": 9, "was_fused": True, "score": 0.97},
    ]
    found = huggingface_map([[1, 1, 2]], info, classes)
    assert {(each.category.name, each.score) for each in found} == {("wall", 0.97), ("door", 0.8)}
    crowd = {"id": 1, "label_id": 4, "iscrowd": "0"}
    assert not huggingface_map([[1]], [crowd], classes).segments[0].iscrowd
    assert huggingface_map([[1]], [{**crowd, "iscrowd": "1"}], classes).segments[0].iscrowd
