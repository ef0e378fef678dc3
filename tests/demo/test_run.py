"""The demo on an untrained network: it runs, counts every scene, and marks telling pixels."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_inference import segmenter_of, tiny
from unipan.datasets.scenes.generator import Scenes
from unipan.demo.changes import right_pixels
from unipan.demo.run import pixel_to_mark, run_demo
from unipan.inference import Segmenter
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.presets import scenes, scenes_mask_free
from unipan.structures import Detections

CAR, ROAD = Category(1, "car", True, (9, 9, 9)), Category(2, "road", False, (5, 5, 5))


def two_cars() -> PanopticMap:
    ids = np.full((40, 80), 3, np.int32)
    ids[10:30, 5:30] = 1
    ids[10:30, 40:75] = 2
    return panoptic_map(ids, {1: CAR, 2: CAR, 3: ROAD})


def boxes(*rows: tuple[float, float, float, float]) -> Detections:
    count = len(rows)
    corners = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    return Detections(corners, torch.full((count,), 0.9), torch.zeros(count, dtype=torch.long))


def test_the_page_and_the_table_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, _ = run_demo(tmp_path / "demo", count=3, shown=2, segmenter=segmenter_of(tiny(scenes())))
    text = page.read_text(encoding="utf-8")
    assert len(re.findall("<article>", text)) == 2
    assert len(re.findall("<figure>", text)) == 16
    assert "3 scenes, seeds 2,000,000 to 2,000,002, never used in training" in text
    printed = capsys.readouterr().out
    assert all(
        word in printed for word in ("heuristic", "potential", "affinity", "All", "Things", "Stuff", "index.html")
    )


def test_a_mask_free_network_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fusion heuristic"):
        run_demo(tmp_path, count=1, segmenter=segmenter_of(tiny(scenes_mask_free())))
    assert not list(tmp_path.iterdir())


def test_what_cannot_work_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file; give another folder"):
        run_demo(tmp_path / "file", count=1)
    for count, seed0 in ((0, 5), (1, -1)):
        with pytest.raises(ValueError, match="--count from 1, --seed0 from 0"):
            run_demo(tmp_path / "demo", count, seed0)


def test_a_pixel_outside_its_box_comes_first() -> None:
    x, y, reason = pixel_to_mark(two_cars(), boxes((5, 10, 30, 30), (40, 10, 64, 30)))
    assert 64 <= x < 75
    assert 10 <= y < 30
    assert "car but lies outside its predicted box" in reason


def test_then_a_pixel_under_two_boxes() -> None:
    x, y, reason = pixel_to_mark(two_cars(), boxes((5, 10, 45, 30), (40, 10, 75, 30)))
    assert 40 <= x < 45
    assert 10 <= y < 30
    assert "boxes of other objects" in reason


def test_then_the_largest_thing_and_without_things_the_middle() -> None:
    x, y, reason = pixel_to_mark(two_cars(), boxes())
    assert 45 <= x < 70
    assert 15 <= y < 25
    assert "largest" in reason
    road = panoptic_map(np.ones((10, 20), np.int32), {1: ROAD})
    assert pixel_to_mark(road, boxes())[:2] == (10, 5)


def test_the_scene_with_the_largest_gain_comes_first(tmp_path: Path) -> None:
    page, _ = run_demo(tmp_path / "demo", count=4, shown=2, segmenter=Segmenter.load("scenes"))
    segmenter, gains = Segmenter.load("scenes"), {}
    for sample in Scenes(range(2_000_000, 2_000_004)):
        scene = segmenter.scene(sample.image)
        right = [int(right_pixels(sample.truth, scene.result(name)).sum()) for name in ("potential", "affinity")]
        gains[f"{sample.image_id:,}"] = right[1] - right[0]
    best = max(gains, key=lambda name: gains[name])
    assert gains[best] > 0
    first = re.search(r"<h2>Scene ([\d,]+)</h2>\s*<p[^>]*>(.*?)</p>", page.read_text(encoding="utf-8"))
    assert first is not None
    assert first[1] == best
    assert f"+{gains[best]:,}" in first[2].replace("&#43;", "+")
