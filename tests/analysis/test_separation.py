"""AUC against counting all pairs, and what perfect and worthless affinities score."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tiny import CATEGORIES, draw, eager, tiny_config, tiny_network
from unipan.analysis.separation import AGAINST, RANKINGS, Separation, auc
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map
from unipan.scene import Scene


def test_auc_is_the_share_of_pairs() -> None:
    torch.manual_seed(0)
    ranking = torch.randint(0, 5, (4, 6)).float()  # with ties
    own, others = torch.zeros(4, 6, dtype=torch.bool), torch.zeros(4, 6, dtype=torch.bool)
    own[:2, :3], others[2:, 2:] = True, True
    pairs = [
        (float(ranking[a]) > float(ranking[b])) + 0.5 * (float(ranking[a]) == float(ranking[b]))
        for a, b in itertools.product(map(tuple, own.nonzero().tolist()), map(tuple, others.nonzero().tolist()))
        if a != (1, 1)
    ]
    assert auc(ranking, own, others, (1, 1)) == pytest.approx(sum(pairs) / len(pairs))


def sample_of(*things: tuple[int, int, int, int]) -> Sample:
    """Things of one class, as rows, columns of two corners in cells of 4 pixels, on sky."""
    sample = draw(0)
    ids = np.ones(sample.truth.ids.shape, np.int32)
    for number, (top, left, bottom, right) in enumerate(things):
        ids[4 * top : 4 * bottom, 4 * left : 4 * right] = 10 + number
    classes = {1: CATEGORIES[2]} | {10 + number: CATEGORIES[0] for number in range(len(things))}
    return replace(sample, truth=panoptic_map(ids, classes))


@pytest.fixture(scope="module")
def scene() -> Scene:
    config = eager(tiny_config())
    return Segmenter(tiny_network(config).eval(), config, CATEGORIES, {}, torch.device("cpu")).scene(draw(0).image)


def separation(scene: Scene, sample: Sample, of: Any) -> dict[str, Any]:
    """With affinities that are given, centred as they would be."""

    def rows(_head: object, _queries: Tensor, size: tuple[int, int], cells: Tensor, centre: Tensor) -> Tensor:
        assert scene.head is not None
        torch.testing.assert_close(centre, scene.head.project(scene.output.queries[0])[0].mean(1))  # type: ignore[index]
        return torch.stack([of(y, x) for y, x in cells.tolist()]).view(-1, *size)

    found = Separation()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unipan.analysis.separation.affinity_rows", rows)
        found.update(scene, sample.truth)
    scores = found.to_json()
    assert scores is not None
    return scores


def test_perfect_affinities_score_one_and_constant_ones_a_half(scene: Scene) -> None:
    sample = sample_of((1, 1, 5, 6), (1, 10, 5, 15))
    cells = torch.from_numpy(sample.truth.ids[2::4, 2::4].copy())
    perfect = separation(scene, sample, lambda y, x: (cells == cells[y, x]).float())
    constant = separation(scene, sample, lambda _y, _x: torch.ones(cells.shape))
    for against in AGAINST:
        assert perfect[against]["affinity"] == 1
        assert constant[against]["affinity"] == 0.5
        assert perfect[against]["things"] == 2
        assert set(perfect[against]) == {*RANKINGS, "things"}
    assert perfect["class"]["nearness"] > 0.999  # two compact things apart


def test_affinities_to_the_class_alone_do_not_separate_within_it(scene: Scene) -> None:
    sample = sample_of((1, 1, 5, 6), (1, 10, 5, 15))
    thing = torch.from_numpy(sample.truth.ids[2::4, 2::4] >= 10)
    scores = separation(scene, sample, lambda _y, _x: thing.float())
    assert scores["class"]["affinity"] == 0.5
    assert scores["all"]["affinity"] > 0.85


def test_a_thing_alone_in_its_class_counts_against_all_others_only(scene: Scene) -> None:
    scores = separation(scene, sample_of((1, 1, 5, 6)), lambda _y, _x: torch.ones(16, 24))
    assert scores["class"] == {"affinity": None, "V": None, "nearness": None, "things": 0}
    assert scores["all"]["things"] == 1


def test_parts_add_up_and_nothing_is_none(scene: Scene) -> None:
    assert Separation().to_json() is None
    samples, whole, parts = [draw(1), draw(2)], Separation(), []
    for sample in samples:
        part = Separation()
        part.update(scene, sample.truth)
        whole.update(scene, sample.truth)
        parts.append(part)
    together = (parts[0] + parts[1]).to_json()
    wanted = whole.to_json()
    assert together is not None
    assert wanted is not None
    for against in AGAINST:
        assert together[against] == pytest.approx(wanted[against])


def test_without_a_head_or_things_there_is_nothing(scene: Scene) -> None:
    found = Separation()
    found.update(replace(scene, head=None), draw(1).truth)
    found.update(scene, PanopticMap(np.zeros((64, 96), np.int32), ()))
    assert found.to_json() is None
