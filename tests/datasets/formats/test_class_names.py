"""Which class of a name is stuff, and which id it has."""

import json
from pathlib import Path

import pytest

from unipan.datasets.formats.class_names import classes_of_names, with_roles
from unipan.datasets.formats.format import FormatOptions

HERE = Path("here")


def test_names_get_ids_from_1() -> None:
    found = classes_of_names(["road", "car", "road"], FormatOptions(as_stuff=("road",), background="rest"), HERE)
    assert [(c.id, c.name, c.isthing) for c in found] == [(2, "car", True), (1, "road", False), (3, "rest", False)]
    numbered = classes_of_names(["car"], FormatOptions(), HERE, {"car": 7, "bus": 6})
    assert numbered[0].id == 7
    assert [c.isthing for c in with_roles(found, FormatOptions(background="car"), HERE)] == [False] * 3


def test_a_file_gives_ids_and_kinds(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps([{"id": 9, "name": "road", "isthing": 0}, {"id": 4, "name": "car", "isthing": 1}]))
    found = classes_of_names(["car"], FormatOptions(classes=file), HERE)
    assert [(c.id, c.name) for c in found] == [(4, "car"), (9, "road")]
    with pytest.raises(ValueError, match=r"its class 'bus' is not in .*c\.json"):
        classes_of_names(["car", "bus"], FormatOptions(classes=file), HERE)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"--as-stuff sky: .*car"):
        classes_of_names(["car"], FormatOptions(as_stuff=("sky",)), HERE)
    with pytest.raises(ValueError, match="--background: the name is empty"):
        classes_of_names(["car"], FormatOptions(background=" "), HERE)
    with pytest.raises(ValueError, match="here: it names no class"):
        classes_of_names([], FormatOptions(), HERE)
