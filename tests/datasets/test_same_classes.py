"""COCO's and Cityscapes' names for the same classes."""

import json
from pathlib import Path

import pytest

from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.same_classes import ALIASES, normalised, same_classes
from unipan.panoptic.categories import Categories, Category


def named(*names: str) -> Categories:
    return Categories(tuple(Category(i, name, False, (0, 0, 0)) for i, name in enumerate(names)))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("sky-other-merged", "sky"),
        ("building-other-merged", "building"),
        ("fence-merged", "fence"),
        ("water-other", "water"),
        ("pavement-merged", "sidewalk"),
        ("tree-merged", "vegetation"),
        ("Traffic_Light", "traffic light"),
        ("wall-brick", "wall brick"),
        ("other", "other"),
    ],
)
def test_normalised(name: str, plain: str) -> None:
    assert normalised(name) == plain


def test_a_name_itself_comes_before_its_likes() -> None:
    old = named("sky-other-merged", "sky")
    assert same_classes(old, named("sky")) == {0: 1}
    assert same_classes(named("sky"), old) == {1: 0}


def test_two_likes_are_none() -> None:
    assert same_classes(named("wall-merged", "wall-other-merged"), named("Wall")) == {}
    assert same_classes(named("Wall"), named("wall-merged", "wall-other-merged")) == {}
    assert same_classes(named("a"), named("b")) == {}


def test_aliases_are_normalised_and_lead_nowhere_further() -> None:
    assert all(normalised(name) == normalised(other) == other for name, other in ALIASES.items())


@pytest.mark.real_data
def test_what_coco_and_cityscapes_share(shared_data: Path) -> None:
    """Both with their official names: 133 and 19 classes."""
    coco = Categories.from_coco(json.loads((shared_data / "coco2" / "panoptic.json").read_text())["categories"])
    assert len({normalised(category.name) for category in coco}) == len(coco) == 133
    shared = {CITYSCAPES[new].name: coco[old].name for new, old in same_classes(coco, CITYSCAPES).items()}
    assert shared == {
        **{name: name for name in ("person", "car", "truck", "bus", "train", "motorcycle", "bicycle")},
        **{name: name for name in ("road", "traffic light")},
        "sidewalk": "pavement-merged",
        "building": "building-other-merged",
        "wall": "wall-other-merged",
        "fence": "fence-merged",
        "vegetation": "tree-merged",
        "terrain": "grass-merged",
        "sky": "sky-other-merged",
    }
    back = same_classes(CITYSCAPES, coco)
    assert {new: old for old, new in back.items()} == same_classes(coco, CITYSCAPES)
