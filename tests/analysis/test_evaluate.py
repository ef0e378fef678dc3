"""The one evaluator: what is scored is what a Segmenter gives its users."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.tiny import CATEGORIES, HEIGHT, WIDTH, Drawn, draw, eager, tiny_config, tiny_network
from unipan.analysis.evaluate import AP_DETECTIONS, Evaluation, evaluate, semantic_map
from unipan.analysis.evaluation_lines import describe
from unipan.datasets.same_classes import check_classes
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.trimming import trim_stuff
from unipan.inference import Segmenter
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

FUSIONS = ("affinity", "potential", "heuristic")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    config = eager(tiny_config())
    config = replace(config, inference=replace(config.inference, score_threshold=0.2))
    network = tiny_network(config)
    with torch.no_grad():
        network.train().backbone(torch.rand(4, 3, HEIGHT, WIDTH))
    return Segmenter(network.eval(), config, CATEGORIES, {}, torch.device("cpu"))


def test_every_fusion_is_scored_on_what_users_get(segmenter: Segmenter) -> None:
    data = Drawn([3, 0, 2])
    seen: list[str] = []
    found = evaluate(segmenter, data, FUSIONS, each=lambda scene, _: seen.append(scene.name))
    assert len(seen) == 3
    for fusion in FUSIONS:
        quality = PanopticQuality(CATEGORIES)
        for sample in (data[i] for i in range(3)):
            quality.update(sample.truth, segmenter(sample.image, fusion), sample.name)
        assert found.quality[fusion].compute() == quality.compute()  # type: ignore[index]


def test_parts_add_up_to_the_whole(segmenter: Segmenter) -> None:
    data = Drawn([3, 0, 2, 1])
    whole = evaluate(segmenter, data, FUSIONS, detections=AP_DETECTIONS)
    parts = [evaluate(segmenter, data, FUSIONS, images, detections=AP_DETECTIONS) for images in ([0, 2], [1, 3])]
    together = parts[0] + parts[1]
    assert together.to_json("affinity") == whole.to_json("affinity")
    assert whole.precision is not None
    empty = Evaluation.of(CATEGORIES, FUSIONS, detections=AP_DETECTIONS)  # type: ignore[arg-type]
    assert (whole + empty).to_json("potential") == whole.to_json("potential")


def test_the_json(segmenter: Segmenter) -> None:
    found = evaluate(segmenter, Drawn([2]), FUSIONS).to_json("heuristic")
    assert set(found) == {"official", "strict", "ap", "iou", "thing_stuff", "separation", "trim_stuff"}
    assert found["official"] == found["strict"]
    assert set(found["official"]) >= {"All", "Things", "Stuff", "per_class"}
    assert found["ap"] is None


def test_the_semantic_map_is_v_alone_at_the_images_size(segmenter: Segmenter) -> None:
    image = np.ascontiguousarray(draw(0).image[:50, :70])
    scene = segmenter.scene(image)
    classes = semantic_map(scene)
    assert classes.shape == (50, 70)
    up = torch.nn.functional.interpolate(scene.output.semantic, scale_factor=4, mode="bilinear", align_corners=False)
    agree = classes == up[0, :, :50, :70].argmax(0).numpy()
    assert agree.mean() > 0.999


def test_things_and_stuff_confused_are_those_of_v(segmenter: Segmenter) -> None:
    """Whatever the fusion, and whatever the data's order of classes."""

    class Reordered(Drawn):
        categories = Categories.of(reversed(CATEGORIES.all))

    found = [evaluate(segmenter, data, FUSIONS).to_json("heuristic") for data in (Drawn([3, 2]), Reordered([3, 2]))]
    counts = {side: {"things": 0, "stuff": 0} for side in ("things", "stuff")}
    for sample in (Drawn([3, 2])[0], Drawn([3, 2])[1]):
        stuff_of_v = semantic_map(segmenter.scene(sample.image)) >= len(CATEGORIES.things)
        for segment in sample.truth:
            taken = stuff_of_v[sample.truth.ids == segment.id]
            side = counts["things" if segment.isthing else "stuff"]
            side["stuff"] += int(taken.sum())
            side["things"] += int((~taken).sum())
    for side, shares in counts.items():
        whole = sum(shares.values())
        expected = {name: pytest.approx(pixels / whole) for name, pixels in shares.items()} | {"void": 0.0}
        assert [each["thing_stuff"][side] for each in found] == [expected, expected]


def test_other_classes_are_refused_and_both_sides_are_listed(segmenter: Segmenter) -> None:
    class Other(Drawn):
        categories = Categories.of([replace(c, name=c.name.upper()) for c in CATEGORIES])

    with pytest.raises(ValueError, match="knows the things disc, box; the data has DISC, BOX"):
        evaluate(segmenter, Other([1]), ("affinity",))
    many = Categories.of([replace(CATEGORIES[0], id=n, name=f"class {n}") for n in range(500)])
    others = Categories.of([replace(each, name=f"other {each.id}") if each.id > 490 else each for each in many])
    with pytest.raises(
        ValueError, match=r"class 491, .*and 488 more; the data has other 491, .* and 488 more; "
    ) as told:
        check_classes(many, others)  # of many, a few that differ
    assert len(str(told.value)) < 600
    check_classes(CATEGORIES, Categories.of(reversed(CATEGORIES.all)))  # by name, in whatever order


def test_a_dataset_in_another_order_scores_the_same(segmenter: Segmenter) -> None:
    class Reordered(Drawn):
        categories = Categories.of(reversed(CATEGORIES.all))

    plain = evaluate(segmenter, Drawn([3, 2]), FUSIONS, detections=AP_DETECTIONS).to_json("affinity")
    other = evaluate(segmenter, Reordered([3, 2]), FUSIONS, detections=AP_DETECTIONS).to_json("affinity")
    assert other["official"]["All"] == pytest.approx(plain["official"]["All"])
    assert other["iou"]["semantic"]["mean"] == pytest.approx(plain["iou"]["semantic"]["mean"])
    assert other["ap"] == plain["ap"]


def test_trimmed_scores_are_those_of_maps_without_small_stuff(segmenter: Segmenter) -> None:
    data, area = Drawn([3, 0]), 800
    found = evaluate(segmenter, data, FUSIONS, trim=area)
    quality = PanopticQuality(CATEGORIES)
    for sample in (data[i] for i in range(2)):
        result = segmenter(sample.image, "affinity")
        quality.update(sample.truth, trim_stuff(PanopticMap(result.ids, result.segments), area), sample.name)
    assert found.trimmed is not None
    scores = quality.compute()
    for group, three in found.trimmed.groups().items():
        each = scores[group]
        assert three == {key: None if each is None else getattr(each, key) for key in ("pq", "sq", "rq")}


def test_ap_says_where_it_takes_too_few_detections(segmenter: Segmenter) -> None:
    few = evaluate(segmenter, Drawn([3, 2]), FUSIONS, detections=1)
    assert few.precision is not None
    most = few.precision.most_things
    line = f"AP takes 1 detections of an image and class, but an image has {most} things of one; --detections {most}"
    assert (most > 1, any(line in each for each in describe(few, few.to_json("affinity")))) == (True, True)
    enough = evaluate(segmenter, Drawn([3, 2]), FUSIONS, detections=most)
    assert not any("AP takes" in each for each in describe(enough, enough.to_json("affinity")))
