"""COCO's 133 classes: counts, places, and the very list of the dataset's own file."""

from pathlib import Path

import pytest

from unipan.datasets.formats.coco_classes import coco_categories
from unipan.panoptic.coco_json import read_json


def test_80_things_and_53_stuff_in_the_order_of_their_ids() -> None:
    found = coco_categories()
    assert (len(found.things), len(found.stuff)) == (80, 53)
    things, stuff = ([each.id for each in part] for part in (found.things, found.stuff))
    assert things == sorted(things)
    assert stuff == sorted(stuff)
    assert set(range(1, 91)) - set(things) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert (stuff[0], stuff[-1]) == (92, 200)
    places = {name: found[found.index_of_name[name]].id for name in ("person", "toothbrush", "banner", "rug-merged")}
    assert places == {"person": 1, "toothbrush": 90, "banner": 92, "rug-merged": 200}


@pytest.mark.real_data
def test_it_is_the_datasets_own_list(shared_data: Path) -> None:
    listed = read_json(shared_data / "coco20" / "panoptic.json")["categories"]
    assert [(c.id, c.name, c.isthing) for c in coco_categories()] == [
        (entry["id"], entry["name"], bool(entry["isthing"]))
        for entry in sorted(listed, key=lambda entry: (not entry["isthing"], entry["id"]))
    ]
