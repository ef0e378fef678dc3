"""What `to_coco()`, `save_ids()` and the converter to run lengths write, as pycocotools and hotcoco read it."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.panoptic.test_exports import result as drawn_result
from tests.tiny import CATEGORIES, draw
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.panoptic.maps import panoptic_map
from unipan.result import PanopticResult

Coco = Any
coco_api = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed (extra dev)")
cocoeval = pytest.importorskip("pycocotools.cocoeval")
masks = pytest.importorskip("pycocotools.mask")


def results() -> list[PanopticResult]:
    """Parts, holes, void, several things of a class, and scores."""
    found = [drawn_result()]
    for seed in range(4):
        sample = draw(seed, things=4)
        kinds = {segment.id: segment.category for segment in sample.truth}
        scored = panoptic_map(sample.truth.ids, kinds, {each: 0.5 + each % 50 / 101 for each in kinds})
        found.append(PanopticResult(scored.ids, scored.segments, sample.image, f"{seed}.png"))
    return found


def decoded(path: Path) -> np.ndarray:
    """The ids of a PNG, as COCO's own tools add them up: R + 256 G + 256^2 B."""
    rgb = np.asarray(Image.open(path)).astype(np.int64)
    return np.asarray(rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2])


def indexed(content: dict[str, Any]) -> Coco:
    """pycocotools' index of a JSON's content, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        made = coco_api.COCO()
        made.dataset = {"info": {}, **content}
        made.createIndex()
    return made


def average_precision(coco: Coco, kind: str) -> float:
    """Of annotations as detections of themselves."""
    rows = coco.loadAnns(coco.getAnnIds())
    found = [{key: row[key] for key in ("image_id", "category_id", "bbox", "segmentation")} for row in rows]
    scored = [{**row, "score": 1 - number / 1000} for number, row in enumerate(found)]
    if kind == "bbox":
        for row in scored:
            del row["segmentation"]
    with contextlib.redirect_stdout(io.StringIO()):
        run = cocoeval.COCOeval(coco, coco.loadRes(scored), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0])


def test_a_result_is_what_pycocotools_counts(tmp_path: Path) -> None:
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": CATEGORIES.to_coco()}
    for number, found in enumerate(results(), start=1):
        entry = found.to_coco(number)
        assert entry["image_id"] == number
        found.save_ids(tmp_path / entry["file_name"])
        ids = decoded(tmp_path / entry["file_name"])
        height, width = ids.shape
        content["images"].append({"id": number, "file_name": found.name, "height": height, "width": width})
        assert [row["id"] for row in entry["segments_info"]] == sorted(set(np.unique(ids).tolist()) - {0})
        for row, segment in zip(entry["segments_info"], found, strict=True):
            mask = masks.encode(np.asfortranarray(ids == row["id"]).astype(np.uint8))
            assert np.array_equal(masks.decode(mask) == 1, found.ids == segment.id)
            assert row["area"] == masks.area(mask) == segment.area
            assert row["bbox"] == masks.toBbox(mask).tolist()
            assert row["category_id"] == segment.category.id
            assert row["score"] == pytest.approx(segment.score, abs=1e-4)
            content["annotations"].append(
                {**row, "id": len(content["annotations"]) + 1, "image_id": number, "segmentation": mask}
            )
    coco = indexed(content)
    assert len(coco.getAnnIds()) == sum(map(len, results()))
    assert average_precision(coco, "segm") == average_precision(coco, "bbox") == 1.0


def test_run_lengths_of_a_dataset_are_what_pycocotools_counts(tmp_path: Path) -> None:
    made = results()
    with PanopticWriter(tmp_path / "data", CATEGORIES) as writer:
        for number, found in enumerate(made, start=1):
            writer.add(f"{number}.png", number, found)
    assert main(["data", "convert", str(tmp_path / "data"), f"rle:{tmp_path / 'rle'}"]) == 0
    coco = indexed(json.loads((tmp_path / "rle" / "instances.json").read_text()))
    for number, found in enumerate(made, start=1):
        rows = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
        for row, segment in zip(rows, found, strict=True):
            mask = coco.annToMask(row)
            assert np.array_equal(mask == 1, found.ids == segment.id)
            assert row["area"] == mask.sum() == segment.area
            assert row["bbox"] == masks.toBbox(masks.encode(np.asfortranarray(mask))).tolist()
            assert row["category_id"] == segment.category.id
    assert average_precision(coco, "segm") == average_precision(coco, "bbox") == 1.0


def test_the_official_algorithm_finds_a_result_equal_to_itself(tmp_path: Path) -> None:
    quality = pytest.importorskip("hotcoco", reason="hotcoco is not installed (extra dev)").panoptic.pq_compute
    rows = []
    (tmp_path / "ids").mkdir()
    for number, found in enumerate(results(), start=1):
        rows.append(found.to_coco(number))
        found.save_ids(tmp_path / "ids" / rows[-1]["file_name"])
    images = [{"id": row["image_id"], "file_name": row["file_name"]} for row in rows]
    content = {"images": images, "annotations": rows, "categories": CATEGORIES.to_coco()}
    (tmp_path / "ids.json").write_text(json.dumps(content))
    places = [str(tmp_path / "ids.json")] * 2 + [str(tmp_path / "ids")] * 2
    scores = quality(*places)
    assert [scores[group]["pq"] for group in ("All", "Things", "Stuff")] == [1.0, 1.0, 1.0]
