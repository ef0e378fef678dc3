"""The figures below PQ: all of them from one pass, in JSON and in words, and merged from parts."""

import json

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.evaluation.boundary import BoundaryQuality
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.extra_metrics import ExtraMetric, extra_metrics
from unipan.evaluation.image_pair import ImagePair


def collect(seeds: range) -> dict[str, ExtraMetric]:
    found = extra_metrics(CLASSES)
    for seed in seeds:
        pair = ImagePair.of(*random_pair(seed), CLASSES, str(seed))
        for metric in found.values():
            metric.add(pair)
    return found


def as_json(found: dict[str, ExtraMetric]) -> dict[str, object]:
    text = json.dumps({name: metric.to_json() for name, metric in found.items()}, allow_nan=False)
    content: dict[str, object] = json.loads(text)
    return content


def test_the_json_holds_every_figure_and_no_nan() -> None:
    report = as_json(collect(range(6)))
    assert list(report) == ["boundary", "dagger", "covering", "iou", "thing_stuff", "errors"]
    boundary, errors = BoundaryQuality(CLASSES), ErrorDecomposition(CLASSES)
    for seed in range(6):
        boundary.update(*random_pair(seed), name=str(seed))
        errors.update(*random_pair(seed), name=str(seed))
    assert report["boundary"] == boundary.compute().to_json()
    assert report["errors"] == errors.compute().to_json()
    for name in ("dagger", "covering"):
        assert report[name].keys() == {"All", "Things", "Stuff"}  # type: ignore[attr-defined]
    assert json.dumps(as_json(extra_metrics(CLASSES))).count("null") > 10


def test_parts_merge() -> None:
    one, other = collect(range(4, 9)), collect(range(4))
    assert as_json({name: metric + other[name] for name, metric in one.items()}) == as_json(collect(range(9)))


def test_only_what_is_asked_for_is_counted() -> None:
    assert extra_metrics(CLASSES, explain=False) == {}
    assert list(extra_metrics(CLASSES, explain=False, page=True)) == ["iou", "errors"]
    assert list(extra_metrics(CLASSES, explain=False, trim_stuff=0)) == ["trim_stuff"]


def test_in_words() -> None:
    found = extra_metrics(CLASSES)
    assert found["boundary"].lines() == ["boundary PQ: -, -, -"]
    pair = ImagePair.of(of(["ccccss", "ccccss"]), of(["ssssss", "ssssss"]), CLASSES, "a")
    for metric in found.values():
        metric.add(pair)
    assert found["dagger"].lines() == ["PQ†: 16.7, 0.0, 33.3"]
    assert found["thing_stuff"].lines() == [
        "pixels of things: 0.0 as things, 100.0 as stuff, 0.0 as void",
        "pixels of stuff: 0.0 as things, 100.0 as stuff, 0.0 as void",
    ]
    errors = found["errors"].lines()
    assert len(errors) == 11
    assert errors[-1] == "  all repaired: PQ 100.0, 100.0, 100.0"
    # Renamed, the car has an IoU of 2/3, and the sky has no false positive any more: it is missed, though.
    assert "  thing lost to stuff: 33.3, 66.7, 0.0; 1 true, 1 predicted segments" in errors
