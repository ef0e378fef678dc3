"""Images that wait for each other: whatever is wrong with some of them, every image counts as if it were alone."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CLASSES, lenient_maps, random_pair
from tests.evaluation.test_matching import same
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation import folder_quality, listing
from unipan.evaluation.extra_metrics import extra_metrics
from unipan.evaluation.folder_quality import FolderScores, evaluate_folders, score_folders
from unipan.evaluation.folders import PanopticFolders
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.listing import Listing, read_outline

Row = dict[str, Any]


def spoil(rng: np.random.Generator, rows: list[Row]) -> None:
    """Do something to one annotation that a file can hold."""
    segments = rows[int(rng.integers(len(rows)))]["segments_info"]
    kind = int(rng.integers(10))
    if kind == 0:
        segments.append({"id": 5, "category_id": 3, "iscrowd": 0, "area": 3})  # no pixels
    elif kind == 1 and len(rows) > 1:
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
    found: dict[int, FolderScores] = {}
    for together in (1, 4, 16):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_quality, "_TOGETHER", together)
            found[together] = score_folders(folders, lenient, threads=2 if together == 4 else 1)
    alone = found.pop(1)
    for each in found.values():
        assert each.problems == alone.problems
        assert same(each.quality, alone.quality)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folders = write(tmp_path_factory.mktemp("tables"), seed, 4, 0)
    index = folders.categories.index_of_id
    for number in range(4):
        for side, panoptic in zip(folders.read(number), random_pair(seed + number, size=8), strict=True):
            assert side.refusal is None
            np.testing.assert_array_equal(side.ids, panoptic.ids)
            assert side.segments.ids.tolist() == [s.id for s in panoptic]
            assert side.segments.classes.tolist() == [index[s.category.id] for s in panoptic]
            assert side.segments.crowd.tolist() == [s.iscrowd for s in panoptic]
            assert side.segments.declared.tolist() == [s.area for s in panoptic]


def edited(folders: PanopticFolders, change: Callable[[list[Row]], object]) -> PanopticFolders:
    """Opened again after a change of the truth's annotations."""
    path = folders.truth.source
    content = json.loads(path.read_text())
    change(content["annotations"])
    path.write_text(json.dumps(content))
    return PanopticFolders(path, folders.prediction.source)


def edited_row(folders: PanopticFolders, change: Row) -> PanopticFolders:
    """With a change of the first segment of image 1."""
    return edited(folders, lambda rows: rows[1]["segments_info"][0].update(change))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": 0}, "id"),
        ({"id": 2**24}, "id"),
        ({"id": 2**70}, "id"),
        ({"id": 1.0}, "id"),
        ({"id": True}, "id"),
        ({"id": "1"}, "id"),
        ({"category_id": 3.0}, "category_id"),
        ({"category_id": 999}, "category id 999"),
        ({"category_id": [3]}, "category id"),
    ],
)
def test_ids_that_are_none_are_named_with_file_and_image(tmp_path: Path, change: Row, named: str) -> None:
    folders = edited_row(write(tmp_path, 3, 3, 0), change)
    folders.read(0)
    with pytest.raises(ValueError, match=rf"truth.panoptic\.json: image 1.*{named}"):
        folders.read(1)


@pytest.mark.parametrize("area", ["4", True, None, [4], 10**400])
def test_an_area_that_is_no_number_is_none(tmp_path: Path, area: Any) -> None:
    folders = write(tmp_path, 3, 3, 0)
    others = folders.read(1)[0].segments
    found = edited_row(folders, {"area": area}).read(1)[0].segments
    assert np.isnan(found.declared[0])
    assert found.declared[1:].tolist() == others.declared[1:].tolist()
    assert found.ids.tolist() == others.ids.tolist()


def test_no_iscrowd_is_no_crowd_but_refused_by_the_official_tool(tmp_path: Path) -> None:
    folders = write(tmp_path, 3, 3, 0)
    for value in (None, 0, False, 1, True, 2):
        found = edited_row(folders, {"iscrowd": value}).read(1)[0]
        assert found.segments.crowd[0] == bool(value)
        assert found.refusal is None
    folders = edited(folders, lambda rows: rows[1]["segments_info"][0].pop("iscrowd"))
    found = folders.read(1)[0]
    assert not found.segments.crowd[0]
    assert found.refusal == f"segment {found.segments.ids[0]} has no `iscrowd`"
    assert "no `iscrowd`" in str(score_folders(folders).quality.official_reason)


@pytest.mark.parametrize("listed", [None, {}, "", [1], ["id"], [[]], [None]])
def test_what_is_no_list_of_objects_is_named(tmp_path: Path, listed: Any) -> None:
    folders = write(tmp_path, 3, 2, 0)
    folders = edited(folders, lambda rows: rows[1].update(segments_info=listed))
    with pytest.raises(ValueError, match=r"panoptic\.json: image 1: .*`segments_info` must be a list of objects"):
        folders.read(1)


def test_an_id_may_stand_in_two_images_but_not_twice_in_one(tmp_path: Path) -> None:
    folders = write(tmp_path, 3, 2, 0)
    key = int(folders.read(0)[0].segments.ids[0])
    folders = edited_row(folders, {"id": key})
    assert folders.read(1)[0].segments.ids[0] == folders.read(0)[0].segments.ids[0]
    folders = edited(folders, lambda rows: rows[1]["segments_info"].append(rows[1]["segments_info"][0]))
    with pytest.raises(ValueError, match=f"image 1, segment {key}"):
        folders.read(1)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), faults=st.integers(0, 5), threads=st.integers(1, 3))
def test_extra_metrics_count_what_lenient_maps_give(
    tmp_path_factory: pytest.TempPathFactory, seed: int, faults: int, threads: int
) -> None:
    folders = write(tmp_path_factory.mktemp("extra"), seed, 6, faults)
    empty = extra_metrics(CLASSES, trim_stuff=5)
    scores = score_folders(folders, lenient=True, threads=threads, extra=list(empty.values()))
    from_maps = extra_metrics(CLASSES, trim_stuff=5)
    for name in scores.quality.names:
        pair = ImagePair.of(*lenient_maps(folders, name), CLASSES, name)
        for metric in from_maps.values():
            metric.add(pair)
    for found, expected in zip(scores.extra, from_maps.values(), strict=True):
        assert found.to_json() == expected.to_json()
        assert found.lines() == expected.lines()
    assert all(metric.to_json() == other.to_json() for metric, other in zip(
        empty.values(), extra_metrics(CLASSES, trim_stuff=5).values(), strict=True))  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), faults=st.integers(0, 3))
def test_a_json_is_read_quickly_as_it_is_read_carefully(
    tmp_path_factory: pytest.TempPathFactory, seed: int, faults: int
) -> None:
    folders = write(tmp_path_factory.mktemp("tables"), seed, 4, faults)
    index = folders.categories.index_of_id
    for side in (folders.truth, folders.prediction):
        _, annotations = read_outline(side.source)
        assert annotations is not None
        quick = listing._quickly(annotations, index)
        assert faults or quick is not None
        careful = Listing.of(side.source, None, None, index)
        if quick is None:
            continue
        assert (quick.files, quick.rows, quick.faults) == (careful.files, careful.rows, {})
        assert quick.refusals == careful.refusals
        for field in ("ids", "classes", "crowd", "declared"):
            one, other = getattr(quick.table(), field), getattr(careful.segments, field)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "text", ['{"annotations": [{"image_id": 1, "file_name": "a", "segments_info": [}]}', "[1]", "{"]
)
def test_an_outline_that_cannot_be_read_is_told_as_by_any_other_reader(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json"):
        Listing.of(path, None, read_outline(path)[1], {})


def test_forked_processes_give_the_same_bits(tmp_path: Path) -> None:
    """In an interpreter of its own, as pytest's has threads: then none is forked."""
    folders = write(tmp_path, 3, 300, 4)
    script = """
import json, os, sys, threading
from unipan import parallel
from unipan.evaluation.extra_metrics import extra_metrics
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
parallel._PAYS = 0
folders = PanopticFolders(*map(__import__("pathlib").Path, sys.argv[1:]))
empty = list(extra_metrics(folders.categories, trim_stuff=5).values())
seen = []
runs = []
for workers in (1, 3):
    found = score_folders(folders, True, workers, lambda: seen.append(os.getpid()), empty)
    runs.append([found.quality.to_json(), found.quality.per_image.tolist(), [m.to_json() for m in found.extra],
                 [problem.text for problem in found.problems]])
assert runs[0] == runs[1], "the two differ"
assert len(seen) == 600 and {*seen} == {os.getpid()}
assert threading.active_count() == 1
print(len(found.problems), "multiprocessing.popen_fork" in sys.modules)
"""
    command = [sys.executable, "-c", script, str(folders.truth.source), str(folders.prediction.source)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    problems, forked = found.stdout.split()
    assert int(problems) >= 1
    assert forked == str(sys.platform == "linux")


def test_a_metric_that_cannot_be_pickled_is_counted_all_the_same(tmp_path: Path) -> None:
    folders = write(tmp_path, 3, 60, 0)
    script = """
import sys
from unipan import parallel
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
parallel._PAYS = 0
def metric():
    class Images:
        count = 0
        def add(self, pair): self.count += 1
        def __add__(self, other):
            both = Images()
            both.count = self.count + other.count
            return both
    return Images()
folders = PanopticFolders(*map(__import__("pathlib").Path, sys.argv[1:]))
print(score_folders(folders, threads=2, extra=[metric()]).extra[0].count)
"""
    command = [sys.executable, "-c", script, str(folders.truth.source), str(folders.prediction.source)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("60\n", "")


def shards_of(folders: PanopticFolders, place: Path, ends: Sequence[int]) -> list[Path]:
    """The predictions in several folders: images up to the first end, up to the second, and so on."""
    source = folders.prediction.source
    content = json.loads(source.read_text())
    parts = []
    for start, stop in zip((0, *ends), (*ends, len(content["images"])), strict=True):
        ids = {image["id"] for image in content["images"][start:stop]}
        part = place / f"shard{start}"
        (part / "panoptic").mkdir(parents=True)
        rows = [row for row in content["annotations"] if row["image_id"] in ids]
        for row in rows:
            shutil.copy(source.parent / "panoptic" / row["file_name"], part / "panoptic")
        images = [image for image in content["images"] if image["id"] in ids]
        (part / "panoptic.json").write_text(json.dumps({**content, "images": images, "annotations": rows}))
        parts.append(part)
    return parts


@pytest.mark.parametrize("lenient", [False, True])
def test_shards_add_up_to_the_whole(lenient: bool, tmp_path: Path) -> None:
    folders = write(tmp_path, seed=5, count=9, faults=0)
    whole = score_folders(folders, lenient).quality
    truth = folders.truth.source
    shards = shards_of(folders, tmp_path / "shards", (4, 5))
    first, second, third = (evaluate_folders(truth, each, lenient=lenient, shard=True).quality for each in shards)
    assert [len(each) for each in (first, second, third)] == [4, 1, 4]
    total = third + pickle.loads(pickle.dumps(first)) + second
    assert total.names == whole.names
    assert np.array_equal(total.per_image, whole.per_image)
    assert total.to_json() == whole.to_json() == sum([third, first, second]).to_json()
    with pytest.raises(ValueError, match="counted in both parts"):
        _ = first + first
    if not lenient:
        with pytest.raises(ValueError, match=r"no prediction for .* more"):
            evaluate_folders(truth, shards[0])


def test_a_shard_of_other_images_is_refused(tmp_path: Path) -> None:
    """No part would count them: the sum would be the PQ of fewer images, and nobody would know."""
    folders = write(tmp_path, seed=5, count=3, faults=0)
    (shard,) = shards_of(folders, tmp_path / "shards", ())
    text = (shard / "panoptic.json").read_text()
    content = json.loads(text)
    content["images"][1]["id"] = content["annotations"][1]["image_id"] = 77
    (shard / "panoptic.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="image 77, unknown to the truth"):
        evaluate_folders(folders.truth.source, shard, shard=True)
