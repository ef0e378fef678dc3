"""Readers of what other libraries' models put out, as plain dictionaries and arrays; none of them is imported.

A detection reader returns `boxes`, `scores`, `classes` and `masks` by name, so that its result is passed on as it is:
`unipan.fuse(semantic, **read_torchvision(output, labels))`. A reader of panoptic results returns a `PanopticMap`.

Legend: D detections, N queries, L classes, H W the image.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from unipan.arrays import Float, Int64, Integer
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map

LEAST_PROBABILITY = 1e-4
"""Probabilities of masks are at least this and at most 1 less this, so that their logits are finite."""


class DetectionArrays(TypedDict):
    """The detections of one image, named as the arguments of `unipan.fuse`.

    `boxes` (D, 4) are x0 y0 x1 y1 in pixels, `scores` (D,) 0..1, `classes` (D,) thing classes from 0, `masks` logits on
    the whole image (D, H, W) or None, and `whole_masks` says that they are.
    """

    boxes: Float[np.ndarray, "D 4"]
    scores: Float[np.ndarray, " D"]
    classes: Int64[np.ndarray, " D"]
    masks: Float[np.ndarray, "D H W"] | None
    whole_masks: bool


def mask_logits(probabilities: Any) -> Float[np.ndarray, "*n"]:
    """log(p / (1 - p)) of probabilities, or of True and False; those outside 0.0001..0.9999 are moved there."""
    p = array_of(probabilities).astype(np.float32).clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(p / (1 - p)))


def read_torchvision(output: Mapping[str, Any], labels: Mapping[int, int] | None = None) -> DetectionArrays:
    """One image's dictionary of torchvision's Faster and Mask R-CNN, RetinaNet and FCOS.

    Args:
        output: `boxes`, `scores`, `labels`, and `masks` (D, 1, H, W), probabilities, of Mask R-CNN. Empty boxes are
            dropped.
        labels: the thing class of each label; labels without one are dropped. By default label 1 is class 0 (Faster and
            Mask R-CNN count background as 0).

    Raises:
        ValueError: a missing key, or lengths that differ.
    """
    return _detections_of(output, "torchvision", labels, first=1)


def read_torchvision_one_stage(output: Mapping[str, Any], labels: Mapping[int, int] | None = None) -> DetectionArrays:
    """As `read_torchvision`, for RetinaNet and FCOS trained without a background class: label 0 is class 0.

    The published weights of all four detectors use COCO's ids; for those, both readers need `labels`.
    """
    return _detections_of(output, "torchvision", labels, first=0)


def read_transformers_boxes(output: Mapping[str, Any], labels: Mapping[int, int] | None = None) -> DetectionArrays:
    """One image's dictionary of transformers' `post_process_object_detection`: `scores`, `labels`, `boxes`.

    Args:
        output: of DETR, RT-DETR and every other detector of that library, called with `target_sizes`.
        labels: the thing class of each label of the model; by default they are the same.

    Raises:
        ValueError: a missing key, lengths that differ, or boxes that are still relative, 0..1.
    """
    found = _detections_of(output, "transformers", labels, first=0)
    refuse_relative(found["boxes"], "transformers")
    return found


def read_rfdetr(detections: Any, labels: Mapping[int, int] | None = None) -> DetectionArrays:
    """RF-DETR's result, which is a `Detections` of supervision: `xyxy`, `confidence`, `class_id`, `mask` or None.

    Args:
        detections: the object, or a dictionary with these keys.
        labels: the thing class of each `class_id`; by default they are the same. The published weights use COCO's ids.

    Raises:
        ValueError: a missing key, or lengths that differ.
    """
    names = {"boxes": "xyxy", "scores": "confidence", "labels": "class_id", "masks": "mask"}
    given = (
        detections
        if isinstance(detections, Mapping)
        else {name: getattr(detections, name, None) for name in names.values()}
    )
    renamed = {ours: given[theirs] for ours, theirs in names.items() if given.get(theirs) is not None}
    return _detections_of(renamed, "RF-DETR", labels, first=0)


def read_ultralytics(boxes: Any, masks: Any | None = None, labels: Mapping[int, int] | None = None) -> DetectionArrays:
    """The arrays of an ultralytics-style result: `result.boxes.data` and `result.masks.data`.

    Args:
        boxes: (D, 6), x0 y0 x1 y1 score class, in pixels of the image; (D, 7) with a track id before the score.
        masks: (D, H', W'), 0 or 1, at the image's shape (the library's `retina_masks=True`; else they have its
            letterboxed input's shape, whose borders must be cut off first).
        labels: the thing class of each class of the model; by default they are the same.

    Raises:
        ValueError: another number of columns, or lengths that differ.
    """
    rows = array_of(boxes)
    if rows.ndim != 2 or rows.shape[1] not in (6, 7):
        raise ValueError(f"ultralytics: boxes have shape {rows.shape}; give the (D, 6) of `result.boxes.data`")
    found = {"boxes": rows[:, :4], "scores": rows[:, -2], "labels": rows[:, -1].astype(np.int64)}
    return _detections_of(found if masks is None else {**found, "masks": masks}, "ultralytics", labels, first=0)


def read_transformers_panoptic(
    output: Mapping[str, Any], categories: Categories, labels: Mapping[int, int] | None = None
) -> PanopticMap:
    """One image's dictionary of transformers' `post_process_panoptic_segmentation`, as a map to score, draw or write.

    EoMT counts segments from 0 and marks void by -1; DETR, MaskFormer and Mask2Former count from 1, and void is 0. So
    only ids with a row in `segments_info` are segments here, and all others void.

    Args:
        output: `segmentation` (H, W) and `segments_info`, rows with `id`, `label_id` and mostly `score`.
        categories: the classes.
        labels: the index in `categories` of each label of the model; by default they are the same.

    Returns:
        Segments 1, 2, ... in the order of the rows; those of one stuff class are one, with the highest of their scores.
        A row without pixels is left out, as others cover it.

    Raises:
        ValueError: a missing key, a label without a class, or an id that stands for several segments: the last three
            models count on from the id of the stuff that they have merged, and so give some ids twice. Call their
            post-processing with `label_ids_to_fuse=set()`; stuff is merged here.
    """
    for key in ("segmentation", "segments_info"):
        if key not in output:
            raise ValueError(f"transformers: {key!r} is missing; give what post_process_panoptic_segmentation returns")
    segmentation = array_of(output["segmentation"])
    if segmentation.ndim != 2:
        raise ValueError(f"transformers: segmentation has shape {segmentation.shape}; give that of one image, (H, W)")
    class_of_id, scores = _rows_of(output["segments_info"], categories, labels)
    segmentation, ids = np.rint(segmentation).astype(np.int64), np.full(segmentation.shape, VOID_ID, np.int32)
    number_of_stuff: dict[int, int] = {}
    chosen: dict[int, Category] = {}
    confidence: dict[int, float] = {}
    for theirs, index in class_of_id.items():
        own = segmentation == theirs
        if not own.any():
            continue
        number = number_of_stuff.get(index, len(chosen) + 1)
        if not categories[index].isthing:
            number_of_stuff[index] = number
        ids[own], chosen[number] = number, categories[index]
        confidence[number] = max(scores[theirs], confidence.get(number, 0.0))
    return panoptic_map(ids, chosen, confidence, source="transformers")


def refuse_relative(boxes: Float[np.ndarray, "D 4"], source: str) -> None:
    """Raises ValueError for boxes that all lie within 0..1, where a box in pixels is one pixel at most."""
    if len(boxes) and (boxes >= 0).all() and (boxes <= 1).all() and (boxes % 1 != 0).any():
        raise ValueError(
            f"{source}: all boxes lie within 0..1, so they are relative; multiply them by the image's width and height"
        )


def _rows_of(
    rows: Iterable[Mapping[str, Any]], categories: Categories, labels: Mapping[int, int] | None
) -> tuple[dict[int, int], dict[int, float]]:
    """Class index and score of each id."""
    class_of_id: dict[int, int] = {}
    scores: dict[int, float] = {}
    for row in rows:
        number, label = int(row["id"]), int(row["label_id"])
        index = label if labels is None else labels.get(label, -1)
        if not 0 <= index < len(categories):
            raise ValueError(
                f"transformers: segment {number} has the label {label}, which is none of the {len(categories)} "
                "categories; say in `labels` which class each label is"
            )
        if number in class_of_id and (categories[index].isthing or class_of_id[number] != index):
            raise ValueError(
                f"transformers: id {number} stands for more than one segment, as happens after stuff was merged; call "
                "post_process_panoptic_segmentation with label_ids_to_fuse=set(), stuff is merged here"
            )
        class_of_id[number] = index
        scores[number] = max(float(row.get("score", 1.0)), scores.get(number, 0.0))
    return class_of_id, scores


def _detections_of(
    output: Mapping[str, Any], library: str, labels: Mapping[int, int] | None, first: int
) -> DetectionArrays:
    """Detections from `boxes`, `scores`, `labels` and perhaps `masks`.

    Those whose label has no class are dropped, and those whose box is empty, as FCOS's may be at the image's border.
    """
    for key in ("boxes", "scores", "labels"):
        if key not in output:
            raise ValueError(f"{library}: {key!r} is missing from the output; it has {', '.join(output) or 'nothing'}")
    boxes, scores, given = (array_of(output[key]) for key in ("boxes", "scores", "labels"))
    masks = None if output.get("masks") is None else array_of(output["masks"])
    lengths = {"scores": len(scores), "labels": len(given)} | ({} if masks is None else {"masks": len(masks)})
    for name, length in lengths.items():
        if length != len(boxes):
            raise ValueError(f"{library}: {length} {name} for {len(boxes)} boxes")
    if masks is not None and masks.ndim == 4:
        masks = masks[:, 0]
    classes, boxes = classes_of(given.astype(np.int64), labels, first), boxes.reshape(-1, 4).astype(np.float32)
    kept = (classes >= 0) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return DetectionArrays(
        boxes=boxes[kept],
        scores=scores[kept].astype(np.float32),
        classes=classes[kept],
        masks=None if masks is None else mask_logits(masks[kept]),
        whole_masks=masks is not None,
    )


def classes_of(
    labels: Integer[np.ndarray, " D"], mapping: Mapping[int, int] | None, first: int
) -> Int64[np.ndarray, " D"]:
    """The thing class of each label, -1 where it has none."""
    if mapping is None:
        return labels.astype(np.int64) - first
    return np.array([mapping.get(label, -1) for label in labels.tolist()], np.int64)


def array_of(value: Any) -> np.ndarray:
    """A NumPy array of a tensor on any device, with any precision and history, or of a (nested) list."""
    if hasattr(value, "detach"):  # a tensor, told without importing torch
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value  # NumPy has no bfloat16
        return np.asarray(value.numpy())
    return np.asarray(value)


def boxes_of_masks(masks: Any, height: int, width: int) -> Float[np.ndarray, "D 4"]:
    """Tight boxes, x0 y0 x1 y1 in pixels of an image, of masks at any resolution: where their logits are above 0.

    A mask without such a pixel gets the whole image, which cuts nothing off.
    """
    given = array_of(masks) > 0
    boxes = np.empty((len(given), 4), np.float32)
    for row, mask in enumerate(given):
        ys, xs = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        down, across = height / max(mask.shape[0], 1), width / max(mask.shape[1], 1)
        found = (xs[0] * across, ys[0] * down, (xs[-1] + 1) * across, (ys[-1] + 1) * down) if len(ys) else None
        boxes[row] = found or (0, 0, width, height)
    return boxes


def read_mask_queries(
    class_logits: Any,
    mask_logits: Any,
    things: Sequence[int],
    stuff: Sequence[int],
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "L h w"], DetectionArrays]:
    """V and the detections of a mask classifier: MaskFormer, Mask2Former, EoMT, before any post-processing.

    Such a model has N queries, each with a class and a mask. V is what its own semantic inference takes, the sum over
    the queries of class probability x mask probability, here as a logarithm; a query whose best class is a thing is a
    detection.

    Args:
        class_logits: (N, classes + 1) of one image, the last one "no object"; `class_queries_logits[0]`.
        mask_logits: (N, h, w); `masks_queries_logits[0]`, without padding.
        things: the model's labels of the thing classes, in our order.
        stuff: those of the stuff classes.
        size: (H, W) of the image, in whose pixels the boxes are.

    Returns:
        V, and the arguments for the detections.

    Raises:
        ValueError: numbers of queries that differ, or labels that the logits do not have.
    """
    logits, masks = array_of(class_logits).astype(np.float32), array_of(mask_logits).astype(np.float32)
    if logits.ndim != 2 or masks.ndim != 3 or len(logits) != len(masks):
        raise ValueError(
            f"mask queries: class logits have shape {logits.shape}, masks {masks.shape}; give (N, classes + 1) and "
            "(N, h, w) of one image"
        )
    for label in (*things, *stuff):
        if not 0 <= label < logits.shape[1] - 1:
            raise ValueError(f"mask queries: label {label} is none of the {logits.shape[1] - 1} classes of the logits")
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    wanted = probabilities[:, [*things, *stuff]]
    votes = np.tensordot(wanted.T, 1 / (1 + np.exp(-masks.clip(-60, 60))), 1)
    best = probabilities.argmax(1)
    classes = np.array([{label: index for index, label in enumerate(things)}.get(int(one), -1) for one in best])
    kept = np.flatnonzero(classes >= 0)
    found = DetectionArrays(
        boxes=boxes_of_masks(masks[kept], *size),
        scores=probabilities[kept, best[kept]],
        classes=classes[kept].astype(np.int64),
        masks=masks[kept],
        whole_masks=True,
    )
    return np.log(votes.clip(1e-6)), found
