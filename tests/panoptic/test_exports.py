"""Results as other libraries take them: against the real library where it is installed, else by hand.

supervision, transformers, napari and LabelMe are not in the extra `dev`: their tests say so where they are skipped, and
`make test-others` runs them.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import CATEGORIES, draw
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import open_dataset
from unipan.evaluation.matching import match_segments
from unipan.panoptic.given_maps import as_map
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.result import PanopticResult

SKY, GROUND = CATEGORIES.stuff
DISC, BOX = CATEGORIES.things


def result() -> PanopticResult:
    """A disc in two parts, a box with a hole in it, sky around them, a column of void."""
    ids = np.full((20, 30), 4, np.int32)
    ids[2:8, 2:8], ids[10:14, 3:9] = 7, 7
    ids[4:16, 14:26] = 9
    ids[8:11, 18:22] = 4
    ids[:, -1] = 0
    found = panoptic_map(ids, {4: SKY, 7: DISC, 9: BOX}, {4: 0.5, 7: 0.91234567, 9: 0.25})
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return PanopticResult(found.ids, found.segments, image, "street.png")


def empty() -> PanopticResult:
    return PanopticResult(np.zeros((4, 6), np.int32), (), np.zeros((4, 6, 3), np.uint8), "empty.png")


def test_views_have_mask_crop_and_polygons() -> None:
    found = result()
    views = list(found.views())
    assert [view.category.name for view in views] == ["sky", "disc", "box"]
    assert sum(view.mask.astype(int) for view in views).max() == 1
    assert [int(view.mask.sum()) for view in views] == [view.segment.area for view in views]
    disc, box = views[1], views[2]
    x, y, width, height = box.segment.bbox
    assert np.array_equal(box.crop(), found.image[y : y + height, x : x + width])
    assert box.crop(margin=2).shape == (height + 4, width + 4, 3)
    assert box.crop(margin=99).shape == found.image.shape
    cut = box.crop(transparent=True)
    assert np.array_equal(cut[..., 3] == 255, box.mask[y : y + height, x : x + width])
    assert [len(part) for part in box.polygons] == [2]  # outline and hole
    assert len(disc.polygons) == 2
    assert "box 9, 12 x 12" in repr(box)
    with pytest.raises(ValueError, match="margin"):
        box.crop(-1)
    box.crop()[:] = 0  # a copy
    assert found.image.any()


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra dev)")
    frame = result().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc[7, "class"] == "disc"
    assert frame["area"].to_dict() == {segment.id: segment.area for segment in result()}
    assert frame.groupby("isthing")["area"].sum().loc[1] == frame.loc[[7, 9], "area"].sum()
    assert list(empty().to_pandas().columns) == list(frame.columns)
    assert len(empty().to_pandas()) == 0


def test_supervision() -> None:
    sv = pytest.importorskip("supervision", reason="supervision is not installed; it brings its own OpenCV")
    found = result().to_supervision()
    assert isinstance(found, sv.Detections)
    assert len(found) == 3
    assert found["class_name"].tolist() == ["sky", "disc", "box"]
    assert found.area.tolist() == [segment.area for segment in result()]
    things = found[found["isthing"]]
    assert things.class_id.tolist() == [DISC.id, BOX.id]
    assert things.xyxy.tolist() == [[2, 2, 9, 14], [14, 4, 26, 16]]
    scene = sv.MaskAnnotator().annotate(result().image.copy(), things)
    assert (scene != result().image).any()
    # What supervision itself makes of the same map in transformers' form.
    theirs = sv.Detections.from_transformers(result().to_huggingface(), {c.id: c.name for c in CATEGORIES})
    assert np.array_equal(theirs.mask, found.mask)
    assert theirs["class_name"].tolist() == found["class_name"].tolist()
    assert len(empty().to_supervision()) == 0


def test_huggingface_has_the_keys_and_types_of_transformers() -> None:
    given = result().to_huggingface()
    assert given["segmentation"].dtype == torch.int32
    assert np.array_equal(given["segmentation"].numpy(), result().ids)
    assert given["segments_info"][1] == {"id": 7, "label_id": DISC.id, "was_fused": False, "score": 0.912346}
    assert [row["was_fused"] for row in given["segments_info"]] == [True, False, False]
    again = as_map(given, CATEGORIES)
    matches = match_segments(result(), again)
    assert len(matches.truth) == 3
    assert matches.iou.min() == 1


def test_huggingface_is_what_transformers_writes() -> None:
    """Our masks as its network's output, through its own post-processing."""
    module = pytest.importorskip(
        "transformers.models.mask2former.image_processing_mask2former", reason="transformers 5 is not installed"
    )
    found = result()
    masks = torch.stack([torch.from_numpy(view.mask) for view in found.views()]).float()
    scores = torch.tensor([segment.score for segment in found])
    labels = torch.tensor([segment.category.id for segment in found])
    fused = {category.id for category in CATEGORIES.stuff}
    theirs, rows = module.compute_segments(masks * 0.98 + 0.01, scores, labels, 0.1, 0.0, fused)
    ours = found.to_huggingface()
    assert theirs.dtype == ours["segmentation"].dtype
    assert theirs.shape == ours["segmentation"].shape
    assert [sorted(row) for row in rows] == [sorted(row) for row in ours["segments_info"]]
    assert [{k: type(v) for k, v in row.items()} for row in rows] == [
        {k: type(v) for k, v in row.items()} for row in ours["segments_info"]
    ]
    inside = found.ids > 0
    assert same_partition(theirs.numpy()[inside], found.ids[inside])
    for row, own in zip(rows, ours["segments_info"], strict=True):
        assert {**row, "id": 0} == {**own, "id": 0}


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})


def test_napari_gets_labels_and_features() -> None:
    data, options, kind = result().to_napari()
    assert kind == "labels"
    assert options["name"] == "street"
    assert np.array_equal(data, result().ids)
    features = options["features"]
    assert features["index"].tolist() == [0, 4, 7, 9]
    assert features["class"].tolist() == ["void", "sky", "disc", "box"]
    assert features["area"].tolist()[1:] == [segment.area for segment in result()]
    assert {len(column) for column in features.values()} == {4}


def test_napari_takes_them() -> None:
    layers = pytest.importorskip("napari.layers", reason="napari is not installed")
    layer = layers.Layer.create(*result().to_napari())
    assert isinstance(layer, layers.Labels)
    assert layer.features["class"].tolist() == ["void", "sky", "disc", "box"]
    status = layer.get_status((5, 5))
    assert "disc" in str(status)  # what is shown under the cursor
    assert layers.Layer.create(*empty().to_napari()).features["class"].tolist() == ["void"]


def test_labelme_comes_back_as_it_was(tmp_path: Path) -> None:
    """Through our own reader: parts, holes and all."""
    found = result()
    (tmp_path / "street.json").write_text(json.dumps(found.to_labelme()))
    Image.fromarray(found.image).save(tmp_path / "street.png")
    data = open_dataset(f"labelme:{tmp_path}", FormatOptions(as_stuff=("sky",)))
    again = data.truth(0)
    assert sorted((s.category.name, s.area) for s in again) == sorted((s.category.name, s.area) for s in found)
    assert same_partition(again.ids.ravel(), found.ids.ravel())


def test_labelme_reads_it(tmp_path: Path) -> None:
    module = pytest.importorskip("labelme._label_file", reason="LabelMe is not installed", exc_type=ImportError)
    content = result().to_labelme()
    shapes = [module._load_shape_json_obj(shape) for shape in json.loads(json.dumps(content["shapes"]))]
    assert [(shape["label"], shape["shape_type"]) for shape in shapes] == [
        ("sky", "mask"), ("disc", "polygon"), ("disc", "polygon"), ("box", "mask"),
    ]  # fmt: skip
    from labelme import utils

    names = {"_background_": 0, "sky": 1, "disc": 2, "box": 3}
    classes, _ = utils.shapes_to_label((20, 30), shapes[0:1] + shapes[3:4], names)
    for number, name in ((1, "sky"), (3, "box")):  # the masks, as LabelMe paints them
        [view] = [view for view in result().views() if view.category.name == name]
        assert np.array_equal(classes == number, view.mask)


def test_geojson_is_read_by_shapely() -> None:
    shape = pytest.importorskip("shapely.geometry").shape
    for feature, segment in zip(result().to_geojson()["features"], result(), strict=True):
        polygon = shape(feature["geometry"])
        assert polygon.is_valid
        assert polygon.area == segment.area


def test_coco_is_read_by_the_evaluator(tmp_path: Path) -> None:
    found = result()
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": found.name, "height": 20, "width": 30}],
        "annotations": [found.to_coco()],
        "categories": CATEGORIES.to_coco(),
    }
    (tmp_path / "pred.json").write_text(json.dumps(content))
    (tmp_path / "pred").mkdir()
    found.save_ids(tmp_path / "pred" / found.to_coco()["file_name"])
    again = open_dataset(f"coco:{tmp_path / 'pred.json'}").truth(0)
    assert isinstance(again, PanopticMap)
    assert np.array_equal(again.ids, found.ids)


def test_a_notebook_shows_picture_and_legend() -> None:
    found = result()
    with Image.open(io.BytesIO(found._repr_png_())) as picture:
        # An exported notebook has no HTML: the legend stands below the picture.
        assert np.array_equal(np.array(picture), found.overlay(labels=True))
    html = found._repr_html_()
    assert html.count("<img") == 1
    assert all(f"{name} <small>1, " in html for name in ("sky", "disc", "box"))
    risky = PanopticResult(found.ids, found.segments, found.image, "<script>.png")
    assert "<script>" not in risky._repr_html_()
    large = draw(0)
    whole = PanopticResult(
        np.kron(large.truth.ids, np.ones((20, 20), np.int32)).astype(np.int32), large.truth.segments,
        np.kron(large.image, np.ones((20, 20, 1), np.uint8)), "large.png",
    )  # fmt: skip
    with Image.open(io.BytesIO(whole._repr_png_())) as picture:
        assert max(picture.size) == 960
    assert "0 segments" in empty()._repr_html_()


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ModuleNotFoundError, match="pip install supervision"):
        result().to_supervision()
