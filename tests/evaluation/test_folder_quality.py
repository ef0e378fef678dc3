"""Images that wait for each other: whatever is wrong with some of them, every image counts as if it were alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, random_pair
from tests.evaluation.test_matching import same
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation import folder_quality
from unipan.evaluation.folder_quality import FolderScores, score_folders
from unipan.evaluation.folders import PanopticFolders

Row = dict[str, Any]


def spoil(rng: np.random.Generator, rows: list[Row]) -> None:
    """Do something to one annotation that a file can hold."""
    segments = rows[int(rng.integers(len(rows)))]["segments_info"]
    kind = int(rng.integers(10))
    if kind == 0:
        segments.append({"id": 5, "category_id": 3, "iscrowd": 0, "area": 3})  # no pixels
    elif kind == 1:
        rows.pop()
    elif segments:
        segment = segments[int(rng.integers(len(segments)))]
        changes: list[Row] = [{"area": 7}, {"area": None}, {"area": 10**400}, {"iscrowd": True}, {"iscrowd": None}]
        changes += [{"category_id": 999}, {"id": True}]
        if kind == 2:
            segments.remove(segment)
        elif kind == 3:
            segment.pop(["area", "iscrowd", "id", "category_id"][int(rng.integers(4))], None)
        else:
            segment.update(changes[int(rng.integers(len(changes)))])


def write(folder: Path, seed: int, count: int, faults: int) -> PanopticFolders:
    pairs = [random_pair(seed + number, size=8) for number in range(count)]
    rng = np.random.default_rng(seed)
    paths = []
    for side, maps in zip(("truth", "prediction"), zip(*pairs, strict=True), strict=True):
        with PanopticWriter(folder / f"{seed}-{count}-{faults}" / side, CLASSES) as writer:
            for number, panoptic in enumerate(maps):
                writer.add(f"{number}.jpg", number, panoptic)
        path = folder / f"{seed}-{count}-{faults}" / side / "panoptic.json"
        content = json.loads(path.read_text())
        for _ in range(faults):
            if content["annotations"]:
                spoil(rng, content["annotations"])
        path.write_text(json.dumps(content))
        paths.append(path)
    return PanopticFolders(paths[0], paths[1])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), faults=st.integers(0, 5), lenient=st.booleans())
def test_images_together_count_as_images_alone(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, faults: int, lenient: bool
) -> None:
    folders = write(tmp_path_factory.mktemp("together"), seed, count, faults)
    found: dict[tuple[int, int], FolderScores] = {}
    for together, pairs in ((1, 1 << 16), (4, 1 << 16), (16, 1 << 16), (16, 30)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_quality, "_TOGETHER", together)
            patch.setattr(folder_quality, "_PAIRS", pairs)
            found[together, pairs] = score_folders(folders, lenient, threads=2 if together == 4 else 1)
    alone = found.pop((1, 1 << 16))
    for each in found.values():
        assert each.problems == alone.problems
        assert same(each.quality, alone.quality)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), faults=st.integers(0, 3))
def test_tables_read_at_once_equal_those_read_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, faults: int
) -> None:
    folders = write(tmp_path_factory.mktemp("tables"), seed, 4, faults)
    index = folders.categories.index_of_id
    for side, tables in zip(
        (folders.truth, folders.prediction), folders.plain_tables(range(len(folders))), strict=True
    ):
        assert faults or tables.keys() == side.annotations.keys() & set(folders.image_ids)
        for key, table in tables.items():
            expected, refusal = side.table(key, index)
            assert refusal is None
            for field in ("ids", "classes", "crowd", "declared"):
                one, other = getattr(table, field), getattr(expected, field)
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 0},
        {"id": 2**24},
        {"id": 2**70},
        {"id": 1.0},
        {"id": True},
        {"id": "1"},
        {"category_id": 3.0},
        {"category_id": 999},
        {"category_id": [3]},
        {"area": "4"},
        {"area": True},
        {"iscrowd": None},
    ],
)
def test_what_is_odd_is_read_one_by_one(tmp_path: Path, change: Row) -> None:
    folders = write(tmp_path, 3, 3, 0)
    rows = folders.truth.annotations[1]["segments_info"]
    assert len(folders.plain_tables(range(3))[0]) == 3
    rows[0].update(change)
    tables = folders.plain_tables(range(3))
    assert tables[0] == {}
    assert len(tables[1]) == 3


@pytest.mark.parametrize("listed", [None, {}, "", [1], ["id"], [[]], [None]])
def test_what_is_no_list_of_objects_is_read_one_by_one(tmp_path: Path, listed: Any) -> None:
    folders = write(tmp_path, 3, 2, 0)
    folders.truth.annotations[1]["segments_info"] = listed
    assert folders.plain_tables(range(2))[0] == {}
    with pytest.raises(ValueError, match="must be a list of objects"):
        folders.read(1, folders.plain_tables(range(2)))


def test_an_id_in_two_images_is_no_oddity_but_twice_in_one_is(tmp_path: Path) -> None:
    folders = write(tmp_path, 3, 2, 0)
    one, other = (folders.truth.annotations[key]["segments_info"] for key in (0, 1))
    other[0]["id"] = one[0]["id"]
    assert len(folders.plain_tables(range(2))[0]) == 2
    other.append(dict(other[0]))
    assert folders.plain_tables(range(2))[0] == {}
