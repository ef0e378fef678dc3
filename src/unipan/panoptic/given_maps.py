"""Panoptic maps as programs hold them: arrays or tensors of ids with a list of segments, as COCO, detectron2 and
transformers have them, or pairs of class and instance, as torchmetrics has them. Needs no PyTorch."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import short, whole
from unipan.panoptic.coco_parser import says_crowd
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map
from unipan.panoptic.runs import MAX_ID

GivenMap = PanopticMap | Mapping[str, Any] | tuple[Any, Any] | Any
"""What `as_map` takes."""
_IDS = ("segmentation", "panoptic_seg", "ids")
_CLASS = ("category_id", "label_id")
_MOST = 2.0**53
"""Beyond it not every whole number is a float."""


def as_map(given: GivenMap, categories: Categories, source: str = "panoptic map") -> PanopticMap:
    """A panoptic map of any of these, which are arrays or tensors on any device:

    * a `PanopticMap`, or a `PanopticResult`, as it is;
    * `(ids, segments)`: H x W segment ids, 0 and below being void, and for each segment a row with `id` and
      `category_id` or `label_id` (and perhaps `iscrowd` and `score`), as `segments_info` of COCO, detectron2 and
      transformers; or a dictionary segment id -> category id;
    * a dictionary with `segmentation` (or `panoptic_seg`, or `ids`) and `segments_info`, as transformers returns it;
    * H x W x 2: the category id and the instance of each pixel, as torchmetrics takes it. A category id that is none of
      the classes is void, and instances of stuff are one segment.

    Args:
        given: the map.
        categories: the classes, by whose ids the segments are named.
        source: what error messages call the map.

    Raises:
        ValueError: none of these, a category id that is unknown, an id without a segment, or a segment without pixels.
    """
    if isinstance(given, PanopticMap):
        return given
    if isinstance(given, Mapping):
        key = next((key for key in _IDS if key in given), None)
        if key is None or "segments_info" not in given:
            raise ValueError(f"{source}: a dictionary needs `segmentation` and `segments_info`, it has {sorted(given)}")
        given = (given[key], given["segments_info"])
    if isinstance(given, tuple) and len(given) == 2:
        return _of_segments(_integers(given[0], source), given[1], categories, source)
    pairs = _integers(given, source)
    if pairs.ndim != 3 or pairs.shape[2] != 2:
        raise ValueError(
            f"{source}: an array of shape {pairs.shape} alone is no panoptic map; give (ids, segments), or H x W x 2 "
            "with the category id and the instance of each pixel"
        )
    return _of_pairs(pairs, categories, source)


def _integers(given: Any, source: str) -> np.ndarray:
    """An array or a tensor as an array of integers."""
    if hasattr(given, "detach"):  # a tensor, perhaps on a GPU
        given = given.detach().cpu().numpy()
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{source}: this is neither a map nor an array of ids ({error})") from error
    if array.dtype.kind == "f" and (abs(array) < _MOST).all() and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int64)  # transformers gives floats where nothing was found
    if array.dtype.kind not in "iu":
        raise ValueError(f"{source}: ids are integers, these are {array.dtype}")
    return array


def _of_segments(ids: np.ndarray, segments: Any, categories: Categories, source: str) -> PanopticMap:
    if ids.ndim != 2:
        raise ValueError(f"{source}: segment ids are H x W, these have shape {ids.shape}")
    by_id = {category.id: category for category in categories}
    classes: dict[int, Category] = {}
    scores: dict[int, float] = {}
    crowds: set[int] = set()
    for key, row in _segment_rows(segments, source):
        given = next((row[name] for name in _CLASS if name in row), None)
        number = _number_of(given)
        if number is None or number not in by_id:
            raise ValueError(
                f"{source}: segment {key} has category id {short(given)}, which is not one of the {len(categories)} "
                "classes"
            )
        category = by_id[number]
        if classes.setdefault(key, category) is not category:  # transformers lists what it has fused more than once
            raise ValueError(f"{source}: segment id {key} is listed twice, with different classes")
        try:
            scores[key] = float(row.get("score", 1.0))
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{source}: the score of segment {key} is no number, it is {short(row['score'])}"
            ) from error
        if says_crowd(row.get("iscrowd")):
            crowds.add(key)
    if ids.size and ids.max() > MAX_ID:
        raise ValueError(f"{source}: segment id {ids.max()} is above {MAX_ID}; renumber the segments")
    return panoptic_map(np.maximum(ids, VOID_ID).astype(np.int32), classes, scores, crowds, source)


def _segment_rows(segments: Any, source: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    if isinstance(segments, Mapping):
        rows = [{"id": key, "category_id": value} for key, value in segments.items()]
    elif isinstance(segments, Iterable):
        rows = list(segments)
    else:
        raise ValueError(f"{source}: segments are rows with `id` and `category_id`, not {short(segments)}")
    found: list[tuple[int, Mapping[str, Any]]] = []
    for row in rows:
        number = _number_of(row.get("id")) if isinstance(row, Mapping) else None
        if number is None:
            raise ValueError(f"{source}: a segment is a row with whole `id` and `category_id`, not {short(row)}")
        found.append((number, row))
    return found


def _number_of(value: Any) -> int | None:
    """A whole number, which may be an array or a tensor of one; None for anything else."""
    try:
        return whole(value.item() if hasattr(value, "item") else value)
    except (ValueError, RuntimeError):  # of several numbers
        return None


def _of_pairs(pairs: np.ndarray, categories: Categories, source: str) -> PanopticMap:
    by_id = {category.id: category for category in categories}
    stuff = [category.id for category in categories.stuff]
    number, instance = pairs[..., 0].astype(np.int64), pairs[..., 1].astype(np.int64)
    known = np.isin(number, list(by_id))
    instance = np.where(np.isin(number, stuff), 0, instance)
    found, place = np.unique(np.stack([number[known], instance[known]], axis=1), axis=0, return_inverse=True)
    ids = np.zeros(number.shape, np.int32)
    ids[known] = place.reshape(-1) + 1
    classes = {key: by_id[category] for key, category in enumerate(found[:, 0].tolist(), start=1)}
    return panoptic_map(ids, classes, source=source)
