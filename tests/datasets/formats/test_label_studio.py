"""Label Studio: per cent, brush strokes, and whose annotation counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.formats.shapes_by_hand import SIZE, has, photo, square
from unipan.datasets.formats.drawing import BOXES, POINTS
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.label_studio import BARE_TASKS, FURTHER, UNNAMED, label_studio, unpack_runs
from unipan.datasets.formats.registry import suggested_command

PACKED_5_BY_7 = [
    0, 0, 0, 140, 57, 27, 254, 35, 0, 191, 255, 108, 2, 255, 254, 31, 0, 143, 255, 11, 128, 0,
]  # fmt: skip
"""What label-studio-sdk 2.1.2 (`converter.brush.mask2rle`) makes of 5 rows of 7 pixels, with two areas set."""


def pack_runs(values: np.ndarray) -> list[int]:
    """A packer of our own: literal packets and repeated ones by turns of the runs' lengths."""
    bits: list[str] = [f"{len(values):032b}", f"{7:05b}", *(f"{width - 1:04b}" for width in (3, 4, 8, 16))]
    place = 0
    while place < len(values):
        end = place
        while end < len(values) and values[end] == values[place] and end - place < 60_000:
            end += 1
        length = end - place
        choice = next(n for n, width in enumerate((3, 4, 8, 16)) if length <= 1 << width)
        width = (3, 4, 8, 16)[choice]
        bits.append(f"{int(length > 1)}{choice:02b}{length - 1:0{width}b}{int(values[place]):08b}")
        place = end
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[n : n + 8], 2) for n in range(0, len(text), 8)]


def brush(mask: np.ndarray) -> list[int]:
    return pack_runs(np.repeat(mask.reshape(-1).astype(np.uint8) * 255, 4))


def region(kind: str, label: str | None, number: int = 0, **value: Any) -> dict[str, Any]:
    labels = {} if label is None else {kind: [label]}
    size = {"original_width": SIZE[1], "original_height": SIZE[0], "image_rotation": 0}
    return {"id": f"r{number}", "type": kind, **size, "value": {**value, **labels}}


def per_cent(x: int, y: int, w: int, h: int) -> list[list[float]]:
    return [[100 * px / 64, 100 * py / 48] for px, py in ((x, y), (x + w, y), (x + w, y + h), (x, y + h))]


def write(folder: Path, *tasks: list[dict[str, Any]], **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": n,
            "data": {"image": f"/data/upload/4/0a1b-{n}.jpg"},
            "annotations": [{"id": n, "result": results}],
            **more,
        }
        for n, results in enumerate(tasks)
    ]
    (folder / "export.json").write_text(json.dumps(rows))
    for n in range(len(tasks)):
        photo(folder / "images" / f"0a1b-{n}.jpg")
    return folder / "export.json"


def test_every_kind_of_region(tmp_path: Path) -> None:
    regions = [
        region("polygonlabels", "car", points=per_cent(2, 2, 20, 10)),
        region("brushlabels", "dog", format="rle", rle=brush(square(30, 5, 9, 7))),
        region("ellipselabels", "ball", x=50.0, y=75.0, radiusX=10.0, radiusY=100 * 6.4 / 48, rotation=0),
        region("rectanglelabels", "sign", 7, x=75.0, y=0.0, width=25.0, height=25.0, rotation=0),
        region("keypointlabels", "tip", x=1.0, y=1.0, width=0.5),
        {**region("labels", None), "value": {"labels": ["bus"], "points": per_cent(2, 20, 8, 8)}},
    ]
    data = label_studio(write(tmp_path, regions), FormatOptions(background="ground"))
    truth = data.truth(0)
    assert has(truth, "car", square(2, 2, 20, 10))
    assert has(truth, "dog", square(30, 5, 9, 7))
    assert has(truth, "bus", square(2, 20, 8, 8))
    ball = next(s for s in truth if s.category.name == "ball")
    assert ball.area == pytest.approx(np.pi * 6.4**2, rel=0.05)
    assert ((truth.ids == 0) == square(48, 0, 16, 12)).all()
    assert (data.left_out.count(BOXES), data.left_out.count(POINTS)) == (1, 1)
    assert data[0].image.shape == (*SIZE, 3)
    assert data.file_names == ["0a1b-0.jpg"]


def test_turned_rectangles_turn_about_their_corner(tmp_path: Path) -> None:
    turned = region("rectanglelabels", "sign", x=50.0, y=25.0, width=25.0, height=25.0, rotation=90)
    truth = label_studio(write(tmp_path, [turned]), FormatOptions(boxes="paint")).truth(0)
    assert has(
        truth, "sign", square(20, 12, 12, 16)
    )  # from (32, 12), 16 wide and 12 high, turned to the left and below


def test_runs_are_unpacked(tmp_path: Path) -> None:
    mask = unpack_runs(PACKED_5_BY_7).reshape(5, 7, 4)[..., 3] > 0
    assert np.argwhere(mask).tolist() == [[y, x] for y in (1, 2) for x in range(2, 6)] + [[4, 0]]
    rng = np.random.default_rng(0)
    for count in (0, 1, 5, 300, 70_000):
        values = np.repeat(rng.integers(0, 256, count), rng.integers(1, 5, count))[:count]
        assert (unpack_runs(pack_runs(values)) == values).all()
    with pytest.raises(ValueError, match=r"task 0 .*region r0: its `rle` ends too early"):
        label_studio(write(tmp_path, [region("brushlabels", "a", rle=brush(square(0, 0, 9, 9))[:-2])])).truth(0)
    with pytest.raises(ValueError, match="has 48 bytes, not 4 for each of 64 x 48 pixels"):
        label_studio(write(tmp_path, [region("brushlabels", "a", rle=brush(np.ones((3, 4), bool)))])).truth(0)


def test_whose_annotation_counts(tmp_path: Path) -> None:
    path = write(tmp_path, [region("polygonlabels", "car", points=per_cent(2, 2, 20, 10))], [], [])
    tasks = json.loads(path.read_text())
    tasks[0]["annotations"].insert(0, {"was_cancelled": True, "result": []})
    tasks[0]["annotations"].append({"result": []})
    tasks[2]["annotations"] = []
    path.write_text(json.dumps(tasks))
    data = label_studio(path)
    assert [len(data.truth(n)) for n in range(len(data))] == [1, 0]  # the second has no object, the third no annotation
    assert (data.left_out.count(FURTHER), data.left_out.count(BARE_TASKS)) == (1, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_rotation": 90}, "region r0 was drawn on a turned image"),
        ({"value": {"points": [[1]], "polygonlabels": ["car"]}}, r"`points` are no list of \[x, y\]"),
        ({"value": {"points": per_cent(2, 2, 9, 9), "polygonlabels": ["car", "bus"]}}, r"has 2 labels \(car, bus\)"),
    ],
)
def test_what_cannot_be_painted_is_named(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    row = {**region("polygonlabels", "car", points=per_cent(2, 2, 20, 10)), **change}
    with pytest.raises(ValueError, match=words):
        label_studio(write(tmp_path, [row])).truth(0)


def test_regions_without_a_label_are_counted(tmp_path: Path) -> None:
    rows = [region("polygonlabels", "car", 1, points=per_cent(2, 2, 9, 9)), region("polygon", None, 2, points=[])]
    data = label_studio(write(tmp_path, rows))
    assert len(data.truth(0)) == 1
    assert data.left_out.count(UNNAMED) == 1


def test_other_exports_are_refused_and_this_one_recognised(tmp_path: Path) -> None:
    path = write(tmp_path, [region("rectanglelabels", "a", x=1.0, y=1.0, width=2.0, height=2.0)])
    assert suggested_command(path) == (
        f"unipan data convert label-studio:{path} OUT --boxes paint --overlap small --background background"
    )
    path.write_text('[{"image": "a.jpg", "label": []}]')
    with pytest.raises(ValueError, match="choose the format JSON there"):
        label_studio(path)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 1e308, "radiusY": 1}, "a number of the ellipse is not finite"),
        ("ellipselabels", {"x": 1e306, "y": 5, "radiusX": 1.7e308, "radiusY": 1}, "ellipse is not finite"),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 2, "radiusY": 1, "rotation": "left"}, "`rotation` is 'left'"),
        ("rectanglelabels", {"x": 5, "y": 5, "width": 2, "height": 1, "rotation": [1]}, r"`rotation` is \[1\]"),
        ("rectanglelabels", {"x": 10**400, "y": 5, "width": 2, "height": 1}, "a number is too large"),
        ("polygonlabels", {"points": [[1, 1], [9, 10**400], [5, 5]]}, "a number is too large"),
        ("rectanglelabels", {"x": 1e308, "y": 5, "width": 2, "height": 1}, "is not a number"),
    ],
)
def test_numbers_beyond_all_images_are_said_with_file_task_and_region(
    kind: str, value: dict[str, Any], words: str, tmp_path: Path
) -> None:
    data = label_studio(write(tmp_path, [region(kind, "car", **value)]), FormatOptions(boxes="paint"))
    with pytest.raises(ValueError, match=rf"\.json: task 0 .*: region r0: .*{words}"):
        data.truth(0)
