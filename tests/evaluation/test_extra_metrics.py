import json

import numpy as np

from tests.evaluation.cases import CLASSES, of, random_pair
from unipan.evaluation.boundary import BoundaryQuality
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.extra_metrics import BesidePQ


def collect(seeds: range) -> BesidePQ:
    found = BesidePQ.of(CLASSES)
    for seed in seeds:
        found.update(*random_pair(seed), name=str(seed))
    return found


def test_the_json_holds_every_figure_and_no_nan() -> None:
    found = collect(range(6))
    report = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(report) == {"boundary", "dagger", "covering", "iou", "thing_stuff", "errors"}
    boundary, errors = BoundaryQuality(CLASSES), ErrorDecomposition(CLASSES)
    for seed in range(6):
        boundary.update(*random_pair(seed), name=str(seed))
        errors.update(*random_pair(seed), name=str(seed))
    assert report["boundary"] == boundary.compute().to_json()
    assert report["errors"] == errors.compute().to_json()
    assert report["dagger"].keys() == report["covering"].keys() == {"All", "Things", "Stuff"}
    assert json.dumps(BesidePQ.of(CLASSES).to_json(), allow_nan=False).count("null") > 10


def test_parts_merge() -> None:
    parts = collect(range(4, 9)) + collect(range(4))
    whole = collect(range(9))
    assert parts.to_json() == whole.to_json()
    np.testing.assert_array_equal(parts.segments.matrix, whole.segments.matrix)


def test_in_words() -> None:
    found = BesidePQ.of(CLASSES)
    found.update(of(["ccccss", "ccccss"]), of(["ssssss", "ssssss"]), "a")
    lines = found.describe()
    assert lines[1] == "PQ†: 16.7, 0.0, 33.3"
    assert lines[4:] == [
        "pixels of things: 0.0 as things, 100.0 as stuff, 0.0 as void",
        "pixels of stuff: 0.0 as things, 100.0 as stuff, 0.0 as void",
    ]
    errors = found.describe_errors()
    assert len(errors) == 11
    assert errors[-1] == "  all repaired: PQ 100.0, 100.0, 100.0"
    # Renamed, the car has an IoU of 2/3, and the sky has no false positive any more: it is missed, though.
    assert "  thing lost to stuff: 33.3, 66.7, 0.0; 1 true, 1 false segments" in errors
    assert BesidePQ.of(CLASSES).describe()[0] == "boundary PQ: -, -, -"
