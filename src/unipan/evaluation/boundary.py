"""Boundary PQ (Cheng et al. 2021, arXiv 2103.16562, Sec. 6): outlines count, however large the segment.

The same as PQ with min(mask IoU, boundary IoU) instead of the IoU. The boundary of a segment is its own pixels
within d of its outline, where the image's edge is an outline too; d is 2 % of the image's diagonal, at least 1.
"""

import math
from typing import Any

import cv2
import numpy as np

from unipan.arrays import Bool, Float64, Int32
from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import areas
from unipan.evaluation.pq_scores import PanopticScores, percents
from unipan.panoptic.pair_counts import positions
from unipan.panoptic.runs import runs

BAND_WIDTH = 0.02
"""Share of the image's diagonal that the boundary is wide (the paper's 2 %)."""


def boundary_width(height: int, width: int) -> int:
    """d in pixels."""
    return max(1, round(BAND_WIDTH * math.hypot(height, width)))


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


def boundary_iou(pair: ImagePair) -> Float64[np.ndarray, " M"]:
    """Boundary IoU of each match; the union leaves out the prediction's boundary on void."""
    d = boundary_width(*pair.truth_ids.shape)
    bands = boundary_band(pair.truth_ids, d) + 2 * boundary_band(pair.prediction_ids, d).astype(np.uint8)
    starts, lengths = runs(pair.truth_ids, pair.prediction_ids, bands)
    t, p = (
        positions(ids.reshape(-1)[starts].astype(np.int64), segments.ids)
        for ids, segments in (
            (pair.truth_ids, pair.truth_segments),
            (pair.prediction_ids, pair.prediction_segments),
        )
    )
    in_truth, in_prediction = ((bands.reshape(-1)[starts] & bit) > 0 for bit in (1, 2))
    found, truths, predictions = pair.matches, len(pair.truth_segments), len(pair.prediction_segments)
    partner = np.full(truths + 2, -1)
    partner[found.truth] = found.prediction
    both, counted = in_truth & in_prediction & (partner[t] == p), in_prediction & (t < truths)
    shared = areas(t[both], lengths[both], truths)[found.truth]
    wanted = areas(t[in_truth], lengths[in_truth], truths)[found.truth]
    given = areas(p[counted], lengths[counted], predictions)[found.prediction]
    return np.asarray(shared / (wanted + given - shared))


class BoundaryQuality(ClassSums):
    """Boundary PQ; per image and class the sum of min(IoU, boundary IoU), TP, FP, FN.

    Equal to the authors' boundary_iou/coco_panoptic_api, except that segment ids cannot collide with its marker for
    inner pixels (largest category id + 1), and that all crowds of a class absorb predictions, not the last one only.
    """

    def add(self, pair: ImagePair) -> None:
        """Count one image."""
        found = pair.matches
        iou = np.minimum(found.iou, boundary_iou(pair))
        hit = iou > 0.5
        # A pair that falls to one half or below is a false negative and, unless void absorbs it, a false positive.
        lost = found.prediction[~hit]
        false_positives = np.concatenate([found.false_positives, lost[~pair.ignored[lost]]])
        false_negatives = np.concatenate([found.false_negatives, found.truth[~hit]])
        classes, matched = len(self.categories), pair.truth_class[found.truth[hit]]
        counts = [
            np.bincount(matched, weights=iou[hit], minlength=classes),
            np.bincount(matched, minlength=classes),
            np.bincount(pair.prediction_class[false_positives], minlength=classes),
            np.bincount(pair.truth_class[false_negatives], minlength=classes),
        ]
        self.put(pair.name, np.stack(counts, axis=1, dtype=np.float64))

    def compute(self) -> PanopticScores:
        """Boundary PQ, SQ, RQ over all images counted so far."""
        return PanopticScores.of(self.categories, self.sums(4))

    def to_json(self) -> dict[str, Any]:
        """As `PanopticScores.to_json`."""
        return self.compute().to_json()

    def lines(self) -> list[str]:
        """Boundary PQ of all, things, stuff."""
        groups = self.compute().groups.values()
        return [f"boundary PQ: {percents(None if each is None else each.pq for each in groups)}"]
