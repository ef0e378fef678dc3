"""Swapping parts for the truth: what each swap puts in, and that nothing else changes."""

from dataclasses import replace

import pytest
import torch

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, Drawn, draw, eager, tiny_config, tiny_network
from unipan.analysis.ceiling import ceiling
from unipan.analysis.evaluate import evaluate
from unipan.analysis.oracles import (
    OWN,
    SWAPS,
    describe_oracles,
    oracle_swaps,
    perfect_semantic,
    swapped,
    true_detections,
)
from unipan.config import AffinityConfig, Config, LossConfig, PotentialConfig
from unipan.inference import Segmenter
from unipan.panoptic.categories import Categories


def segmenter_of(config: Config) -> Segmenter:
    config = eager(config)
    config = replace(config, inference=replace(config.inference, score_threshold=0.2))
    network = tiny_network(config)
    with torch.no_grad():
        network.train().backbone(torch.rand(4, 3, HEIGHT, WIDTH))
    return Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmenter_of(tiny_config())


def test_without_a_swap_it_is_evaluate_and_with_a_perfect_p_the_ceiling(segmenter: Segmenter) -> None:
    data = Drawn([3, 0, 2])
    seen: list[str] = []
    found = oracle_swaps(segmenter, data, each=seen.append)
    assert list(found) == list(SWAPS)
    assert seen == [data[index].name for index in range(3)]
    assert found[OWN].compute() == evaluate(segmenter, data, ["affinity"]).quality["affinity"].compute()
    assert found["perfect P"].compute() == ceiling(data, segmenter.config.data, 4).scores


def test_true_detections_are_the_things_of_the_truth(segmenter: Segmenter) -> None:
    sample = draw(3)
    scene = segmenter.scene(sample.image)
    found = true_detections(segmenter, scene, sample.truth)
    things = [segment for segment in sample.truth if segment.isthing]
    assert found.classes.tolist() == [CATEGORIES.index_of_id[segment.category.id] for segment in things]
    for box, segment in zip(found.boxes.tolist(), things, strict=True):
        x, y, width, height = segment.bbox
        assert box == pytest.approx([x, y, x + width, y + height])
    assert found.scores.tolist() == [1.0] * len(things)
    assert found.masks is not None
    assert found.masks.shape == (len(things), 28, 28)


def test_a_perfect_v_names_every_cell_that_is_not_void(segmenter: Segmenter) -> None:
    sample = draw(4)
    scene = segmenter.scene(sample.image)
    made = swapped(segmenter, scene, sample.truth)
    perfect, detections = made["perfect P"]
    v = perfect_semantic(perfect, detections, scene.semantic)
    classes = torch.cat([detections.classes, torch.arange(2, 4)])
    known = perfect.sum(0) > 0
    assert (v.argmax(0)[known] == classes[perfect.argmax(0)][known]).all()
    assert v.softmax(0).amax(0)[known].min() > 1 - 1e-6
    wholly_void = torch.zeros_like(perfect)
    assert torch.equal(perfect_semantic(wholly_void, detections, scene.semantic), scene.semantic)


@pytest.mark.parametrize("variant", ["A", "B", "C"])
@pytest.mark.parametrize("masks", [True, False])
def test_without_affinities_a_perfect_potential_is_a_perfect_p(variant: str, masks: bool) -> None:
    config = replace(
        tiny_config(masks),
        potential=PotentialConfig(variant),  # type: ignore[arg-type]
        affinity=AffinityConfig(enabled=False),
        loss=LossConfig(panoptic=0.0, semantic_stride=4),
    )
    segmenter = segmenter_of(config)
    found = oracle_swaps(segmenter, Drawn([3, 2]))
    potential, ceiled = found["perfect potential"].compute(), found["perfect P"].compute()
    for group in ("All", "Things", "Stuff"):
        assert potential[group] is not None
        # Things that count twice as much as stuff (A and C with masks) win a little more at outlines.
        assert potential[group].pq == pytest.approx(ceiled[group].pq, abs=0.1)  # type: ignore[union-attr]
    assert found["perfect boxes and semantics"].compute()["Stuff"] is not None
    lacking = found[OWN].compute()["All"]
    assert lacking is not None
    assert lacking.pq < found["perfect boxes and semantics"].compute()["All"].pq  # type: ignore[union-attr]


def test_images_without_things_and_parts(segmenter: Segmenter) -> None:
    data = Drawn([0, 2])
    whole = oracle_swaps(segmenter, data)
    parts = [oracle_swaps(segmenter, data, [index]) for index in (1, 0)]
    for swap in SWAPS:
        assert (parts[0][swap] + parts[1][swap]).compute() == whole[swap].compute()


def test_a_dataset_in_another_order_scores_the_same(segmenter: Segmenter) -> None:
    class Reordered(Drawn):
        categories = Categories.of(reversed(CATEGORIES.all))

    plain, other = oracle_swaps(segmenter, Drawn([3])), oracle_swaps(segmenter, Reordered([3]))
    for swap in SWAPS:
        mine, theirs = plain[swap].compute()["All"], other[swap].compute()["All"]
        assert mine is not None
        assert theirs is not None
        assert mine.pq == pytest.approx(theirs.pq)


def test_in_words(segmenter: Segmenter) -> None:
    lines = describe_oracles(oracle_swaps(segmenter, Drawn([3, 2])))
    assert len(lines) == len(SWAPS)
    assert lines[0].startswith("as it is  ")
    assert "gains" not in lines[0]
    assert all("; gains +" in line or "; gains -" in line for line in lines[1:])
    stuff_only = describe_oracles(oracle_swaps(segmenter, Drawn([0])))
    assert stuff_only[-1].split("PQ ")[1].startswith("all ")
