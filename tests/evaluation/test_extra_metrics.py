"""What --explain shows below PQ, and that a metric of one's own is one class."""

import json
from dataclasses import dataclass
from operator import add
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan import evaluate_folders
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation.boundary import BoundaryQuality
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.extra_metrics import BatchMetric, ExtraMetric, extra_metrics
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch
from unipan.panoptic.maps import PanopticMap


def count(found: dict[str, ExtraMetric], pairs: dict[str, tuple[PanopticMap, PanopticMap]]) -> dict[str, ExtraMetric]:
    for name, (truth, prediction) in pairs.items():
        for metric in found.values():
            metric.add(ImagePair.of(truth, prediction, CLASSES, name))
    return found


def collect(seeds: range) -> dict[str, ExtraMetric]:
    return count(extra_metrics(CLASSES, trim_stuff=9), {str(seed): random_pair(seed) for seed in seeds})


def test_each_option_adds_its_own() -> None:
    assert [*extra_metrics(CLASSES, explain=False)] == []
    assert [*extra_metrics(CLASSES, explain=False, page=True)] == ["dagger", "covering", "iou", "errors"]
    assert [*extra_metrics(CLASSES, explain=False, trim_stuff=0)] == ["trim_stuff"]
    explained = ["boundary", "dagger", "covering", "iou", "thing_stuff", "errors"]
    assert [*extra_metrics(CLASSES)] == explained
    assert [*extra_metrics(CLASSES, page=True, trim_stuff=4)] == [*explained, "trim_stuff"]
    assert all(isinstance(metric, ExtraMetric) for metric in extra_metrics(CLASSES, trim_stuff=4).values())
    at_once = [name for name, metric in extra_metrics(CLASSES).items() if isinstance(metric, BatchMetric)]
    assert at_once == ["dagger", "covering", "iou", "thing_stuff", "errors"]


def test_several_images_at_once_give_the_same_bits() -> None:
    pairs = [ImagePair.of(*random_pair(seed), CLASSES, str(seed)) for seed in range(12)]
    batch = Batch.of([(pair.overlaps, pair.truth_segments, pair.prediction_segments) for pair in pairs])
    for name, metric in extra_metrics(CLASSES).items():
        if isinstance(metric, BatchMetric):
            together = extra_metrics(CLASSES)[name]
            assert isinstance(together, BatchMetric)
            together.add_batch(batch, [pair.name for pair in pairs])
            for pair in pairs:
                metric.add(pair)
            assert together.to_json() == metric.to_json(), name


def test_the_json_holds_every_figure_and_no_nan() -> None:
    found = {name: metric.to_json() for name, metric in collect(range(6)).items()}
    report = json.loads(json.dumps(found, allow_nan=False))
    boundary, errors = BoundaryQuality(CLASSES), ErrorDecomposition(CLASSES)
    for seed in range(6):
        boundary.update(*random_pair(seed), name=str(seed))
        errors.update(*random_pair(seed), name=str(seed))
    assert report["boundary"] == boundary.compute().to_json()
    assert report["errors"] == errors.compute().to_json()
    assert report["dagger"].keys() == report["covering"].keys() == {"All", "Things", "Stuff"}
    nothing = {name: metric.to_json() for name, metric in extra_metrics(CLASSES, trim_stuff=9).items()}
    assert json.dumps(nothing, allow_nan=False).count("null") > 10


def test_parts_merge() -> None:
    parts, whole = [collect(range(4, 9)), collect(range(4))], collect(range(9))
    for name, metric in whole.items():
        merged = add(*(part[name] for part in parts))
        assert merged.to_json() == metric.to_json()
        assert merged.lines() == metric.lines()


def test_in_words() -> None:
    pair = of(["ccccss", "ccccss"]), of(["ssssss", "ssssss"])
    found = {name: metric.lines() for name, metric in count(extra_metrics(CLASSES), {"a": pair}).items()}
    assert found["dagger"] == ["PQ†: 16.7, 0.0, 33.3"]
    assert found["thing_stuff"] == [
        "pixels of things: 0.0 as things, 100.0 as stuff, 0.0 as void",
        "pixels of stuff: 0.0 as things, 100.0 as stuff, 0.0 as void",
    ]
    assert len(found["errors"]) == 11
    assert found["errors"][-1] == "  all repaired: PQ 100.0, 100.0, 100.0"
    # Renamed, the car has an IoU of 2/3, and the sky has no false positive any more: it is missed, though.
    assert "  thing lost to stuff: 33.3, 66.7, 0.0; 1 true, 1 predicted segments" in found["errors"]
    assert extra_metrics(CLASSES)["boundary"].lines() == ["boundary PQ: -, -, -"]


@dataclass
class PixelAccuracy:
    """A metric of one's own, from nothing but the overlaps that PQ counts too: no base class, no registration."""

    right: int = 0
    all: int = 0

    def add(self, pair: ImagePair) -> None:
        self.right += int(pair.pixels[pair.same_class].sum())
        self.all += int(pair.truth_area.sum())

    def __add__(self, other: "PixelAccuracy") -> "PixelAccuracy":
        return PixelAccuracy(self.right + other.right, self.all + other.all)

    def to_json(self) -> float:
        return self.right / self.all

    def lines(self) -> list[str]:
        return [f"pixel accuracy: {100 * self.to_json():.1f}"]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_metric_of_ones_own_is_counted_beside_pq(tmp_path: Path, threads: int) -> None:
    pairs = [random_pair(seed, size=16) for seed in range(7)]
    for side, maps in zip(("truth", "prediction"), zip(*pairs, strict=True), strict=True):
        with PanopticWriter(tmp_path / side, CLASSES) as writer:
            for number, panoptic in enumerate(maps):
                writer.add(f"{number}.jpg", number, panoptic)
    given = PixelAccuracy()
    scores = evaluate_folders(
        tmp_path / "truth", tmp_path / "prediction", threads=threads, extra=lambda categories: [given]
    )
    [found] = scores.extra
    right = all_pixels = 0
    for truth, prediction in pairs:
        sides = [{s.id: s.category.id for s in side} | {0: 0} for side in (truth, prediction)]
        classes = [np.vectorize(side.get)(m.ids) for side, m in zip(sides, (truth, prediction), strict=True)]
        right += int(((classes[0] == classes[1]) & (classes[0] > 0)).sum())
        all_pixels += int((classes[0] > 0).sum())
    assert isinstance(found, PixelAccuracy)
    assert (found.right, found.all) == (right, all_pixels)
    assert found.lines() == [f"pixel accuracy: {100 * right / all_pixels:.1f}"]
    assert given == PixelAccuracy()  # copies count
