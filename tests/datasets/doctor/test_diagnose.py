"""The data doctor: each kind of finding on a set that is broken for it, and a copy that the strict reader takes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.datasets.maps import CLASSES, DOOR, WALL, parts, same, small_map, write_dataset, write_photo
from unipan.datasets.doctor.diagnose import UnreadableError, diagnose, write_repaired
from unipan.datasets.doctor.findings import FINDING_KINDS, Diagnosis
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, PanopticWriter
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import panoptic_map
from unipan.panoptic.png import decode_png, encode_png

Content = dict[str, Any]
Break = Callable[[Content, Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set")


def edit(folder: Path, change: Break) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    change(content, folder)
    (folder / "panoptic.json").write_text(json.dumps(content))


def segment(content: Content, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = content["annotations"][0]["segments_info"][place]
    return found


def rows(content: Content) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content["annotations"][0]["segments_info"]
    return found


def paint(folder: Path, old: int, new: int) -> None:
    path = folder / "panoptic" / "0.png"
    ids = decode_png(path)
    path.write_bytes(encode_png(np.where(ids == old, new, ids)))


def copy_photo(content: Content, folder: Path) -> None:
    shutil.copy(folder / "images" / "0.png", folder / "images" / "9.png")
    ids = small_map().ids
    (folder / "panoptic" / "9.png").write_bytes(encode_png(ids))
    content["images"].append({**content["images"][0], "id": 9, "file_name": "9.png"})
    content["annotations"].append({**content["annotations"][0], "image_id": 9, "file_name": "9.png"})


def crowds(content: Content, _: Path) -> None:
    next(s for s in content["annotations"][0]["segments_info"] if s["id"] == 11)["iscrowd"] = 1


BREAKS: list[tuple[str, int, Break]] = [
    # kind, images that the repaired copy has, what breaks it
    ("category-broken", 3, lambda c, _: c["categories"].append({"id": 50})),
    ("category-broken", 3, lambda c, _: c["categories"].append("nothing")),
    ("category-twice", 3, lambda c, _: c["categories"].append(dict(c["categories"][0]))),
    ("category-name", 3, lambda c, _: c["categories"].append({"id": 50, "name": "door", "isthing": 1})),
    ("category-color", 3, lambda c, _: c["categories"][0].update(color=[1, 2, 999])),
    ("isthing-missing", 3, lambda c, _: c["categories"][0].pop("isthing")),  # two doors in one image show it
    ("image-broken", 3, lambda c, _: c["images"].append({"id": None})),
    ("image-broken", 3, lambda c, _: c["images"].append([])),
    ("image-twice", 3, lambda c, _: c["images"].append(c["images"][1])),
    ("name-twice", 3, lambda c, _: c["images"].append({**c["images"][1], "id": 9})),
    ("file-outside", 2, lambda c, _: c["images"][0].update(file_name="../no.png")),
    ("file-outside", 2, lambda c, _: c["annotations"][0].update(file_name="/etc/no.png")),
    ("annotation-broken", 2, lambda c, _: c["annotations"][0].pop("segments_info")),
    ("annotation-stray", 3, lambda c, _: c["annotations"].append({**c["annotations"][0], "image_id": 9})),
    ("annotation-twice", 3, lambda c, _: c["annotations"].append(c["annotations"][1])),
    ("name-foreign", 3, lambda c, _: c["images"][1].update(file_name="C:\\data\\1.png")),
    ("name-foreign", 3, lambda c, _: c["annotations"][1].update(file_name="../masks/1.png")),
    ("annotation-missing", 2, lambda c, _: c["annotations"].pop()),
    ("png-twice", 2, lambda c, _: c["annotations"][1].update(file_name="0.png")),
    ("photo-missing", 2, lambda _, f: (f / "images" / "0.png").unlink()),
    ("photo-unreadable", 2, lambda _, f: cut(f / "images" / "0.png")),
    ("png-missing", 2, lambda _, f: (f / "panoptic" / "0.png").unlink()),
    ("png-unreadable", 2, lambda _, f: (f / "panoptic" / "0.png").write_bytes(b"no picture")),
    ("size-photo", 2, lambda _, f: write_photo(f / "images" / "0.png", 12, 8)),
    ("size-json", 3, lambda c, _: c["images"][0].update(width=7)),
    ("number-type", 3, lambda c, _: segment(c).update(id="70000", category_id=9.0)),
    ("segment-broken", 3, lambda c, _: c["annotations"][0]["segments_info"].append({"id": -3})),
    ("segment-twice", 3, lambda c, _: c["annotations"][0]["segments_info"].append(segment(c))),
    ("segment-zero", 3, lambda c, _: rows(c).append({"id": 0, "category_id": 4})),
    ("png-empty", 2, lambda _, f: (f / "panoptic" / "0.png").write_bytes(encode_png(np.zeros((8, 12), np.int32)))),
    ("category-unknown", 3, lambda c, _: segment(c).update(category_id=77)),
    ("id-undeclared", 3, lambda _, f: paint(f, 2, 999)),
    ("id-absent", 3, lambda c, _: c["annotations"][0]["segments_info"].append({**segment(c), "id": 500})),
    ("segment-empty", 3, lambda c, _: rows(c).append({"id": 500, "category_id": 9, "area": 0})),
    ("area-stale", 3, lambda c, _: segment(c).update(area=1)),
    ("area-missing", 3, lambda c, _: segment(c).pop("area")),
    ("bbox-stale", 3, lambda c, _: segment(c).update(bbox=[0, 0, 1])),
    ("bbox-missing", 3, lambda c, _: segment(c).pop("bbox")),
    ("score-broken", 3, lambda c, _: segment(c).update(score="high")),
    ("score-broken", 3, lambda c, _: segment(c).update(score=float("nan"))),
    ("score-broken", 3, lambda c, _: segment(c).update(score=-float("inf"))),
    ("score-broken", 3, lambda c, _: segment(c).update(score=10**400)),
    ("number-nan", 3, lambda c, _: segment(c).update(iscrowd=float("inf"))),
    ("number-nan", 3, lambda c, _: c["images"][0].update(license=[float("nan")])),
    ("number-nan", 3, lambda c, _: c["categories"][0].update(weight=float("nan"))),
    ("number-nan", 3, lambda c, _: c.update(info={"year": float("nan")})),
    ("crowd-stuff", 3, lambda c, _: segment(c).update(iscrowd=1)),
    ("crowds-several", 3, crowds),
]  # fmt: skip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(("kind", "kept", "change"), BREAKS, ids=[f"{row[0]}-{n}" for n, row in enumerate(BREAKS)])
def test_each_kind_is_found_and_mended(kind: str, kept: int, change: Break, folder: Path, tmp_path: Path) -> None:
    edit(folder, change)
    before = snapshot(folder)
    found = diagnose(folder)
    assert kind in found.counts
    mine = next(finding for finding in found.findings if finding.kind == kind)
    assert mine.repairable
    assert str(folder) in mine.file
    path = write_repaired(found, tmp_path / "out")
    json.loads(path.read_bytes(), parse_constant=pytest.fail)
    assert snapshot(folder) == before
    assert diagnose(path.parent).findings == []
    strict = CocoPanoptic(path.parent)
    assert len(strict) == kept
    for index, image_id in enumerate(strict.image_ids):
        sample = strict[index]
        if image_id != 100:
            assert same(sample.truth, small_map(int(image_id) - 100))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_kind_is_tested() -> None:
    others = {"png-format", "content-twice", "no-images", "no-categories", "stuff-several"}
    assert {row[0] for row in BREAKS} | others == set(FINDING_KINDS)


def test_a_sound_set_has_no_findings(folder: Path) -> None:
    found = diagnose(folder)
    assert (found.findings, found.listed, len(found.kept)) == ([], 3, 3)
    assert found.remarks == ["void: 12.5 % of all pixels"]
    assert found.void == 1 / 8


def test_what_is_found_says_whose_it_is(folder: Path) -> None:
    edit(folder, lambda c, _: segment(c).update(area=7))
    (finding,) = diagnose(folder).findings
    assert (finding.image_id, finding.segment_id) == (100, small_map().segments[0].id)
    area = small_map().segments[0].area
    assert finding.text == f"image 100, segment 70000: the JSON says 7 pixels, the PNG has {area}"
    (row,) = diagnose(folder).to_json()["findings"]
    assert row["cure"] == "counted"


def test_void_takes_the_place_of_what_is_undeclared(folder: Path, tmp_path: Path) -> None:
    paint(folder, 2, 999)
    write_repaired(diagnose(folder), tmp_path / "out")
    truth, was = CocoPanoptic(tmp_path / "out").truth(0), small_map()
    assert (truth.ids == np.where(was.ids == 2, 0, was.ids)).all()


def test_crowds_become_one(folder: Path, tmp_path: Path) -> None:
    edit(folder, crowds)
    write_repaired(diagnose(folder), tmp_path / "out")
    truth, was = CocoPanoptic(tmp_path / "out").truth(0), small_map()
    (crowd,) = (segment for segment in truth if segment.iscrowd)
    assert ((truth.ids == crowd.id) == np.isin(was.ids, (11, 12))).all()
    rows = json.loads((tmp_path / "out" / "panoptic.json").read_text())["annotations"][0]["segments_info"]
    assert next(row["area"] for row in rows if row["id"] == crowd.id) == crowd.area


def test_one_channel_pngs_are_painted_anew(folder: Path, tmp_path: Path) -> None:
    path = folder / "panoptic" / "0.png"
    ids = decode_png(path)
    small = np.where(ids == 70_000, 300, ids).astype(np.uint16)
    cv2.imwrite(str(path), small)
    edit(folder, lambda c, _: segment(c).update(id=300))
    found = diagnose(folder)
    assert found.counts == {"png-format": 1}
    write_repaired(found, tmp_path / "out")
    assert (decode_png(tmp_path / "out" / "panoptic" / "0.png") == small).all()


def test_what_no_program_can_know_stays_and_is_said(folder: Path, tmp_path: Path) -> None:
    edit(folder, copy_photo)
    edit(folder, lambda c, _: [row.pop("isthing") for row in c["categories"] if row["name"] == "sky"])
    found = diagnose(folder)
    assert found.counts == {"isthing-missing": 1, "content-twice": 1}
    assert not any(finding.repairable for finding in found.findings)
    assert "image 9 has the same content as image 100 (0.png)" in str(found.findings[-1])
    write_repaired(found, tmp_path / "out")
    assert diagnose(tmp_path / "out").counts == found.counts


def test_a_set_without_images_or_categories(folder: Path, tmp_path: Path) -> None:
    edit(folder, lambda c, _: c.update(categories=[]))
    found = diagnose(folder)
    assert found.counts == {"no-categories": 1, "category-unknown": 18}
    with pytest.raises(ValueError, match=r"panoptic\.json: not one category can be kept"):
        write_repaired(found, tmp_path / "out")
    edit(folder, lambda c, _: c.update(images=[], annotations=[]))
    found = diagnose(folder)
    assert found.counts == {"no-images": 1, "no-categories": 1}
    assert not any(finding.repairable for finding in found.findings)
    with pytest.raises(ValueError, match=r"panoptic\.json: not one image can be kept"):
        write_repaired(found, tmp_path / "out")
    assert not (tmp_path / "out").exists()


LONG = 10**399


@pytest.mark.parametrize(
    "change",
    [
        lambda c, _: segment(c).update(area=LONG),
        lambda c, _: segment(c).update(area=LONG, id=500),
        lambda c, _: segment(c).update(category_id=LONG),
        lambda c, _: segment(c).update(bbox=[LONG, 0, 1, 1]),
        lambda c, _: segment(c).update(score=LONG),
        lambda c, _: segment(c).update(iscrowd=LONG),
        lambda c, _: c["images"][0].update(width=LONG),
        lambda c, _: c["images"][0].update(id=LONG),
        lambda c, _: c["categories"][0].update(color=LONG, isthing=LONG, id=LONG),
    ],
)
def test_long_numbers_are_cut_short(change: Break, folder: Path) -> None:
    edit(folder, change)
    found = diagnose(folder)
    assert found.findings
    assert max(len(finding.text) for finding in found.findings) < 300  # not 400 digits


def test_remarks(folder: Path) -> None:
    edit(folder, lambda c, _: c["categories"].append({"id": 50, "name": "roof", "isthing": 0}))
    (folder / "panoptic" / "old.png").touch()
    (folder / "images" / "old.png").touch()
    (folder / "panoptic" / "1.png").write_bytes(encode_png(np.zeros_like(small_map(1).ids)))
    edit(folder, lambda c, _: c["annotations"][1].update(segments_info=[]))
    found = diagnose(folder)
    assert found.findings == []
    remarks = "\n".join(found.remarks)
    assert "never used, 1 of 5 classes: roof" in remarks
    assert "mostly void, 1 of 3 images: 1.png (100 %)" in remarks
    assert f"named by no annotation, 1 of the files in {folder / 'panoptic'}: old.png" in remarks
    assert f"named by no image, 1 of the files in {folder / 'images'}: old.png" in remarks


def test_other_fields_stay(folder: Path, tmp_path: Path) -> None:
    edit(
        folder,
        lambda c, _: (c.update(info={"year": 2017}), c["images"][0].update(license=3), segment(c).update(area=1)),
    )
    write_repaired(diagnose(folder), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert (content["info"], content["images"][0]["license"]) == ({"year": 2017}, 3)


def test_a_json_with_folders_elsewhere_and_no_photographs(folder: Path, tmp_path: Path) -> None:
    (folder / "panoptic.json").rename(tmp_path / "val.json")
    (folder / "panoptic").rename(tmp_path / "val")
    found = diagnose(tmp_path / "val.json")
    assert (found.images, found.findings) == (None, [])
    write_repaired(found, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["panoptic", "panoptic.json"]
    assert diagnose(tmp_path / "val.json", folder / "images", tmp_path / "val").findings == []
    shutil.rmtree(tmp_path / "val")
    assert diagnose(tmp_path / "val.json").counts == {"png-missing": 3}
    with pytest.raises(ValueError, match="not one image can be kept"):
        write_repaired(diagnose(tmp_path / "val.json"), tmp_path / "none")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"images": [], "annotations": [], "categories": {}}', "\xff", "[" * 100_000]
)
def test_what_cannot_be_read_at_all(text: str, tmp_path: Path) -> None:
    (tmp_path / "panoptic.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableError, match=r"panoptic\.json"):
        diagnose(tmp_path)
    with pytest.raises(UnreadableError, match="no such file"):
        diagnose(tmp_path / "nowhere")


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 300), st.floats(), st.text(max_size=3), st.just([]), st.just({})
)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_breakage_survives_the_repair(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fields replaced or dropped anywhere: the doctor does not stumble, and the strict reader takes the copy."""
    root = tmp_path_factory.mktemp("broken")
    folder = write_dataset(root / "set")
    content = json.loads((folder / "panoptic.json").read_text())
    for _ in range(data.draw(st.integers(1, 5))):
        place: Any = content[data.draw(st.sampled_from(["images", "annotations", "categories"]))]
        while True:
            keys = list(range(len(place))) if isinstance(place, list) else sorted(place)
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and data.draw(st.integers(0, 4)):
                place = place[key]
                continue
            if data.draw(st.booleans()):
                del place[key]
            else:
                place[key] = data.draw(VALUES)
            break
    (folder / "panoptic.json").write_text(json.dumps(content))
    found = diagnose(folder)
    json.dumps(found.to_json())
    if not found.kept or not found.categories:
        return
    path = write_repaired(found, root / "out")
    again: Diagnosis = diagnose(path.parent)
    questions = {"isthing-missing", "stuff-several"}  # which only a person can answer
    asked = {finding.kind for finding in again.findings}
    assert asked <= questions
    if "isthing-missing" not in asked:
        strict = CocoPanoptic(path.parent)
        assert all(parts(strict.truth(index)) is not None for index in range(len(strict)))


def test_indices_of_a_palette_are_the_ids(tmp_path: Path) -> None:
    """A palette for the eye: the index is the id, the colours mean nothing."""
    folder = write_dataset(tmp_path / "set", images=1)
    content = json.loads((folder / "panoptic.json").read_text())
    truth, renamed = small_map(), {}
    indices = np.zeros(truth.ids.shape, np.uint8)
    for number, segment in enumerate(truth, start=1):
        indices[truth.ids == segment.id] = renamed[segment.id] = number
    for row in content["annotations"][0]["segments_info"]:
        row["id"] = renamed[row["id"]]
    (folder / "panoptic.json").write_text(json.dumps(content))
    picture = Image.fromarray(indices, "P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 7, 7, 7])
    picture.save(folder / "panoptic" / "0.png")
    found = diagnose(folder)
    assert found.counts == {"png-format": 1}
    write_repaired(found, tmp_path / "out")
    assert diagnose(tmp_path / "out").findings == []
    assert same(CocoPanoptic(tmp_path / "out").truth(0), truth)


def test_text_in_the_place_of_numbers(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")
    path = folder / "panoptic.json"
    content = json.loads(path.read_text())
    content["images"][0]["id"] = "100"
    for row in content["categories"]:
        row["isthing"] = str(row["isthing"])
    for row in content["annotations"][1]["segments_info"]:
        row["iscrowd"] = str(row["iscrowd"])
    path.write_text(json.dumps(content))
    found = diagnose(folder)
    assert set(found.counts) == {"number-type"}
    write_repaired(found, tmp_path / "out")
    now = CocoPanoptic(tmp_path / "out")
    assert now.image_ids == ["100", 101, 102]
    assert now.categories == CLASSES
    assert all(same(now.truth(index), small_map(index)) for index in range(3))  # "0" is no crowd


def test_what_no_network_learns_is_remarked(tmp_path: Path) -> None:
    ids = np.ones((4, 4), np.int32)
    for name, truth, words in (
        ("crowds", panoptic_map(ids, {1: DOOR}, crowds={1}), "all 1 segments of thing classes are crowds"),
        ("none", panoptic_map(ids, {1: WALL}), "no thing is in any image"),
    ):
        with PanopticWriter(tmp_path / name, CLASSES) as writer:
            writer.add("a.jpg", 1, truth)
        assert any(words in remark for remark in diagnose(tmp_path / name).remarks)
    with PanopticWriter(tmp_path / "things", Categories.of([DOOR])) as writer:
        writer.add("a.jpg", 1, panoptic_map(ids, {1: DOOR}))
    [remark] = [each for each in diagnose(tmp_path / "things").remarks if "no class is stuff" in each]
    assert f"`unipan data convert {tmp_path / 'things'} OUT --background background`" in remark


def test_another_format_is_recognised(tmp_path: Path) -> None:
    rows = [{"id": 1, "image_id": 1, "category_id": 4, "segmentation": [[0, 0, 3, 0, 3, 3]], "iscrowd": 1}]
    images = [{"id": 1, "file_name": "a.jpg", "height": 4, "width": 4}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": [{"id": 4, "name": "door"}]}))
    for source in (path, tmp_path):
        with pytest.raises(
            UnreadableError,
            match=r"coco-instances:.*instances\.json.*--crowds things.*--background",
        ):
            diagnose(source)


def test_images_of_16_bits_are_remarked(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")
    assert not any("8 bits" in remark for remark in diagnose(folder).remarks)
    shape = small_map().ids.shape
    Image.fromarray(np.full(shape, 4095, np.uint16)).save(folder / "images" / "0.png")
    height, width = small_map(1).ids.shape
    cv2.imwrite(str(folder / "images" / "1.png"), np.full((height, width, 3), 1000, np.uint16))
    [remark] = [each for each in diagnose(folder).remarks if "8 bits" in each]
    assert "2 of 3 images, up to 4095" in remark
    assert "--data.window" in remark


def test_stuff_in_parts_and_sets_without_things(folder: Path) -> None:
    """As exporters write it that know no things."""
    edit(folder, lambda c, _: [row.update(isthing=0) for row in c["categories"]])
    edit(folder, lambda c, _: [row.pop("iscrowd") for a in c["annotations"] for row in a["segments_info"]])
    found = diagnose(folder)
    assert found.counts == {"stuff-several": 2}
    text = found.findings[0].text
    assert "'door' (id 4) is stuff, but has up to 2 segments in an image (3 images: 0.png, 1.png, 2.png)" in text
    assert f"`unipan data convert {folder} OUT --as-things door`" in text
    assert "no class is a thing" in found.remarks[0]


def test_categories_of_one_id_and_two_names_are_nobodys(folder: Path, tmp_path: Path) -> None:
    """Half of the doors might be gates."""
    edit(folder, lambda c, _: c["categories"].append({"id": DOOR.id, "name": "gate", "isthing": 1}))
    found = diagnose(folder)
    assert found.counts["category-twice"] == 1
    write_repaired(found, tmp_path / "out")
    truth, was = CocoPanoptic(tmp_path / "out").truth(0), small_map()
    assert (truth.ids == np.where(np.isin(was.ids, (2, 3)), 0, was.ids)).all()


def test_photographs_that_exif_turns_are_remarked_on(folder: Path) -> None:
    path = folder / "images" / "0.png"
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        image.save(path, exif=exif)
    found = diagnose(folder)
    assert found.findings == []
    assert "turned or mirrored by EXIF, 1 of 3 images: 0.png" in found.remarks[0]
