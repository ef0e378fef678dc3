import contextlib
import io
from typing import Any

import numpy as np
import pytest

from tests.evaluation.cases import CAR, CLASSES, of, random_pair
from unipan.evaluation.average_precision import AveragePrecision
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.runs import encode_rle, rles_of_ids

Fake = tuple[PanopticMap, np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]


def fake(seed: int) -> Fake:
    """Detections made from a disturbed copy of the truth, with ties among the scores."""
    truth, prediction = random_pair(seed, size=24)
    rng = np.random.default_rng(seed)
    things = [segment for segment in prediction if segment.isthing]
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (s.bbox for s in things)], float).reshape(-1, 4)
    classes = np.array([CLASSES.index_of_id[s.category.id] for s in things], np.int64)
    scores = rng.random(len(things)).round(1)
    return (
        truth,
        boxes + rng.normal(0, 0.2, boxes.shape),
        scores,
        classes,
        rles_of_ids(prediction.ids, [s.id for s in things]),
    )


def pycocotools_ap(fakes: list[Fake], kind: str) -> float:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    from pycocotools import mask as masks

    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, (panoptic, boxes, scores, classes, rles) in enumerate(fakes, start=1):
        for s in panoptic:
            if s.isthing:
                mask = masks.encode(np.asfortranarray(panoptic.ids == s.id).astype(np.uint8))
                index = CLASSES.index_of_id[s.category.id]
                truth.append(
                    {"id": len(truth) + 1, "image_id": image, "category_id": index, "bbox": list(s.bbox)}
                    | {"area": s.area, "iscrowd": int(s.iscrowd), "segmentation": mask}
                )
        for (x0, y0, x1, y1), score, label, rle in zip(boxes, scores, classes, rles, strict=True):
            shape = (
                {"bbox": [x0, y0, x1 - x0, y1 - y0]}
                if kind == "bbox"
                else {"segmentation": masks.frPyObjects(rle, *rle["size"])}
            )
            found.append({"image_id": image, "category_id": int(label), "score": float(score)} | shape)
    with contextlib.redirect_stdout(io.StringIO()):
        wanted = coco.COCO()
        wanted.dataset = {
            "info": {},
            "images": [{"id": i, "height": 24, "width": 24} for i in range(1, len(fakes) + 1)],
            "annotations": truth,
            "categories": [{"id": i, "name": c.name} for i, c in enumerate(CLASSES.things)],
        }
        wanted.createIndex()
        run = cocoeval.COCOeval(wanted, wanted.loadRes(found), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[0])


def collect(fakes: list[Fake], start: int = 0) -> AveragePrecision:
    ap = AveragePrecision(CLASSES)
    for number, (truth, boxes, scores, classes, rles) in enumerate(fakes, start=start):
        ap.update(truth, boxes, scores, classes, rles, f"{number:03d}")
    return ap


@pytest.mark.parametrize("seed", [0, 100])
def test_equals_pycocotools_with_crowds_and_ties(seed: int) -> None:
    fakes = [fake(seed + number) for number in range(25)]
    assert any(segment.iscrowd for truth, *_ in fakes for segment in truth)
    found = collect(fakes).compute()
    assert found["box"] == pytest.approx(pycocotools_ap(fakes, "bbox"), abs=1e-12)
    assert found["mask"] == pytest.approx(pycocotools_ap(fakes, "segm"), abs=1e-12)
    assert 0 < found["box"] < 1  # type: ignore[operator]


def test_parts_merge_in_any_order() -> None:
    fakes = [fake(number) for number in range(12)]
    merged = collect(fakes[5:], start=5) + collect(fakes[:5])
    assert merged.compute() == collect(fakes).compute()


def test_perfect_absent_and_mask_free() -> None:
    truth = of(["ccss", "ccss"])
    box, one, car = np.array([[0.0, 0, 2, 2]]), np.array([0.9]), np.array([CLASSES.index_of_id[CAR.id]])
    perfect = AveragePrecision(CLASSES)
    perfect.update(truth, box, one, car, [encode_rle(truth.ids == ord("c") * 1000)], "a")
    assert perfect.compute() == {"box": pytest.approx(1.0), "mask": pytest.approx(1.0)}
    free = AveragePrecision(CLASSES)
    free.update(truth, box, one, car, None, "a")
    assert free.compute() == {"box": pytest.approx(1.0), "mask": None}
    silent = AveragePrecision(CLASSES)
    silent.update(truth, np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), [], "a")
    assert silent.compute() == {"box": 0.0, "mask": 0.0}
    no_things = AveragePrecision(CLASSES)
    no_things.update(of(["ss", "ss"]), box, one, car, None, "a")
    assert no_things.compute() == {"box": None, "mask": None}
    assert AveragePrecision(CLASSES).compute()["box"] is None


def test_detections_beyond_the_limit_do_not_count() -> None:
    truth = of(["cs", "cs"])
    car = CLASSES.index_of_id[CAR.id]
    boxes = np.array([[1.0, 0, 2, 1], [0, 0, 1, 2]])
    for limit, expected in ((1, 0.0), (2, 0.5)):
        ap = AveragePrecision(CLASSES, max_detections=limit)
        ap.update(truth, boxes, np.array([0.9, 0.8]), np.array([car, car]), None, "a")
        assert ap.compute()["box"] == pytest.approx(expected, abs=0.01)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    ap = collect([fake(1)])
    truth, boxes, scores, classes, rles = fake(1)
    with pytest.raises(ValueError, match="000: this image was counted already"):
        ap.update(truth, boxes, scores, classes, rles, "000")
    with pytest.raises(ValueError, match="000: this image was counted in both parts"):
        ap + ap
    with pytest.raises(ValueError, match="as many scores"):
        ap.update(truth, np.zeros((1, 4)), np.zeros(1), np.zeros(1, np.int64), [], "b")
    with pytest.raises(ValueError, match="classes of detections run from 0 to 1"):
        ap.update(truth, np.zeros((1, 4)), np.zeros(1), np.array([2]), None, "b")
    with pytest.raises(ValueError, match="different settings"):
        ap + AveragePrecision(Categories(CLASSES.things))


def test_the_most_things_of_a_class_are_counted_without_crowds() -> None:
    precision = AveragePrecision(CLASSES)
    assert precision.most_things == 0
    truths = [fake(seed)[0] for seed in range(5)]
    nothing = np.zeros(0, np.int64)
    for number, truth in enumerate(truths):
        precision.update(truth, np.zeros((0, 4)), np.zeros(0), nothing, None, str(number))
    counts = [sum(s.category == c and not s.iscrowd for s in truth) for truth in truths for c in CLASSES.things]
    assert precision.most_things == max(counts) > 0
