"""COCO instances and stuff in one map; pycocotools decodes the same masks."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as oracle

from tests.datasets.formats.shapes_by_hand import photo
from tests.datasets.maps import CLASSES, DOOR, SKY, WALL, WINDOW, same
from unipan.datasets.formats.coco_instances import ROOT_CLASS, coco_instances, region_of_segmentation
from unipan.datasets.formats.drawing import BOXES, FEW_CORNERS, NO_PIXELS, Drawing
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.registry import suggested_command
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import panoptic_map
from unipan.panoptic.runs import encode_rle

SIZE = (6, 8)


def rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def thing(number: int, mask: np.ndarray, category: int = 4, **more: object) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": 1,
        "category_id": category,
        "segmentation": encode_rle(mask),
        "iscrowd": 0,
        **more,
    }


def write(folder: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    rows = [{"id": c.id, "name": c.name} for c in (DOOR, WINDOW)]
    image = {"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}
    folder.mkdir(exist_ok=True)
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": rows, **more}))
    return path


def stuff_json(folder: Path) -> Path:
    rows = [{"id": c.id, "name": c.name} for c in (WALL, SKY)] + [{"id": 183, "name": "other"}]
    walls, other = thing(1, rectangle(0, 0, 8, 3), WALL.id), thing(2, rectangle(0, 3, 8, 1), 183)
    path = folder / "stuff.json"
    path.write_text(json.dumps({"annotations": [walls, other], "categories": rows}))
    return path


@pytest.mark.parametrize(
    "shape",
    [
        [[0.5, 1.0, 6.2, 1.0, 6.2, 4.4, 0.5, 4.4], [6, 4, 8, 4, 8, 6]],
        encode_rle(rectangle(2, 1, 3, 4)),
        {
            "size": list(SIZE),
            "counts": oracle.encode(np.asfortranarray(rectangle(1, 1, 4, 2), np.uint8))["counts"].decode(),
        },
    ],
)
def test_masks_are_those_of_pycocotools(shape: Any) -> None:
    drawing = Drawing(SIZE, "x", "a.jpg", CLASSES, FormatOptions(), LeftOut())
    region = region_of_segmentation({"id": 1, "segmentation": shape}, drawing)
    assert region is not None
    found = region.full(SIZE)
    rle = shape if isinstance(shape, dict) and isinstance(shape["counts"], str) else oracle.frPyObjects(shape, *SIZE)
    expected = oracle.decode(oracle.merge(rle) if isinstance(rle, list) else rle)
    assert (found == expected.astype(bool)).all()


def test_layers_lie_as_declared(tmp_path: Path) -> None:
    crowd = thing(7, rectangle(0, 2, 4, 3), 7, iscrowd=1)
    path = write(tmp_path, [thing(8, rectangle(3, 1, 3, 3)), crowd])
    found = coco_instances(path, FormatOptions(stuff=stuff_json(tmp_path))).truth(0)
    ids = np.zeros(SIZE, np.int32)
    ids[:3] = 1  # stuff; `other` stays void
    ids[2:5, :4] = 2  # the crowd over stuff
    ids[1:4, 3:6] = 3  # things over the crowd
    assert same(found, panoptic_map(ids, {1: WALL, 2: WINDOW, 3: DOOR}, crowds={2}))


def test_stuff_from_a_folder_of_pictures(tmp_path: Path) -> None:
    picture = np.full(SIZE, 12, np.uint8)
    picture[:2], picture[2], picture[3] = 0, 255, 4  # void, void, and a thing's place
    (tmp_path / "stuff").mkdir()
    cv2.imwrite(str(tmp_path / "stuff" / "a.png"), picture)
    both = Categories.of([DOOR, WINDOW, WALL, SKY]).to_coco()
    path = write(tmp_path, [thing(1, rectangle(0, 3, 8, 1))], categories=both)
    ids = np.zeros(SIZE, np.int32)
    ids[3], ids[4:] = 1, 2
    assert same(
        coco_instances(path, FormatOptions(stuff=tmp_path / "stuff")).truth(0), panoptic_map(ids, {1: DOOR, 2: SKY})
    )
    picture[0, 0] = 99
    cv2.imwrite(str(tmp_path / "stuff" / "a.png"), picture)
    with pytest.raises(ValueError, match=r"a\.png: class 99 is none of the categories"):
        coco_instances(path, FormatOptions(stuff=tmp_path / "stuff")).truth(0)


@pytest.mark.parametrize(("overlap", "top"), [("small", 1), ("last", 2), ("score", 3)])
def test_things_that_overlap_lie_as_the_rule_says(overlap: Any, top: int, tmp_path: Path) -> None:
    rows = [
        thing(3, rectangle(0, 0, 6, 3), score=0.9),
        thing(1, rectangle(2, 2, 2, 2), score=0.2),
        thing(2, rectangle(2, 1, 6, 3), score=0.5),
    ]
    found = coco_instances(write(tmp_path, rows), FormatOptions(overlap=overlap)).truth(0)
    shapes = {1: rectangle(2, 2, 2, 2), 2: rectangle(2, 1, 6, 3), 3: rectangle(0, 0, 6, 3)}
    owner = next(segment for segment in found if segment.id == found.ids[2, 2])
    assert owner.score == {1: 0.2, 2: 0.5, 3: 0.9}[top]
    assert ((found.ids == owner.id) == shapes[top]).all()


def test_scores_order_things_and_not_the_stuff_below(tmp_path: Path) -> None:
    rows = [thing(3, rectangle(0, 0, 6, 3), score=0.9), thing(2, rectangle(2, 1, 6, 3), score=0.5)]
    stuff = json.loads(stuff_json(tmp_path).read_text())
    stuff["annotations"].append(thing(9, rectangle(0, 2, 8, 4), SKY.id))
    (tmp_path / "stuff.json").write_text(json.dumps(stuff))
    found = coco_instances(write(tmp_path, rows), FormatOptions(stuff=tmp_path / "stuff.json", overlap="score")).truth(
        0
    )
    assert [segment.category.name for segment in found] == ["wall", "sky", "door", "door"]
    with pytest.raises(ValueError, match=r"annotation 9 \(sky\) shares 8 pixels with a wall"):
        coco_instances(write(tmp_path, rows), FormatOptions(stuff=tmp_path / "stuff.json")).truth(0)


def test_hidden_things_are_left_out(tmp_path: Path) -> None:
    rows = [thing(1, rectangle(1, 1, 2, 2)), thing(2, rectangle(0, 0, 5, 5))]
    assert len(coco_instances(write(tmp_path, rows), FormatOptions(overlap="last")).truth(0)) == 1


def test_results_without_images_need_classes(tmp_path: Path) -> None:
    path = write(tmp_path, [])
    content = json.loads(path.read_text())
    content["categories"] = [{**row, "isthing": 1} for row in content["categories"]]
    path.write_text(json.dumps(content))
    (tmp_path / "results.json").write_text(json.dumps([thing(1, rectangle(1, 1, 2, 2), score=0.5)]))
    with pytest.raises(ValueError, match="--classes"):
        coco_instances(tmp_path / "results.json")
    assert coco_instances(tmp_path / "results.json", FormatOptions(classes=path)).truth(0).segments[0].score == 0.5


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            [thing(1, rectangle(0, 0, 3, 3)), thing(5, rectangle(2, 2, 3, 3))],
            r"image 1: annotation 5 \(door\) shares 1 pixels with a door; .*--overlap small",
        ),
        ([thing(1, rectangle(0, 0, 3, 3), 77)], "annotation 1 has unknown category id 77"),
        (
            [{**thing(1, rectangle(0, 0, 3, 3)), "segmentation": "0 0 3 3"}],
            "annotation 1: its `segmentation` must be polygons",
        ),
        ([{**thing(1, rectangle(0, 0, 3, 3)), "segmentation": [["x"]]}], "annotation 1: .*cannot be decoded"),
        (
            [{**thing(1, rectangle(0, 0, 3, 3)), "segmentation": {"size": [9, 9], "counts": [81]}}],
            r"run-length encoding of 6 x 8 pixels",
        ),
        ([{**thing(1, rectangle(0, 0, 3, 3)), "image_id": 3}], "annotation 1 is of image 3, which is not in `images`"),
    ],
)
def test_what_cannot_be_painted_is_named(annotations: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        coco_instances(write(tmp_path, annotations)).truth(0)


def test_scores_are_needed_where_they_decide(tmp_path: Path) -> None:
    rows = [thing(1, rectangle(0, 0, 3, 3)), thing(2, rectangle(1, 1, 3, 3), score=0.5)]
    with pytest.raises(ValueError, match="annotation 1 has no `score`"):
        coco_instances(write(tmp_path, rows), FormatOptions(overlap="score")).truth(0)


@pytest.mark.parametrize("change", [{"file_name": "../a.jpg"}, {"height": None}, {"width": 0}, {"file_name": None}])
def test_broken_images_are_named(change: dict[str, Any], tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "height": 6, "width": 8, **change}
    with pytest.raises(ValueError, match=r"instances\.json"):
        coco_instances(write(tmp_path, [], images=[image]))


def polygon(number: int, *shapes: Any, **more: Any) -> dict[str, Any]:
    row = {"id": number, "image_id": 1, "category_id": 4, "segmentation": [*shapes], "iscrowd": 0, "bbox": [1, 1, 2, 2]}
    return {**row, **more}


SOUND = [4, 0, 8, 0, 8, 6, 4, 6]


@pytest.mark.parametrize(
    ("row", "area", "reasons"),
    [
        (polygon(1, *SOUND), 24, []),  # one polygon instead of a list of polygons
        (polygon(1, SOUND, [1.0, 1.0]), 24, [FEW_CORNERS]),
        (polygon(1, [1.0, 1.0]), 0, [FEW_CORNERS, BOXES]),
        (polygon(1), 0, [BOXES]),
        (polygon(1, [6, 4, 20, 4, 20, 20, 6, 20]), 4, []),  # clipped to the image
        (polygon(1, [20, 4, 30, 4, 30, 20, 20, 20]), 0, [NO_PIXELS]),
    ],
)
def test_odd_polygons_are_read_or_counted(row: dict[str, Any], area: int, reasons: list[str], tmp_path: Path) -> None:
    data = coco_instances(write(tmp_path, [row, thing(9, rectangle(0, 0, 1, 1))]), FormatOptions(background="rest"))
    truth = data.truth(0)
    things = sorted(s.area for s in truth if s.isthing)
    assert things == sorted([1, area] if area else [1])
    assert list(data.left_out.found) == reasons
    # The box of an object whose mask is not known is no background.
    assert (truth.ids == 0).sum() == (4 if BOXES in reasons else 0)
    data.truth(0)
    assert all(data.left_out.count(reason) == 1 for reason in reasons)  # what is read twice counts once


def test_boxes_can_be_painted(tmp_path: Path) -> None:
    row = polygon(1, bbox=[1, 1, 2, 3])
    del row["segmentation"]
    [segment] = coco_instances(write(tmp_path, [row]), FormatOptions(boxes="paint")).truth(0)
    assert segment.bbox == (1, 1, 2, 3)
    del row["bbox"]
    data = coco_instances(write(tmp_path, [row]), FormatOptions(boxes="paint"))
    assert len(data.truth(0)) == 0
    assert "annotations with neither mask nor box" in data.left_out.found


@pytest.mark.parametrize("crowd", [1, True, "1"])
def test_crowds_that_are_objects(crowd: object, tmp_path: Path) -> None:
    """CVAT exports every mask with `iscrowd` 1."""
    path = write(tmp_path, [thing(1, rectangle(0, 0, 2, 2), iscrowd=crowd), thing(2, rectangle(4, 0, 2, 2), iscrowd=1)])
    assert [s.iscrowd for s in coco_instances(path).truth(0)] == [True, True]
    assert [s.iscrowd for s in coco_instances(path, FormatOptions(crowds="things")).truth(0)] == [False, False]


@pytest.mark.parametrize("none", [0, "0", False, None])
def test_text_that_says_no_crowd(none: object, tmp_path: Path) -> None:
    [segment] = coco_instances(write(tmp_path, [thing(1, rectangle(0, 0, 2, 2), iscrowd=none)])).truth(0)
    assert not segment.iscrowd


def test_an_export_of_roboflow(tmp_path: Path) -> None:
    """Photographs beside the JSON, a heading as class 0, things only."""
    names = ["fish", "pike", "carp"]
    classes = [{"id": n, "name": name, "supercategory": "fish" if n else "none"} for n, name in enumerate(names)]
    path = write(tmp_path, [thing(1, rectangle(0, 0, 3, 3), 1)], categories=classes)
    path.rename(tmp_path / "_annotations.coco.json")
    photo(tmp_path / "a.jpg", SIZE)
    data = coco_instances(tmp_path, FormatOptions(background="water"))
    assert [(c.id, c.name, c.isthing) for c in data.categories] == [
        (1, "pike", True), (2, "carp", True), (3, "water", False),
    ]  # fmt: skip
    assert data.left_out.count(ROOT_CLASS) == 1
    assert [(s.category.name, s.area) for s in data[0].truth] == [("pike", 9), ("water", 39)]
    assert suggested_command(tmp_path) == (
        f"unipan data convert coco-instances:{tmp_path / '_annotations.coco.json'} OUT --background background"
    )
    used = coco_instances(write(tmp_path / "x", [thing(1, rectangle(0, 0, 3, 3), 0)], categories=classes))
    assert "fish" in used.categories.index_of_name  # a heading that is annotated is a class


@pytest.mark.parametrize("name", ["../../media/upload/4/0a-a.jpg", "..\\..\\media\\0a-a.jpg", "C:\\x\\0a-a.jpg"])
def test_names_that_lead_to_a_server_count_by_their_last_part(name: str, tmp_path: Path) -> None:
    image = {"id": 1, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
    path = write(tmp_path, [thing(1, rectangle(0, 0, 3, 3))], images=[image])
    with pytest.raises(ValueError, match=r"leads out of .*; give --images DIR"):
        coco_instances(path)
    photo(tmp_path / "images" / "0a-a.jpg", SIZE)
    for options in (FormatOptions(), FormatOptions(images=tmp_path / "images")):
        data = coco_instances(path, options)
        assert data.file_names == ["0a-a.jpg"]
        assert data[0].image.shape == (*SIZE, 3)


def test_stuff_by_name(tmp_path: Path) -> None:
    rows = [thing(1, rectangle(0, 0, 8, 3), 7), thing(2, rectangle(0, 2, 8, 3), 7), thing(3, rectangle(1, 1, 3, 3))]
    found = coco_instances(write(tmp_path, rows), FormatOptions(as_stuff=("window",))).truth(0)
    assert [(s.category.name, s.isthing, s.area) for s in found] == [("window", False, 31), ("door", True, 9)]


def test_an_image_that_is_missing_among_others_is_named(tmp_path: Path) -> None:
    rows = [{"id": n, "file_name": f"{n}.jpg", "height": SIZE[0], "width": SIZE[1]} for n in (1, 2)]
    path = write(tmp_path, [], images=rows)
    assert len(coco_instances(path)) == 2  # none is there: maps alone
    photo(tmp_path / "2.jpg", SIZE)
    with pytest.raises(FileNotFoundError, match=r"1\.jpg is missing, but .*2\.jpg is there"):
        coco_instances(path)


def test_boxes_with_class_pictures(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    kinds = np.where(rectangle(1, 1, 3, 3), 4, 9).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "maps" / "a.png"), kinds)
    both = Categories.of([DOOR, WINDOW, WALL]).to_coco()
    row = {**polygon(1), "bbox": [0.6, 0.6, 3.8, 3.8]}
    data = coco_instances(write(tmp_path, [row], categories=both), FormatOptions(class_maps=tmp_path / "maps"))
    ids = np.where(rectangle(1, 1, 3, 3), 2, 1).astype(np.int32)
    assert same(data.truth(0), panoptic_map(ids, {1: WALL, 2: DOOR}))
    (tmp_path / "maps" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png: no such picture of classes"):
        data.truth(0)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([-5, 53], "neither text nor a list of whole numbers"),
        ([1.5, 46.5], "neither text nor a list of whole numbers"),
        ([True, 47], "neither text nor a list of whole numbers"),
        (None, "neither text nor a list of whole numbers"),
        ([0, 10**30], "add up to 1000000000000000000000000000000 pixels, and the image has 48"),
        ([0, 40], "add up to 40 pixels, and the image has 48"),
    ],
)
def test_run_lengths_that_no_mask_has(counts: Any, words: str, tmp_path: Path) -> None:
    row = {**thing(1, rectangle(0, 0, 2, 2)), "segmentation": {"size": list(SIZE), "counts": counts}}
    with pytest.raises(ValueError, match=rf"image 1: annotation 1: its `counts` {words}|are {words}"):
        coco_instances(write(tmp_path, [row])).truth(0)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("1", "'1', but `images` has it as 1"),
        (1.0, "1.0, but `images` has it as 1"),
        (True, "which"),
        (2, "which is not"),
    ],
)
def test_an_image_id_of_another_type_is_told_as_such(key: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"annotation 1 is of image .*{words}"):
        coco_instances(write(tmp_path, [{**thing(1, rectangle(0, 0, 2, 2)), "image_id": key}]))
