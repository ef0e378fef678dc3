"""`--as-things`: each segment of a class that a file calls stuff becomes a thing."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.datasets.maps import CLASSES, DOOR, small_map, write_dataset
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import open_dataset
from unipan.datasets.formats.thing_classes import with_things


def test_classes_become_things(tmp_path: Path) -> None:
    data = CocoPanoptic(write_dataset(tmp_path))
    assert [each.name for each in with_things(data, ("wall",), tmp_path).categories.things] == [
        "door",
        "window",
        "wall",
    ]
    changed = open_dataset(tmp_path, FormatOptions(as_things=("wall", "door")))
    found, was = changed.truth(0), small_map()
    assert [replace(each.category, isthing=was.segments[n].isthing) for n, each in enumerate(found)] == [
        each.category for each in was
    ]
    assert {each.category.name for each in found if each.isthing} == {"door", "window", "wall"}
    assert changed.image_path(0) == data.image_path(0)
    assert (DOOR in changed.categories.all, len(changed.categories)) == (True, len(CLASSES))


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--as-things gate: .*door, window, wall, sky"):
        open_dataset(write_dataset(tmp_path), FormatOptions(as_things=("gate",)))
