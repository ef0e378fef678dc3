"""Random and hand-made panoptic maps, and PQ written slowly from its definition."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from unipan.evaluation.folders import PanopticFolders, SegmentedImage
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, panoptic_map

CLASSES = Categories.of(
    [
        Category(7, "sky", False, (1, 2, 3)),
        Category(3, "car", True, (4, 5, 6)),
        Category(90, "road", False, (7, 8, 9)),
        Category(1, "person", True, (10, 11, 12)),
        Category(200, "never used", False, (0, 0, 0)),
    ]
)
CAR, PERSON, SKY, ROAD = (CLASSES[CLASSES.index_of_name[name]] for name in ("car", "person", "sky", "road"))


def of(rows: list[str], crowds: Iterable[str] = ()) -> PanopticMap:
    """A map drawn with letters: c C are cars, p P persons, s sky, r road, a dot is void."""
    letters = {"c": CAR, "C": CAR, "k": CAR, "p": PERSON, "P": PERSON, "s": SKY, "r": ROAD}
    ids = np.array([[0 if letter == "." else ord(letter) * 1000 for letter in row] for row in rows], np.int32)
    used = sorted({letter for row in rows for letter in row} - {"."})
    return panoptic_map(ids, {ord(k) * 1000: letters[k] for k in used}, crowds={ord(k) * 1000 for k in crowds})


def random_pair(seed: int, size: int = 12) -> tuple[PanopticMap, PanopticMap]:
    """A truth with void and crowds, and a prediction that is a disturbed copy: some segments match, some do not."""
    rng = np.random.default_rng(seed)
    truth_ids = _blobs(rng, size, int(rng.integers(0, 7)))
    prediction_ids = np.roll(truth_ids, int(rng.integers(0, 3)), axis=1)
    if rng.random() < 0.5:
        stray = _blobs(rng, size, 3)
        prediction_ids = np.where(rng.random((size, size)) < 0.2, stray, prediction_ids)
    if rng.random() < 0.3:
        prediction_ids = np.where(prediction_ids == 2, 0, prediction_ids)
    if rng.random() < 0.6:
        truth_ids = np.where(_blobs(rng, size, 3) == 1, 0, truth_ids)
    used = sorted({*np.unique(truth_ids).tolist(), *np.unique(prediction_ids).tolist()} - {0})
    spread = {key: int(rng.integers(1, 200)) * 70_000 + key for key in used}  # ids above 16 bit
    classes = {key: CLASSES[int(rng.integers(4))] for key in used}
    wrong = {key: CLASSES[int(rng.integers(4))] if rng.random() < 0.2 else classes[key] for key in used}
    crowds = {spread[key] for key in used if rng.random() < 0.25}
    return _named(truth_ids, classes, spread, crowds), _named(prediction_ids, wrong, spread, set())


def _blobs(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    ids = np.zeros((size, size), np.int32)
    for key in range(1, count + 1):
        y, x = rng.integers(0, size - 2, 2)
        height, width = rng.integers(1, size, 2)
        ids[y : y + height, x : x + width] = key
    return ids


def _named(ids: np.ndarray, classes: dict[int, Category], spread: dict[int, int], crowds: set[int]) -> PanopticMap:
    present = [key for key in classes if (ids == key).any()]
    renamed = np.zeros_like(ids)
    for key in present:
        renamed[ids == key] = spread[key]
    return panoptic_map(renamed, {spread[key]: classes[key] for key in present}, crowds=crowds)


def stale(panoptic: PanopticMap, areas: Mapping[int, float]) -> PanopticMap:
    """The map as a file declares it that says other areas."""
    return PanopticMap(panoptic.ids, tuple(replace(s, declared_area=float(areas.get(s.id, s.area))) for s in panoptic))


def naive_counts(truth: PanopticMap, prediction: PanopticMap, official: bool = False) -> dict[int, list[float]]:
    """IoU sum, TP, FP, FN per category id; the definition in loops over pairs and boolean masks.

    The official tool takes the truth's areas from its JSON and knows only the last-listed crowd of a class.
    """
    counts: dict[int, list[float]] = {category.id: [0.0, 0, 0, 0] for category in CLASSES}
    hit_truth, hit_prediction = set(), set()
    void = truth.ids == 0
    for t in truth:
        for p in prediction:
            mine, theirs = truth.ids == t.id, prediction.ids == p.id
            area = t.declared_area if official and t.declared_area is not None else mine.sum()
            shared = (mine & theirs).sum()
            union = area + theirs.sum() - shared - (theirs & void).sum()
            iou = shared / union if union else 0.0
            if t.category.id == p.category.id and not t.iscrowd and iou > 0.5:
                counts[t.category.id][0] += iou
                counts[t.category.id][1] += 1
                hit_truth.add(t.id)
                hit_prediction.add(p.id)
    crowds = {t.category.id: [t.id] for t in truth if t.iscrowd}
    if not official:
        crowds = {label: [t.id for t in truth if t.iscrowd and t.category.id == label] for label in crowds}
    for t in truth:
        counts[t.category.id][3] += t.id not in hit_truth and not t.iscrowd
    for p in prediction:
        theirs = prediction.ids == p.id
        ignored = (theirs & (void | np.isin(truth.ids, crowds.get(p.category.id, [])))).sum()
        counts[p.category.id][2] += p.id not in hit_prediction and ignored / theirs.sum() <= 0.5
    return counts


def lenient_maps(folders: PanopticFolders, name: str) -> tuple[PanopticMap, PanopticMap]:
    """Truth and prediction of an image; undeclared ids are void and segments without pixels are left out."""
    truth, prediction = (_lenient_map(side, folders.categories) for side in folders.read_named(name))
    return truth, prediction


def _lenient_map(side: SegmentedImage, categories: Categories) -> PanopticMap:
    assert side.ids is not None
    ids = np.where(np.isin(side.ids, side.segments.ids), side.ids, 0)
    rows = zip(*(column.tolist() for column in vars(side.segments).values()), strict=True)
    known = {key: (categories[label], crowd, declared) for key, label, crowd, declared in rows if (ids == key).any()}
    return panoptic_map(
        ids,
        {key: category for key, (category, _, _) in known.items()},
        crowds={key for key, (_, crowd, _) in known.items() if crowd},
        declared_areas={key: declared for key, (_, _, declared) in known.items()},
    )
