"""LabelMe: polygons, circles, masks, rectangles, and parts of one object."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.datasets.formats.shapes_by_hand import SIZE, has, photo, square
from unipan.datasets.formats.drawing import BOXES, POINTS
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.labelme import OTHER_JSON, labelme
from unipan.datasets.formats.regions import region_of_ellipse
from unipan.datasets.formats.registry import suggested_command


def corners(x: float, y: float, w: float, h: float) -> list[list[float]]:
    return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]


def shape(label: str, points: list[list[float]], kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def write(folder: Path, *shapes: dict[str, Any], name: str = "a", image: str = "a.jpg", **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"version": "5.4.1", "shapes": list(shapes), "imagePath": image, "imageData": None}
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    (folder / f"{name}.json").write_text(json.dumps({**content, **size, **more}))
    return folder


def encoded(mask: np.ndarray) -> str:
    memory = BytesIO()
    Image.fromarray(mask).save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode()


def test_every_kind_of_shape(tmp_path: Path) -> None:
    patch = np.zeros((4, 6), bool)
    patch[1:, :4] = True
    write(
        tmp_path,
        shape("car", corners(2, 2, 10, 10), group_id=1),
        shape("car", corners(20, 2, 10, 10), group_id=1),
        shape("bus", corners(2, 14, 4, 4), group_id=1),  # another label: another object
        shape("ball", [[50, 30], [55, 30]], "circle"),
        shape("hole", [[30, 40], [35, 43]], "mask", mask=encoded(patch)),
        shape("sign", [[60, 10], [40, 2]], "rectangle"),
        shape("tip", [[1, 1]], "point"),
        shape("__ignore__", corners(0, 0, 64, 4)),
    )
    photo(tmp_path / "a.jpg")
    data = labelme(tmp_path)
    truth = data.truth(0)
    ignored = square(0, 0, 64, 4)
    assert has(truth, "car", (square(2, 2, 10, 10) | square(20, 2, 10, 10)) & ~ignored)
    assert has(truth, "bus", square(2, 14, 4, 4))
    assert has(truth, "ball", region_of_ellipse(50.0, 30.0, 5.0, 5.0, SIZE).full(SIZE))
    assert has(truth, "hole", square(30, 41, 4, 3))
    assert not any(s.category.name in ("sign", "tip") for s in truth)
    assert (data.left_out.count(BOXES), data.left_out.count(POINTS)) == (1, 1)
    painted = labelme(tmp_path, FormatOptions(boxes="paint")).truth(0)
    assert has(painted, "sign", square(40, 2, 20, 8) & ~ignored)
    assert data[0].image.shape == (*SIZE, 3)


def test_images_are_found_by_their_last_name_and_may_not_be_there(tmp_path: Path) -> None:
    write(tmp_path / "ann", shape("car", corners(2, 2, 10, 10)), image="..\\img\\a.jpg")
    photo(tmp_path / "img" / "a.jpg")
    data = labelme(tmp_path / "ann", FormatOptions(images=tmp_path / "img"))
    assert data.image_path(0) == tmp_path / "img" / "a.jpg"
    alone = labelme(tmp_path / "ann")
    assert has(alone.truth(0), "car", square(2, 2, 10, 10))
    with pytest.raises(ValueError, match=r"no image for a\.jpg; give --images DIR"):
        alone.image_path(0)


def test_sizes_come_from_the_image_if_need_be(tmp_path: Path) -> None:
    write(tmp_path, shape("car", corners(2, 2, 10, 10)), imageHeight=None, imageWidth=None)
    with pytest.raises(ValueError, match="has no `imageHeight`"):
        labelme(tmp_path).truth(0)
    photo(tmp_path / "a.jpg", (50, 70))
    assert labelme(tmp_path).truth(0).ids.shape == (50, 70)


def test_backgrounds(tmp_path: Path) -> None:
    write(tmp_path, shape("car", corners(2, 2, 10, 10)), shape("_background_", corners(0, 20, 64, 28)))
    write(tmp_path, name="b", image="b.jpg")
    data = labelme(tmp_path, FormatOptions(background="_background_"))
    assert [(c.name, c.isthing) for c in data.categories] == [("car", True), ("_background_", False)]
    assert [(s.category.name, s.area) for s in data.truth(0)] == [("_background_", 48 * 64 - 100), ("car", 100)]
    assert [(s.category.name, s.area) for s in data.truth(1)] == [("_background_", 48 * 64)]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (shape("car", [[1, 2], [3]]), r"a\.json: shape 0 \(car\): its `points` are no list of \[x, y\]"),
        (shape("car", corners(0, 0, 1, 1), "spiral"), "a spiral with 4 points"),
        (shape("car", [[0, 0], [3, 3]], "mask", mask="xx"), "its `mask` is no PNG in base64"),
        ({"points": []}, "a shape needs a `label`"),
    ],
)
def test_what_cannot_be_painted_is_named(bad: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        labelme(write(tmp_path, bad)).truth(0)


def test_it_is_recognised_among_other_files(tmp_path: Path) -> None:
    write(tmp_path, shape("car", corners(2, 2, 10, 10)))
    (tmp_path / "other.json").write_text("{}")
    assert suggested_command(tmp_path) == f"unipan data convert labelme:{tmp_path} OUT --background background"
    assert labelme(tmp_path).left_out.count(OTHER_JSON) == 1
    (tmp_path / "a.json").unlink()
    with pytest.raises(FileNotFoundError, match="no JSON of LabelMe here"):
        labelme(tmp_path)
