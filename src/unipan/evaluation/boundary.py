"""Boundary PQ (Cheng et al. 2021, arXiv 2103.16562, Sec. 6): outlines count, however large the segment.

The same as PQ with min(mask IoU, boundary IoU) in the place of the IoU. The boundary of a segment is its own pixels
within d of its outline, where the image's edge is an outline too; d is 2 % of the image's diagonal, at least 1.
"""

import math

import cv2
import numpy as np

from unipan.arrays import Bool, Float64, Int32
from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.panoptic_quality import (
    ClassQuality,
    Matches,
    PanopticScores,
    Quality,
    class_qualities,
    group_means,
    group_members,
    match_segments,
)
from unipan.evaluation.segment_pairs import Pairs, total
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.runs import rows_of_ids, runs

WIDTH = 0.02
"""Share of the image's diagonal that the boundary is wide (the paper's 2 %)."""


def boundary_width(height: int, width: int) -> int:
    """d in pixels."""
    return max(1, round(WIDTH * math.hypot(height, width)))


def boundary_band(ids: Int32[np.ndarray, "H W"], d: int) -> Bool[np.ndarray, "H W"]:
    """Pixels with another id, or the outside of the image, within d rows and columns: as d 3x3 erosions of each id.

    One pass for all segments: a pixel is that close to a foreign one exactly if a pixel on some outline is closer by
    one step.
    """
    tall, wide = ids.shape
    outline = np.zeros((tall, wide), bool)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        left, cut = max(-right, 0), max(right, 0)
        here = (slice(0, tall - down), slice(left, wide - cut))
        there = (slice(down, tall), slice(left + right, wide - cut + right))
        differs = ids[here] != ids[there]
        outline[here] |= differs
        outline[there] |= differs
    outline[[0, -1]] = True
    outline[:, [0, -1]] = True
    away = cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_C, 3)
    return np.asarray(away <= d - 1)


def boundary_iou(truth: PanopticMap, prediction: PanopticMap, found: Matches) -> Float64[np.ndarray, " M"]:
    """Boundary IoU of each matched pair; the union leaves out the prediction's boundary on void."""
    d = boundary_width(*truth.ids.shape)
    bands = boundary_band(truth.ids, d) + 2 * boundary_band(prediction.ids, d).astype(np.uint8)
    starts, lengths = runs(truth.ids, prediction.ids, bands)
    t = rows_of_ids(truth.ids.reshape(-1)[starts], [s.id for s in truth], "truth")
    p = rows_of_ids(prediction.ids.reshape(-1)[starts], [s.id for s in prediction], "prediction")
    in_truth, in_prediction = ((bands.reshape(-1)[starts] & bit) > 0 for bit in (1, 2))
    partner = np.full(len(truth) + 1, -1)
    partner[found.truth] = found.prediction

    def area(chosen: Bool[np.ndarray, " R"], owner: np.ndarray, count: int) -> np.ndarray:
        return total(owner[chosen], lengths[chosen], count)

    shared = area(in_truth & in_prediction & (partner[t] == p), t, len(truth))[found.truth]
    wanted = area(in_truth, t, len(truth))[found.truth]
    counted = area(in_prediction & (t < len(truth)), p, len(prediction))[found.prediction]
    return np.asarray(shared / (wanted + counted - shared))


class BoundaryQuality(ClassSums):
    """Boundary PQ; per image and class the sum of min(IoU, boundary IoU), TP, FP, FN.

    Equal to the authors' boundary_iou/coco_panoptic_api, except that segment ids cannot collide with its marker for
    inner pixels (largest category id + 1), and that all crowds of a class absorb predictions, not the last one only.
    """

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image. Raises ValueError as `PanopticQuality.update`."""
        pairs = Pairs.of(truth, prediction, self.categories, name)
        found = match_segments(truth, prediction, name)
        iou = np.minimum(found.iou, boundary_iou(truth, prediction, found))
        hit = iou > 0.5
        # A pair that falls below one half here is a miss and, unless void absorbs it, a false positive.
        lost = found.prediction[~hit]
        spurious = np.concatenate([found.spurious, lost[~pairs.ignored[lost]]])
        missed = np.concatenate([found.missed, found.truth[~hit]])
        classes, matched = len(self.categories), pairs.truth_class[found.truth[hit]]
        counts = [
            np.bincount(matched, weights=iou[hit], minlength=classes),
            np.bincount(matched, minlength=classes),
            np.bincount(pairs.prediction_class[spurious], minlength=classes),
            np.bincount(pairs.truth_class[missed], minlength=classes),
        ]
        self.put(name, np.stack(counts, axis=1, dtype=np.float64))

    def compute(self) -> PanopticScores:
        """Boundary PQ, SQ, RQ over all images counted so far."""
        sums = self.sums(4)
        each = class_qualities(sums)
        means = group_means(self.categories, each)
        groups: dict[str, Quality | None] = {}
        for group, members in group_members(self.categories).items():
            present = int((~np.isnan(each[members, 0])).sum())
            pq, sq, rq = means[group].tolist()
            groups[group] = Quality(pq, sq, rq, present) if present else None
        rows = zip(self.categories, np.nan_to_num(each).tolist(), sums[:, 1:].astype(int).tolist(), strict=True)
        return PanopticScores(groups, {category.id: ClassQuality(*q, *n) for category, q, n in rows})
