"""What proves that `scenes` is neither empty nor easy: counts, occlusion, and two baselines that must fail."""

import time
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from unipan.datasets.scenes.generator import HELD_OUT, MIN_AREA, SCENE_CATEGORIES, draw_with_extents
from unipan.panoptic.maps import VOID, PanopticMap, Sample, class_map

_NEIGHBOURS = 7
_FEATURE_SCALE = np.array([24.0, 24.0, 24.0, 12.0, 60.0])  # R G B y x: what counts as one step of difference


@dataclass(frozen=True)
class SceneStatistics:
    """Of a range of scenes.

    Attributes:
        images: how many were drawn.
        things: things per image.
        hidden: share of the things of which less than 90 % of the extent inside the image is visible.
        median_area: visible pixels of the median thing.
        touching: share of the things that touch another one of their class.
        images_per_second: drawn by one core.
        color_iou: mean IoU of a classifier on a pixel's colour and position alone, on held-out scenes.
        color_thing_iou: its mean IoU over the thing classes.
        components_pq: thing PQ of the connected components of the TRUE semantic map.
    """

    images: int
    things: float
    hidden: float
    median_area: float
    touching: float
    images_per_second: float
    color_iou: float
    color_thing_iou: float
    components_pq: float

    def __str__(self) -> str:
        return (
            f"{self.images} scenes, {self.images_per_second:.0f} images/s: {self.things:.1f} things an image, "
            f"median {self.median_area:.0f} px; {self.hidden:.0%} partly hidden, "
            f"{self.touching:.0%} touch one of their class\n"
            f"colour and position alone: mean IoU {100 * self.color_iou:.1f}, "
            f"of things {100 * self.color_thing_iou:.1f}; "
            f"connected components of the true classes: thing PQ {100 * self.components_pq:.1f}"
        )


def scene_statistics(count: int = 200, seed0: int = 0) -> SceneStatistics:
    """Draw the scenes of `count` seeds from `seed0` and measure; the classifier is scored on count / 5 held-out ones.

    Raises:
        ValueError: fewer than 5 scenes.
    """
    if count < 5:
        raise ValueError(f"scene_statistics: count is {count}; at least 5 scenes are needed")
    start = time.process_time()
    drawn = [draw_with_extents(seed) for seed in range(seed0, seed0 + count)]
    seconds = time.process_time() - start
    samples = [sample for sample, _ in drawn]
    things = [
        (segment, extents[segment.id]) for sample, extents in drawn for segment in sample.truth if segment.isthing
    ]
    fresh = max(HELD_OUT, seed0 + count)  # never a scene that the classifier has seen
    held_out = [draw_with_extents(fresh + number)[0] for number in range(count // 5)]
    iou = color_position_iou(samples, held_out)
    touching = sum(len(touching_things(sample.truth)) for sample in samples)
    return SceneStatistics(
        images=count,
        things=len(things) / count,
        hidden=float(np.mean([segment.area < 0.9 * extent for segment, extent in things])),
        median_area=float(np.median([segment.area for segment, _ in things])),
        touching=touching / len(things),
        images_per_second=count / max(seconds, 1e-9),
        color_iou=float(np.nanmean(iou)),
        color_thing_iou=float(np.nanmean(iou[: len(SCENE_CATEGORIES.things)])),
        components_pq=components_pq([sample.truth for sample in samples]),
    )


def touching_things(truth: PanopticMap) -> set[int]:
    """The ids of the things with a pixel next to (not diagonally) one of another thing of the same class."""
    ids, classes = truth.ids, class_map(truth, SCENE_CATEGORIES)
    found: set[int] = set()
    for a, b in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        meet = (ids[a] != ids[b]) & (classes[a] == classes[b]) & (classes[a] >= 0)
        found.update(ids[a][meet].tolist(), ids[b][meet].tolist())
    return found


def color_position_iou(train: list[Sample], test: list[Sample]) -> np.ndarray:
    """IoU per class (nan if absent) of nearest neighbours on RGB, y and x of single pixels."""
    train_features, train_classes = _pixels(train, 400)
    features, classes = _pixels(test, 1000)
    _, nearest = cKDTree(train_features).query(features, k=_NEIGHBOURS)
    votes = train_classes[nearest]
    guess = np.argmax([(votes == index).sum(1) for index in range(len(SCENE_CATEGORIES))], 0)
    confusion = np.zeros((len(SCENE_CATEGORIES),) * 2)
    np.add.at(confusion, (classes, guess), 1)
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    iou: np.ndarray = np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
    return iou


def _pixels(samples: list[Sample], each: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and class of `each` random labelled pixels of every scene."""
    rng = np.random.default_rng(0)
    features, found = [], []
    for sample in samples:
        classes = class_map(sample.truth, SCENE_CATEGORIES)
        y, x = (rng.integers(0, side, each) for side in classes.shape)
        keep = classes[y, x] != VOID
        y, x = y[keep], x[keep]
        features.append(np.column_stack([sample.image[y, x], y, x]) / _FEATURE_SCALE)
        found.append(classes[y, x])
    return np.concatenate(features), np.concatenate(found)


def components_pq(truths: list[PanopticMap]) -> float:
    """Thing PQ (0..1) when the connected components of the true semantic map pass for things.

    Components too small to be a thing are dropped, which favours this baseline.
    """
    total = np.zeros((len(SCENE_CATEGORIES.things), 4))  # sum of IoU, true positives, predicted, true segments
    for truth in truths:
        classes = class_map(truth, SCENE_CATEGORIES)
        for index in range(len(total)):
            _, labels, stats, _ = cv2.connectedComponentsWithStats((classes == index).astype(np.uint8), connectivity=8)
            predicted = [k for k in range(1, len(stats)) if stats[k, cv2.CC_STAT_AREA] >= MIN_AREA]
            real = [segment for segment in truth if SCENE_CATEGORIES.index_of_id[segment.category.id] == index]
            total[index, 2:] += len(predicted), len(real)
            for segment in real:
                overlaps = np.bincount(labels[truth.ids == segment.id])
                best = int(overlaps.argmax())
                iou = overlaps[best] / (segment.area + stats[best, cv2.CC_STAT_AREA] - overlaps[best])
                # more than half of the union: at most one component can reach it (Kirillov et al., Sec. 4.1)
                if best in predicted and iou > 0.5:
                    total[index, :2] += iou, 1
    with np.errstate(invalid="ignore"):
        pq = total[:, 0] / (total[:, 2:].sum(1) / 2)  # TP + FP/2 + FN/2 = (predicted + real) / 2
    return float(np.nanmean(pq))
