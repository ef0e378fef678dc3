"""`unipan pq` on files: equal to maps in memory, to hotcoco, on any number of threads; and what it says of faults."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.evaluation.cases import CAR, CLASSES, ROAD, of, random_pair
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.evaluation.folder_quality import score_folders
from unipan.evaluation.folders import PanopticFolders
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.panoptic.maps import PanopticMap, panoptic_map

STREET = of(["cpss", "cprr"])
C, P, S = (ord(letter) * 1000 for letter in "cps")


def write(folder: Path, maps: list[PanopticMap]) -> Path:
    """panoptic.json next to the folder panoptic: the official convention."""
    with PanopticWriter(folder, CLASSES) as writer:
        for number, panoptic in enumerate(maps):
            writer.add(f"{number}.jpg", number, panoptic)
    return folder / "panoptic.json"


def edited(path: Path, change: Any) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "gt", [STREET, STREET]), write(tmp_path / "found", [STREET, STREET])


def scores(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def run(files: tuple[Path, Path], *more: str) -> int:
    return main(["pq", *map(str, files), *more])


def test_threads_and_memory_give_the_same_bits_and_maps_the_same_pixels(tmp_path: Path) -> None:
    pairs = [random_pair(seed, size=16) for seed in range(25)]
    whole = PanopticQuality(CLASSES)
    for number, (truth, prediction) in enumerate(pairs):
        whole.update(truth, prediction, f"{number}.jpg")
    folders = PanopticFolders(
        write(tmp_path / "gt", [t for t, _ in pairs]), write(tmp_path / "p", [p for _, p in pairs])
    )
    seen: list[int] = []
    for threads in (1, 3, 7):
        found = score_folders(folders, threads=threads, each=lambda: seen.append(1))
        assert found.problems == ()
        assert found.quality.to_json() == whole.to_json()
        assert (found.quality.per_image == whole.per_image).all()
    assert len(seen) == 75
    truth, prediction = folders.read_named("3.jpg")
    assert np.array_equal(truth.ids, pairs[3][0].ids)
    assert [CLASSES[index] for index in prediction.segments.classes.tolist()] == [s.category for s in pairs[3][1]]


def test_the_json_and_a_stale_area(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.json"
    assert run(files, "--json", str(out)) == 0
    found = scores(out)
    assert found.keys() == {"official", "strict"}
    assert found["official"] == found["strict"]
    assert found["strict"]["All"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 4}
    assert "official (panopticapi): the same" in capsys.readouterr().out
    edited(files[0], lambda content: content["annotations"][0]["segments_info"][0].update(area=1))
    assert run(files, "--json", str(out)) == 0
    found = scores(out)
    assert found["strict"]["All"]["pq"] == 1.0
    assert found["official"]["All"]["pq"] > 1.0
    assert "All, official" in capsys.readouterr().out


def test_all_faults_are_named_and_leniency_pardons_what_it_can(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(content: dict[str, Any]) -> None:
        rows = content["annotations"][0]["segments_info"]
        rows[:] = [row for row in rows if row["id"] != C]  # an id that is not declared
        rows.append({"id": 5, "category_id": CAR.id, "iscrowd": 0, "area": 3})  # and one that has no pixel
        del content["annotations"][1]

    edited(files[1], spoil)
    out = tmp_path / "scores.json"
    assert run(files, "--json", str(out)) == 1
    shown = capsys.readouterr()
    assert f"found/panoptic/0.png: id {C} has pixels but is not declared" in shown.err.replace(str(tmp_path) + "/", "")
    assert "id 5 is declared in the JSON but has no pixel" in shown.err
    assert "no prediction for 1.jpg" in shown.err
    assert "--lenient" in shown.err
    assert shown.out == ""
    assert not out.exists()
    assert run(files, "--json", str(out), "--lenient") == 0
    found = scores(out)
    assert found["official"] is None
    assert "0.jpg: the prediction's PNG has ids" in found["official_reason"]
    car = found["strict"]["per_class"][str(CAR.id)]
    assert (car["tp"], car["fp"], car["fn"]) == (0, 0, 2)
    assert "lenient: " in capsys.readouterr().err


def test_faults_of_the_truth_count_as_the_official_tool_counts_them(files: tuple[Path, Path], tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        rows = content["annotations"][0]["segments_info"]
        rows[:] = [row for row in rows if row["id"] != S]
        rows.append({"id": 5, "category_id": ROAD.id, "iscrowd": 0, "area": 3})

    edited(files[0], spoil)
    assert run(files) == 1
    assert run(files, "--lenient", "--json", str(tmp_path / "a.json")) == 0
    found = scores(tmp_path / "a.json")
    sky = {key: found[key]["per_class"]["7"] for key in found}
    road = {key: found[key]["per_class"][str(ROAD.id)] for key in found}
    assert (sky["strict"]["tp"], sky["strict"]["fp"]) == (1, 0)  # on void
    assert (sky["official"]["tp"], sky["official"]["fp"]) == (1, 1)  # on nothing
    assert (road["strict"]["fn"], road["official"]["fn"]) == (0, 1)


@pytest.mark.parametrize(
    ("side", "change", "words"),
    [
        (1, lambda row: row.update(category_id=999), "category id 999"),
        (0, lambda row: row.update(category_id="car"), "category id 'car'"),
        (1, lambda row: row.update(id=2**24), "1..16777215"),
        (1, lambda row: row.update(id=P), f"segment {P}"),
    ],
)
def test_what_no_leniency_pardons(
    files: tuple[Path, Path], side: int, change: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(files[side], lambda content: change(content["annotations"][1]["segments_info"][0]))
    for more in ([], ["--lenient"]):
        assert run(files, *more) == 1
        shown = capsys.readouterr()
        assert words in shown.err
        assert files[side].parent.name in shown.err
        assert shown.out == ""


def test_damaged_missing_and_other_sized_pictures(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    png = files[1].parent / "panoptic" / "1.png"
    cv2.imwrite(str(png), np.zeros((2, 2, 3), np.uint8))
    assert run(files) == 1
    assert "the prediction is 2 x 2 but the truth" in capsys.readouterr().err
    png.write_bytes(png.read_bytes()[:30])
    assert run(files, "--lenient") == 1
    assert "1.png: not a readable PNG" in capsys.readouterr().err
    png.unlink()
    assert run(files, "--lenient") == 1
    assert "1.png: no such file" in capsys.readouterr().err
    edited(files[1], lambda content: content["annotations"][1].update(file_name="../1.png"))
    assert run(files) == 1
    assert "leads out of" in capsys.readouterr().err


def test_things_only_and_bare_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path / "gt", [of(["cp", "cp"])]), write(tmp_path / "p", [of(["cp", "cp"])])
    edited(files[1], lambda content: (content.pop("categories"), content.pop("images")))
    assert run(files, "--json", str(tmp_path / "a.json")) == 0
    found = scores(tmp_path / "a.json")
    assert found["official"] is None
    assert "divides by zero" in found["official_reason"]
    assert found["strict"]["Stuff"] is None
    assert found["strict"]["Things"]["pq"] == 1.0
    assert "panopticapi raises" in capsys.readouterr().out
    edited(files[1], lambda content: content.update(categories=[{"id": 3, "name": "cart", "isthing": 1}]))
    assert run(files) == 1
    assert "category id 3 is 'cart' there but 'car' in" in capsys.readouterr().err
    edited(files[1], lambda content: content.update(categories=[{"id": 300, "name": "car", "isthing": 1}]))
    assert run(files) == 0  # no segment has that id
    edited(files[1], lambda content: content["annotations"][0]["segments_info"][0].update(category_id=300))
    assert run(files) == 1
    assert "'car' has category id 300 there but 3 in" in capsys.readouterr().err
    edited(files[0], lambda content: content.update(annotations=[]))
    assert run(files) == 1


def test_many_faults_are_counted_and_the_first_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path / "gt", [STREET] * 14), write(tmp_path / "p", [STREET] * 14)
    edited(files[1], lambda content: [row["segments_info"].pop() for row in content["annotations"]])
    assert run(files) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    assert "4 more such lines, 14 faults in all" in lines[-2]


def test_an_unannotated_image_is_a_fault(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    edited(files[0], lambda content: content["annotations"].pop())
    assert run(files) == 1
    assert "no annotation of 1.jpg" in capsys.readouterr().err
    assert run(files, "--lenient") == 0


def test_memory_is_flat_in_the_number_of_images(tmp_path: Path) -> None:
    """Sixty entries of one large picture need no more than six, but for the counts: some KB an image."""
    ids = np.repeat(np.arange(1, 9, dtype=np.int32), 100)[:, None] * 1000 + np.zeros((800, 900), np.int32)
    large = panoptic_map(ids, {int(key): CAR for key in np.unique(ids)})
    files = write(tmp_path / "gt", [large]), write(tmp_path / "p", [large])
    peaks = {}
    for count in (6, 60):
        for path in files:
            content = json.loads(path.read_text())
            row = content["annotations"][0]
            content["annotations"] = [row | {"image_id": number} for number in range(count)]
            content.pop("images")
            (path.parent / f"{count}.json").write_text(json.dumps(content))
        folders = PanopticFolders(
            *(path.parent / f"{count}.json" for path in files), *(p.parent / "panoptic" for p in files)
        )
        tracemalloc.start()
        found = score_folders(folders, threads=1)  # how far two threads overlap is chance
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found.quality) == count
    picture = ids.size * 3
    assert peaks[6] > picture  # what is measured includes the pictures
    assert peaks[60] - peaks[6] < 0.5 * picture


def test_stuff_alone_and_an_object_missed_into_void(tmp_path: Path) -> None:
    stuff = write(tmp_path / "gt", [of(["ss", "rr"])]), write(tmp_path / "p", [of(["ss", "rr"])])
    assert run(stuff, "--json", str(tmp_path / "a.json")) == 0
    found = scores(tmp_path / "a.json")
    assert found["strict"]["Things"] is None
    assert found["strict"]["Stuff"]["pq"] == 1.0
    assert found["official"] is None
    void = write(tmp_path / "gt2", [of(["ccss", "ccrr"])]), write(tmp_path / "p2", [of(["..ss", "..rr"])])
    assert run(void, "--json", str(tmp_path / "b.json")) == 0
    missed = scores(tmp_path / "b.json")
    assert missed["strict"]["per_class"]["3"] == {"pq": 0.0, "sq": 0.0, "rq": 0.0, "tp": 0, "fp": 0, "fn": 1}
    assert missed["strict"]["Stuff"]["pq"] == 1.0
    assert missed["official"] == missed["strict"]
