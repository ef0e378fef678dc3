"""Boxes and pixels that stand for an object: its own predicted box, the inside of a box, the middle of a region."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

from unipan.panoptic.maps import Segment

OWN_IOU = 0.3
"""A predicted box with at least this IoU is an object's own."""


def own_box(
    segment: Segment, boxes: Float[np.ndarray, "N 4"], allowed: Bool[np.ndarray, " N"] | None = None
) -> int | None:
    """The row of the box that fits a segment of the truth best, or None if none reaches OWN_IOU.

    Args:
        segment: its bbox counts.
        boxes: x0 y0 x1 y1 in pixels of the image.
        allowed: the rows to choose from, for example those of the segment's class; all by default.
    """
    if not len(boxes):
        return None
    x, y, width, height = segment.bbox
    x0, y0, x1, y1 = boxes.astype(np.float64).T
    columns = (np.minimum(x + width, x1) - np.maximum(x, x0)).clip(min=0)
    rows = (np.minimum(y + height, y1) - np.maximum(y, y0)).clip(min=0)
    shared = columns * rows
    iou = shared / (width * height + (x1 - x0) * (y1 - y0) - shared)
    if allowed is not None:
        iou = np.where(allowed, iou, 0)
    best = int(iou.argmax())
    return best if iou[best] > OWN_IOU else None


def box_mask(box: Sequence[float], shape: tuple[int, ...]) -> Bool[np.ndarray, "H W"]:
    """The pixels inside x0 y0 x1 y1, rounded."""
    x0, y0, x1, y1 = box
    mask = np.zeros(shape, bool)
    mask[max(round(y0), 0) : max(round(y1), 0), max(round(x0), 0) : max(round(x1), 0)] = True
    return mask


def deepest(region: Bool[np.ndarray, "H W"]) -> tuple[int, int]:
    """x, y of the pixel farthest from the region's edge."""
    padded = np.pad(region.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = divmod(int(distance.argmax()), region.shape[1])
    return x, y
