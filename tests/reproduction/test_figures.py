"""Figures choose by what they count, and draw what they chose."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.test_inference import segmenter_of, tiny
from unipan.datasets.panoptic_data import Subset
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map
from unipan.presets import scenes, scenes_mask_free, upsnet
from unipan.reproduction.figures.draw import PLANS, draw_figures, pick
from unipan.reproduction.figures.examples import Example, FusedImage, choose, image_quality, measure, spread
from unipan.reproduction.figures.rows import affinities, attributed, compared, lead, revised, truncated
from unipan.result import PanopticResult
from unipan.structures import Detections

CAR, BUS, ROAD = SCENE_CATEGORIES[0], SCENE_CATEGORIES[1], SCENE_CATEGORIES[7]
SEGMENTER = segmenter_of(tiny(scenes()))
SIZE = (64, 96)


def street(car: slice, void: int = 0) -> PanopticMap:
    """A car (1) of 10 rows on a road (2); `void` rows at the bottom."""
    ids = np.full(SIZE, 2, np.int32)
    ids[20:30, car] = 1
    if void:
        ids[-void:] = 0
    return panoptic_map(ids, {1: CAR, 2: ROAD})


def segmented() -> FusedImage:
    """A car of columns 20..59 whose box ends at 49, under a bus's box from 40 on: P has all of it, Psi to 44."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    scene = SEGMENTER.scene(image)
    boxes = torch.tensor([[40.0, 10, 90, 60], [20, 20, 50, 30]])
    found = Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([1, 0]))
    channels = torch.rand(2 + len(SCENE_CATEGORIES.stuff), *scene.panoptic.shape[1:])
    output = replace(scene.output, detections=[found], potentials=[channels], panoptic=[channels * 2])
    scene = replace(scene, output=output)
    maps = {
        "heuristic": street(slice(20, 42), void=4),
        "potential": street(slice(20, 45)),
        "affinity": street(slice(20, 60)),
    }
    results = {name: PanopticResult(each.ids, each.segments, image, "a.png") for name, each in maps.items()}
    truth = street(slice(20, 60))
    return FusedImage(3, Sample(image, truth, 3, "a.png"), scene, results, "affinity")  # type: ignore[arg-type]


def test_what_is_counted_and_where_the_cross_stands() -> None:
    found = {example.kind: example for example in measure(segmented())}
    # Right outside the box: columns 50..59 by P, none by heuristic fusion; under both boxes: 40..49, of them 42 and 45.
    assert {kind: example.value for kind, example in found.items() if kind != "quality"} == {
        "outside": 100, "shared": 50, "conflict": 80, "revised": 37.5, "void": 4 * 96,
    }  # fmt: skip
    assert found["outside"].region == (50, 20, 60, 30)
    assert found["shared"].region == (45, 20, 50, 30)
    assert found["conflict"].region == (42, 20, 50, 30)
    assert found["quality"].region == (45, 20, 60, 30)
    assert found["quality"].value > 0
    assert found["outside"].detection == 1  # the car's, not the bus's
    for kind in ("outside", "shared", "conflict", "revised"):
        x0, y0, x1, y1 = found[kind].region or (0, 0, 0, 0)  # type: ignore[index]
        x, y = found[kind].pixel or (-1, -1)  # type: ignore[index]
        assert x0 <= x < x1
        assert y0 <= y < y1
    assert found["outside"].words == (
        "of 100 pixels of this car outside its box, 100 are right by the argmax of P, 0 by the heuristic fusion"
    )


def test_quality_of_one_image() -> None:
    truth = street(slice(20, 60))
    assert image_quality(truth, truth) == 1
    road = panoptic_map(np.full(SIZE, 2, np.int32), {2: ROAD})
    iou = 1 - 400 / (64 * 96)
    assert image_quality(truth, road) == pytest.approx(iou / 1.5)


def example(index: int, value: float, kind: str = "void") -> Example:
    return Example(kind, index, f"{index}.png", float(value), "")  # type: ignore[arg-type]


def test_the_largest_are_chosen_and_other_images_first() -> None:
    every = [example(0, 50), example(1, 90), example(2, 70), example(3, 11), example(4, 99, "shared"), example(5, 0)]
    used: set[int] = set()
    assert [e.index for e in choose(every, "void", 2, used)] == [1, 2]
    assert used == {1, 2}
    assert [e.index for e in choose(every, "void", 2, used)] == [0, 3]
    assert [e.index for e in choose(every, "void", 3, used)] == [1, 2, 0]  # all are used: the largest come again
    assert choose(every, "conflict", 2, used) == []


def test_gains_and_losses_are_spread_over_the_ranking() -> None:
    every = [example(index, value, "quality") for index, value in enumerate([0.0, -9, 7, 3, 1])]
    assert [e.value for e in spread(every, "quality", 3)] == [7, 1, -9]
    assert [e.value for e in spread(every, "quality", 9)] == [7, 3, 1, 0, -9]
    assert spread([], "quality", 3) == []
    assert [len(found) for found in pick(every, 4).values()] == [0, 0, 0, 0, 0, 4]


def test_every_row_has_a_panel_for_every_column() -> None:
    read = segmented()
    found = {each.kind: each for each in measure(read)}
    columns = {plan.number: len(plan.columns) for plan in PLANS}
    first = truncated(read, found["outside"])
    assert len(first) == columns["1"]
    assert len(revised(read, found["revised"])) == columns["6"]
    assert len(attributed(read, found["shared"])) == columns["I"]
    assert len(compared(read, found["void"], "heuristic", "affinity")) == columns["7"]
    assert len({panel.picture.shape for panel in first}) == 1
    assert [panel.cross is None for panel in first] == [False, True, False, False, False, False]
    # Void of heuristic fusion is striped, ours has none.
    heuristic, ours = (panel.picture for panel in compared(read, found["void"], "heuristic", "affinity")[2:])
    stripes = [(picture == (255, 214, 10)).all(2).sum() for picture in (heuristic, ours)]
    assert stripes[0] > 0 == stripes[1]


def test_the_lead_is_above_zero_where_the_channel_wins() -> None:
    read = segmented()
    found = {each.kind: each for each in measure(read)}
    channels = torch.zeros_like(read.scene.potential)
    channels[1, :, :10] = 2  # the car's own channel, the left cells
    channels[4] = 1
    ahead = lead(read.scene, channels, found["outside"])
    assert ahead.shape == SIZE
    assert (ahead[:, :18] == 1).all()
    assert (ahead[:, 24:] == -1).all()


def test_affinities_are_drawn_as_the_argmax_sees_them() -> None:
    scene = SEGMENTER.scene(np.zeros((*SIZE, 3), np.uint8))
    raw = scene.affinity(5, 6)
    assert scene.config.affinity.normalise == "segment"
    assert np.allclose(affinities(scene, 5, 6), raw - raw.mean(), atol=1e-5)
    config = replace(scene.config, affinity=replace(scene.config.affinity, normalise="none"))
    assert np.array_equal(affinities(replace(scene, config=config), 5, 6), raw)


def test_a_network_without_masks_leaves_out_what_needs_them() -> None:
    sheets, left_out = draw_figures(segmenter_of(tiny(scenes_mask_free())), Scenes(range(3)), rows=2)
    assert "K" in [sheet.plan.number for sheet in sheets]
    assert {"1", "7", "J"}.isdisjoint(sheet.plan.number for sheet in sheets)
    for number in ("1", "7", "J"):
        assert f"Figure {number} is left out: this checkpoint has no masks." in left_out
    last = sheets[-1]
    assert [e.value for e in last.examples] == sorted((e.value for e in last.examples), reverse=True)
    assert len(last.examples) == 2


def test_upsnet_is_measured_where_there_is_one() -> None:
    read = segmented()
    assert read.without_parameters == "potential"
    merged = street(slice(20, 52))
    map_of_upsnet = PanopticResult(merged.ids, merged.segments, read.sample.image, "a.png")
    read = replace(read, results={**read.results, "upsnet": map_of_upsnet})  # type: ignore[dict-item]
    assert read.without_parameters == "upsnet"
    found = {example.kind: example for example in measure(read)}
    assert found["quality"].region == (52, 20, 60, 30)
    truth = read.sample.truth
    assert found["quality"].value == pytest.approx(100 * (1 - image_quality(truth, map_of_upsnet)))
    assert re.fullmatch(r"PQ of this image is 100\.0 by P and [0-9.]+ by UPSNet", found["quality"].words)
    others = {example.kind: example for example in measure(segmented())}
    assert {kind: each for kind, each in found.items() if kind != "quality"} == {
        kind: each for kind, each in others.items() if kind != "quality"
    }


def test_a_network_of_upsnet_stands_in_figure_k_alone() -> None:
    other = segmenter_of(tiny(upsnet(scenes())))
    drawn = draw_figures(SEGMENTER, Scenes(range(3)), rows=2)[0]
    rival = draw_figures(SEGMENTER, Scenes(range(3)), rows=2, upsnet=other)[0]
    assert [sheet.plan.number for sheet in drawn] == [sheet.plan.number for sheet in rival]
    for plain, sheet in zip(drawn[:-1], rival[:-1], strict=True):
        assert plain.plan is sheet.plan
        assert np.array_equal(plain.picture, sheet.picture)
    assert (drawn[-1].plan.columns[2], rival[-1].plan.columns[2]) == ("(c) Before the affinity", "(c) UPSNet")
    assert not np.array_equal(drawn[-1].picture, rival[-1].picture)
    for example in rival[-1].examples:
        sample = Scenes(range(3))[example.index]
        maps = [SEGMENTER(sample.image, "affinity"), other(sample.image, "upsnet")]
        by_p, by_upsnet = (100 * image_quality(sample.truth, each) for each in maps)
        assert example.value == pytest.approx(by_p - by_upsnet)


def test_the_third_panel_of_figure_k_is_the_map_of_upsnet() -> None:
    data, other = Scenes(range(1)), segmenter_of(tiny(upsnet(scenes())))
    read = FusedImage.of(SEGMENTER, data, 0, other)
    wanted = other(data[0].image, "upsnet")
    assert np.array_equal(read.results["upsnet"].ids, wanted.ids)
    swapped = replace(read, results={**read.results, "potential": wanted})
    found = next(each for each in measure(read) if each.kind == "quality")
    third = compared(read, found, read.without_parameters, "affinity")[2]
    assert np.array_equal(third.picture, compared(swapped, found, "potential", "affinity")[2].picture)


def test_a_network_that_is_no_upsnet_is_refused() -> None:
    with pytest.raises(ValueError, match="has no void channel"):
        draw_figures(SEGMENTER, Scenes(range(1)), rows=1, upsnet=SEGMENTER)


def test_images_are_drawn_by_the_seed_and_the_same_seed_draws_the_same() -> None:
    counted: list[int] = []
    runs = [
        draw_figures(SEGMENTER, Scenes(range(9)), images=2, seed=seed, rows=1, each=lambda: counted.append(1))[0]
        for seed in (0, 0, 5)
    ]
    names = [[e.name for sheet in run for e in sheet.examples] for run in runs]
    assert names[0] == names[1] != names[2]
    assert len(counted) == 6
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(runs[0], runs[1], strict=True))


def test_nothing_to_draw_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="DATA has no images"):
        draw_figures(SEGMENTER, Subset(Scenes(range(2)), []))
