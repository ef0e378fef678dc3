"""Images that wait for each other: whatever is wrong with some of them, every image counts as if it were alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unipan
from tests.evaluation.cases import CLASSES, random_pair
from tests.evaluation.test_matching import same
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation import folder_quality
from unipan.evaluation.extra_metrics import extra_metrics
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
from unipan.evaluation.image_pair import ImagePair

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


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), faults=st.integers(0, 5), lenient=st.booleans())
def test_images_together_count_as_images_alone(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, faults: int, lenient: bool
) -> None:
    folders = write(tmp_path_factory.mktemp("together"), seed, count, faults)
    found = []
    for together in (1, 4, 16):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_quality, "_TOGETHER", together)
            found.append(score_folders(folders, lenient, threads=2 if together == 4 else 1))
    for each in found[1:]:
        assert each.problems == found[0].problems
        assert same(each.quality, found[0].quality)


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
        pair = ImagePair.of(*folders.maps(name), CLASSES, name)
        for metric in from_maps.values():
            metric.add(pair)
    for found, expected in zip(scores.extra, from_maps.values(), strict=True):
        assert found.to_json() == expected.to_json()
        assert found.lines() == expected.lines()
    assert all(metric.to_json() == other.to_json() for metric, other in zip(
        empty.values(), extra_metrics(CLASSES, trim_stuff=5).values(), strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": 0}, "segment number 0"),
        ({"id": 2**24}, "16777216"),
        ({"id": 2**70}, "1180591620717411303424"),
        ({"id": 1.0}, r"1\.0"),
        ({"id": True}, "True"),
        ({"id": "1"}, "'1'"),
        ({"category_id": 3.0}, r"3\.0"),
        ({"category_id": 999}, "999"),
        ({"category_id": [3]}, r"\[3\]"),
    ],
)
def test_a_segment_that_cannot_be_read_is_named(tmp_path: Path, change: Row, words: str) -> None:
    folders = write(tmp_path, 3, 3, 0)
    folders.truth.annotations[1]["segments_info"][0].update(change)
    with pytest.raises(ValueError, match=words):
        folders.read(1)


@pytest.mark.parametrize("change", [{"area": "4"}, {"area": True}, {"area": 10**400}, {"area": None}])
def test_an_area_that_is_no_number_is_unknown(tmp_path: Path, change: Row) -> None:
    folders = write(tmp_path, 3, 3, 0)
    folders.truth.annotations[1]["segments_info"][0].update(change)
    assert np.isnan(folders.read(1)[0].segments.declared[0])


@pytest.mark.parametrize("listed", [None, {}, "", [1], ["id"], [[]], [None]])
def test_what_is_no_list_of_objects_is_named(tmp_path: Path, listed: Any) -> None:
    folders = write(tmp_path, 3, 2, 0)
    folders.truth.annotations[1]["segments_info"] = listed
    with pytest.raises(ValueError, match="`segments_info` must be a list of objects"):
        folders.read(1)


class Whole:
    """A metric of a user: the share of images in which every segment was found."""

    def __init__(self, images: int = 0, whole: int = 0) -> None:
        self.images, self.whole = images, whole

    def add(self, pair: ImagePair) -> None:
        """Count one image."""
        found = pair.matches
        self.images += 1
        self.whole += not len(found.false_negatives) and not len(found.false_positives)

    def __add__(self, other: "Whole") -> "Whole":
        return Whole(self.images + other.images, self.whole + other.whole)

    def to_json(self) -> float:
        """The share."""
        return self.whole / self.images

    def lines(self) -> list[str]:
        """The share."""
        return [f"whole images: {self.to_json():.2f}"]


def test_a_metric_of_ones_own_is_one_class(tmp_path: Path) -> None:
    folders = write(tmp_path, 3, 9, 0)
    files = tmp_path / "3-9-0/truth/panoptic.json", tmp_path / "3-9-0/prediction"
    scores = unipan.evaluate_folders(*files, threads=2, extra=lambda _: [Whole()])
    rows = scores.quality.per_image
    share = float((rows[:, :, 2:].sum(axis=(1, 2)) == 0).mean())
    assert scores.extra[0].to_json() == share
    assert unipan.evaluate_folders(*map(str, files)).quality.to_json() == score_folders(folders).quality.to_json()


def test_faults_are_raised(tmp_path: Path) -> None:
    write(tmp_path, 3, 2, 0)
    for side in ("truth", "prediction"):
        (tmp_path / "3-2-0" / side / "panoptic" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.png"):
        unipan.evaluate_folders(tmp_path / "3-2-0/truth", tmp_path / "3-2-0/prediction", lenient=True)
