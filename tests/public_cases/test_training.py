"""Sets from public trouble reports on which training stops or learns nothing elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.public_cases.tools import Make, Say, log_of, steps
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.evaluation.average_precision import AveragePrecision
from unipan.panoptic.runs import encode_rle

pytestmark = pytest.mark.real_data


def test_no_things(case: Make, unipan: Say, tmp_path: Path) -> None:
    root = case("no_things")
    status, said = steps(unipan, root / "half", tmp_path / "half")
    assert status == 0, said
    assert "train on 9 of the 10 images" in said  # those without a thing among them, as negatives
    assert "0.6 things an image" in said
    assert "PQ of things is 0" in said or "there is no PQ of things" in said
    for kind, why in (("none", "none is labelled"), ("crowds", "all 9 segments of thing classes are crowds")):
        status, said = steps(unipan, root / kind, tmp_path / kind)
        assert status == 0
        assert f"no thing is in any of these images, {why}" in said
        assert said.index(why) < said.index("ceiling") < said.index("iteration 1")
        assert "things –" in said
        assert {row["pq_things"] for row in log_of(tmp_path / kind)} == {""}
    assert "note: no thing is in any image" in unipan("data", "check", root / "none")[1]
    assert "note: all 10 segments of thing classes are crowds" in unipan("data", "check", root / "crowds")[1]


def test_dense(case: Make, unipan: Say, tmp_path: Path) -> None:
    folder = case("dense")
    status, said = steps(unipan, folder, tmp_path / "run")
    assert status == 0, said
    assert "300.0 things an image" in said
    assert said.index("proposals 750 750, at most 375 detections") < said.index("iteration 1")
    unipan("pq", folder, folder, "--json", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["strict"]["per_class"]["1"]["tp"] == 4 * 300
    evaluate = ("evaluate", tmp_path / "run" / "best.safetensors", folder, "--limit", 1)
    told = "AP takes 100 detections of an image and class, but an image has 300 things of one; --detections 300"
    assert told in unipan(*evaluate)[1]
    assert "AP takes" not in unipan(*evaluate, "--detections", 300)[1]


def test_dense_things_all_count_in_ap(case: Make) -> None:
    """Perfect detections of 300 things: AP is 1, unless only 100 of them are taken."""
    data = CocoPanoptic(case("dense"))
    for limit, wanted in ((300, 1.0), (100, 1 / 3)):
        precision = AveragePrecision(data.categories, max_detections=limit)
        for index in range(len(data)):
            truth = data.truth(index)
            things = [each for each in truth if each.isthing]
            corners = [(x, y, x + w, y + h) for x, y, w, h in (each.bbox for each in things)]
            masks = [encode_rle(truth.ids == each.id) for each in things]
            ones, zeros = np.ones(len(things)), np.zeros(len(things), np.int64)
            precision.update(truth, np.array(corners, float), ones, zeros, masks, str(index))
        found = precision.compute()
        assert found["box"] == pytest.approx(wanted, abs=0.01)
        assert found["mask"] == pytest.approx(wanted, abs=0.01)
