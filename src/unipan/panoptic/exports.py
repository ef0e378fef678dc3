"""Panoptic maps as other programs and libraries take them. Those libraries are imported where they are asked for."""

import base64
from importlib import import_module
from typing import Any

import cv2
import numpy as np

from unipan.panoptic.maps import VOID_ID, PanopticMap, Segment
from unipan.panoptic.polygons import segment_polygons
from unipan.panoptic.segment_table import COLUMNS, segment_table

LABELME_VERSION = "5.5.0"
"""Of the format; newer ones read it."""


def map_to_pandas(panoptic: PanopticMap) -> Any:
    """`segment_table` as a pandas DataFrame with the segments' ids as index.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    frame = _required("pandas").DataFrame(segment_table(panoptic), columns=COLUMNS)
    return frame.set_index("id")


def map_to_supervision(panoptic: PanopticMap) -> Any:
    """Every segment, things and stuff, as `supervision.Detections` with masks.

    Boxes are x0 y0 x1 y1 along the outer edges of the pixels; `class_id` is the category id; `data` has `class_name`,
    `isthing` and `segment_id`.

    Raises:
        ModuleNotFoundError: supervision is not installed.
    """
    segments = panoptic.segments
    boxes = np.array([segment.bbox for segment in segments], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [panoptic.ids == segment.id for segment in segments]
    return _required("supervision").Detections(
        xyxy=boxes,
        mask=np.array(masks, bool).reshape(len(segments), *panoptic.ids.shape),
        confidence=np.array([segment.score for segment in segments], np.float32),
        class_id=np.array([segment.category.id for segment in segments], int),
        data={
            "class_name": np.array([segment.category.name for segment in segments], str),
            "isthing": np.array([segment.isthing for segment in segments], bool),
            "segment_id": np.array([segment.id for segment in segments], int),
        },
    )


def map_to_huggingface(panoptic: PanopticMap) -> dict[str, Any]:
    """What `post_process_panoptic_segmentation` of transformers 5 returns for an image.

    `segmentation` is an int32 tensor of segment ids, 0 being void; a row of `segments_info` has `id`, `label_id` (the
    category id), `was_fused` (true for stuff, of which an image has one segment) and `score`.

    Raises:
        ModuleNotFoundError: PyTorch is not installed.
    """
    rows = [
        {"id": each.id, "label_id": each.category.id, "was_fused": not each.isthing, "score": round(each.score, 6)}
        for each in panoptic
    ]
    return {"segmentation": _required("torch").from_numpy(panoptic.ids.astype(np.int32)), "segments_info": rows}


def map_to_napari(panoptic: PanopticMap, name: str = "image") -> tuple[np.ndarray, dict[str, Any], str]:
    """A layer of labels as napari takes it from plugins: the ids, what the layer is called and knows, and its kind.

    `viewer.add_layer(napari.layers.Layer.create(*layer))` adds it. Its features have a row for the background, 0, and
    one for each segment; napari shows them under the cursor. Needs no napari.
    """
    rows = [{"id": VOID_ID, "class": "void"}, *segment_table(panoptic)]
    columns = ("class", "category_id", "isthing", "score", "area")
    features: dict[str, Any] = {"index": np.array([row["id"] for row in rows])}
    features["class"] = np.array([row["class"] for row in rows])
    features |= {column: np.array([row.get(column, 0) for row in rows]) for column in columns[1:]}
    return panoptic.ids.copy(), {"name": name, "features": features}, "labels"


def map_to_labelme(panoptic: PanopticMap, name: str) -> dict[str, Any]:
    """The content of a LabelMe JSON, to be saved beside the image.

    Each part of a segment is a polygon, parts of one segment have one `group_id`. LabelMe's polygons have no holes, so
    a segment with holes is a mask.

    Args:
        panoptic: the map.
        name: file name of the image.
    """
    height, width = panoptic.ids.shape
    return {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": [shape for segment in panoptic for shape in _shapes_of(panoptic, segment)],
        "imagePath": name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _shapes_of(panoptic: PanopticMap, segment: Segment) -> list[dict[str, Any]]:
    parts = segment_polygons(panoptic, segment)
    group = segment.id if len(parts) > 1 else None
    common = {"label": segment.category.name, "group_id": group, "description": f"score {segment.score:.4f}"}
    if all(len(part) == 1 for part in parts):
        rings = [part[0].astype(float).tolist() for part in parts]
        return [{**common, "points": ring, "shape_type": "polygon", "flags": {}, "mask": None} for ring in rings]
    x, y, width, height = segment.bbox
    mask = panoptic.ids[y : y + height, x : x + width] == segment.id
    _, png = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    text = base64.b64encode(png.tobytes()).decode()
    corners = [[float(x), float(y)], [float(x + width - 1), float(y + height - 1)]]  # LabelMe counts the last pixel in
    return [{**common, "group_id": None, "points": corners, "shape_type": "mask", "flags": {}, "mask": text}]


def _required(package: str) -> Any:
    """The package, or one sentence; the ground floor imports it for nothing else."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        extra = '"unipan[torch]"' if package == "torch" else package
        raise ModuleNotFoundError(f"this conversion needs {package}: pip install {extra}") from error
