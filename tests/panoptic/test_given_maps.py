"""Maps as other programs hold them are read as what they are, or refused in a sentence."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import CATEGORIES, draw
from unipan.panoptic.given_maps import as_map
from unipan.panoptic.maps import PanopticMap

TRUTH = draw(3).truth
ROWS = [segment.to_coco() for segment in TRUTH]
LABELLED = [{"id": segment.id, "label_id": segment.category.id} for segment in TRUTH]


def same(found: PanopticMap, wanted: PanopticMap) -> bool:
    """The same pixels with the same classes, whatever the ids."""
    pairs = {(a, b) for a, b in zip(found.ids.ravel().tolist(), wanted.ids.ravel().tolist(), strict=True)}
    classes = [{0: "void"} | {s.id: s.category.name for s in each} for each in (found, wanted)]
    return len(pairs) == len(classes[0]) == len(classes[1]) and all(classes[0][a] == classes[1][b] for a, b in pairs)


def as_pairs(panoptic: PanopticMap) -> np.ndarray:
    """H x W x 2: category id and instance, a category id of its own for void."""
    pairs = np.full((*panoptic.ids.shape, 2), 999, np.int64)
    for segment in panoptic:
        pairs[panoptic.ids == segment.id] = (segment.category.id, segment.id)
    return pairs


@pytest.mark.parametrize(
    "given",
    [
        TRUTH,
        (TRUTH.ids, ROWS),
        (TRUTH.ids.astype(np.int64), {s.id: s.category.id for s in TRUTH}),
        (torch.from_numpy(TRUTH.ids).long(), ROWS),
        {"segmentation": torch.from_numpy(TRUTH.ids), "segments_info": LABELLED},
        {"segmentation": np.where(TRUTH.ids == 0, -1, TRUTH.ids), "segments_info": ROWS},
        as_pairs(TRUTH),
        torch.from_numpy(as_pairs(TRUTH)),
    ],
    ids=["map", "rows", "dictionary", "tensor", "transformers", "void below 0", "pairs", "tensor of pairs"],
)  # fmt: skip
def test_each_form_is_the_same_map(given: Any) -> None:
    assert same(as_map(given, CATEGORIES), TRUTH)


def test_nothing_found_is_void() -> None:
    """transformers gives floating-point -1 everywhere then."""
    found = as_map({"segmentation": torch.zeros(4, 5) - 1, "segments_info": []}, CATEGORIES)
    assert found.ids.tolist() == [[0] * 5] * 4
    assert len(found) == 0


def test_what_transformers_has_fused_is_listed_twice() -> None:
    sky = CATEGORIES.stuff[0].id
    rows = [{"id": 1, "label_id": sky, "was_fused": True, "score": 0.9}] * 2
    assert [s.area for s in as_map((np.ones((2, 3), int), rows), CATEGORIES)] == [6]


def test_crowds_and_scores_are_kept_and_instances_of_stuff_are_one_segment() -> None:
    ids = np.array([[1, 2]])
    rows = [{"id": 1, "category_id": 7, "iscrowd": 1, "score": 0.25}, {"id": 2, "category_id": 9}]
    first, second = as_map((ids, rows), CATEGORIES)
    assert (first.iscrowd, first.score, second.iscrowd, second.score) == (True, 0.25, False, 1.0)
    [first, _] = as_map((ids, [{**rows[0], "iscrowd": "0"}, rows[1]]), CATEGORIES)
    assert not first.iscrowd
    pairs = np.array([[[9, 1], [9, 2], [7, 1], [7, 2]]])
    assert sorted(segment.area for segment in as_map(pairs, CATEGORIES)) == [1, 1, 2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((np.ones((2, 2), int), [{"id": 1, "category_id": 77}]), "segment 1 has category id 77"),
        ((np.ones((2, 2), int), [{"id": 1}]), "segment 1 has category id None"),
        ((np.ones((2, 2), int), []), "1"),
        ((np.ones((2, 2), int), [{"id": 1, "category_id": 7}, {"id": 5, "category_id": 7}]), "segment id 5"),
        ((np.ones((2, 2), int), [{"id": 1, "category_id": 7}, {"id": 1, "category_id": 9}]), "listed twice"),
        ((np.full((2, 2), 0.5), {1: 7}), "ids are integers"),
        ((np.ones((2, 2, 3), int), {1: 7}), "shape \\(2, 2, 3\\)"),
        ((np.full((2, 2), 2**24), {2**24: 7}), "16777216"),
        ((np.ones((2, 2), int), ["car"]), "`id` and `category_id`"),
        ((np.ones((2, 2), int), None), "segments are rows"),
        ((np.ones((2, 2), int), [{"id": 1.5, "category_id": 7}]), "whole `id`"),
        ((np.ones((2, 2), int), [{"id": None, "category_id": 7}]), "whole `id`"),
        ((np.ones((2, 2), int), [{"id": 1, "category_id": 7.5}]), "category id 7.5"),
        ((np.ones((2, 2), int), [{"id": 1, "category_id": float("inf")}]), "category id inf"),
        ((np.ones((2, 2), int), [{"id": 1, "category_id": 7, "score": "high"}]), "score of segment 1 is no number"),
        ((np.full((2, 2), np.inf), {1: 7}), "ids are integers"),
        ((np.full((2, 2), 1e38), {1: 7}), "ids are integers"),
        ([[1], [1, 2]], "neither a map nor an array"),
        (np.ones((2, 2), int), "no panoptic map"),
        ({"masks": 1}, "segments_info"),
    ],
)
def test_what_is_no_map_is_told(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        as_map(given, CATEGORIES, "b.png, truth")
