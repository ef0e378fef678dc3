"""Which images show what a figure is about: every image is measured against its truth, and the measure alone chooses.

Nobody picks by hand: an example is the first of its kind by a count of pixels, and the count stands below the picture.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool

from unipan.config import Fusion
from unipan.datasets.panoptic_data import PanopticData
from unipan.evaluation.matching import count_overlaps, match_segments
from unipan.inference import PanopticResult, Scene, Segmenter
from unipan.panoptic.maps import VOID_ID, PanopticMap, Sample, Segment
from unipan.structures import Detections

Kind = Literal["outside", "revised", "shared", "conflict", "void", "quality"]
OWN_IOU = 0.3
"""A predicted box of the class with at least this IoU is an object's own."""
NAMES: dict[Fusion, str] = {
    "affinity": "by the argmax of P", "potential": "by the argmax of Psi", "heuristic": "by the merger",
}  # fmt: skip
Mask = Bool[np.ndarray, "H W"]
Region = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels of the image."""
Look = tuple[Kind, Mask, Fusion, str]
"""A kind, the pixels that it is about, the rival, and where they lie in words."""
FEWEST_PIXELS = 12
"""What an example must gain at least; fewer cannot be seen."""


@dataclass(frozen=True)
class Reading:
    """One image with its truth, and what each fusion makes of it.

    Attributes:
        index: of the image in its dataset.
        results: of every fusion that the checkpoint can do; and `upsnet`, of another checkpoint, if there is one.
        ours: `affinity`, or `potential` for a network without the affinity head.
    """

    index: int
    sample: Sample
    scene: Scene
    results: Mapping[Fusion, PanopticResult]
    ours: Fusion

    @property
    def without_parameters(self) -> Fusion:
        """The panoptic head without parameters that P is compared with: UPSNet's, else the argmax of Psi."""
        return "upsnet" if "upsnet" in self.results else "potential"

    @classmethod
    def of(cls, segmenter: Segmenter, data: PanopticData, index: int, upsnet: Segmenter | None = None) -> "Reading":
        """Run the network on one image, and a network of UPSNet, if there is one."""
        sample = data[index]
        scene = segmenter.scene(sample.image)
        fusions = fusions_of(segmenter)
        results: dict[Fusion, PanopticResult] = {fusion: scene.result(fusion) for fusion in fusions}
        if upsnet is not None:
            results["upsnet"] = upsnet.scene(sample.image).result("upsnet")
        return cls(index, sample, scene, results, "affinity" if "affinity" in fusions else "potential")


@dataclass(frozen=True)
class Example:
    """What one image has to show of one kind.

    Attributes:
        kind: see `measure`.
        index, name: of the image.
        value: what the kind counts: pixels, a percentage, or a difference of PQ.
        words: the same in a sentence.
        segment: id of the object in the truth, where the kind is about one.
        detection: the row of its own predicted box.
        pixel: x, y to mark: of the pixels that count, the one farthest from their edge.
        region: around the pixels that count; of `quality`, around the largest part in which the two maps differ.
    """

    kind: Kind
    index: int
    name: str
    value: float
    words: str
    segment: int | None = None
    detection: int | None = None
    pixel: tuple[int, int] | None = None
    region: Region | None = None


def fusions_of(segmenter: Segmenter) -> list[Fusion]:
    """The fusions that a checkpoint can do: the merger needs masks, P its affinity head."""
    found: list[Fusion] = ["heuristic"] if segmenter.config.detection.masks else []
    found.append("potential")
    return [*found, "affinity"] if segmenter.network.affinity is not None else found


def measure(reading: Reading) -> list[Example]:
    """What one image has to show: of each kind at most one example.

    Pixels of an object are right under a fusion where they lie in its partner: each the other's best of its class. The
    kinds:

    * outside: pixels of one object outside its own predicted box that are right in ours and wrong by the rival
      (the merger, or without masks the argmax of Psi);
    * shared: pixels of one object inside its own and another box, right in ours and wrong by the argmax of Psi;
    * conflict: the same against the merger;
    * revised: the percentage of one object's pixels, right by the argmax of P and wrong by the argmax of Psi;
    * void: pixels that the merger leaves void where the truth is not;
    * quality: PQ of this image, over segments of all classes, argmax of P minus UPSNet's or the argmax of Psi.
    """
    examples = _of_objects(reading)
    if "heuristic" in reading.results:
        region = (reading.results["heuristic"].ids == VOID_ID) & (reading.sample.truth.ids != VOID_ID)
        area = int(region.sum())
        words = f"the merger leaves {area:,} pixels void ({100 * region.mean():.1f} % of the image)"
        examples.append(Example("void", reading.index, reading.sample.name, float(area), words))
    if "affinity" in reading.results:
        examples.append(_of_quality(reading))
    return examples


def _of_quality(reading: Reading) -> Example:
    truth, rival = reading.sample.truth, reading.without_parameters
    maps = [reading.results[fusion] for fusion in ("affinity", rival)]
    by_p, by_rival = (100 * image_quality(truth, each) for each in maps)
    right = [_right(truth, each) for each in maps]
    words = f"PQ of this image is {by_p:.1f} by P and {by_rival:.1f} by {'UPSNet' if rival == 'upsnet' else 'Psi'}"
    region = _largest_part(right[0] != right[1])
    return Example("quality", reading.index, reading.sample.name, by_p - by_rival, words, region=region)


def _right(truth: PanopticMap, prediction: PanopticMap) -> Mask:
    """Pixels that lie in the partner of their segment."""
    partners = _partners(truth, prediction)
    table = np.full(int(truth.ids.max(initial=0)) + 1, -1, np.int64)
    for identity, partner in partners.items():
        table[identity] = partner
    return np.asarray(table[truth.ids] == prediction.ids)


def _largest_part(region: Mask) -> Region | None:
    """The box of the largest connected part."""
    count, _, parts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    x, y, width, height, _ = parts[1 + int(parts[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    return x, y, x + width, y + height


def _of_objects(reading: Reading) -> list[Example]:
    """The best object of the image for each kind that is about objects."""
    found: dict[Kind, Example] = {}
    truth, scene = reading.sample.truth, reading.scene
    right = {fusion: _right(truth, result) for fusion, result in reading.results.items()}
    cover = [box_mask(box, truth.ids.shape) for box in scene.detections.boxes.tolist()]
    layers = np.sum(cover, axis=0, dtype=np.int32)
    for segment in truth:
        row = own_box(segment, scene.detections, scene.categories.index_of_name[segment.category.name])
        if row is None or not segment.isthing or segment.iscrowd:
            continue
        body = truth.ids == segment.id
        looks = _looks(reading, body, cover[row], np.asarray(layers > 1))
        for example in _of_object(reading, segment, row, looks, right):
            if example.kind not in found or example.value > found[example.kind].value:
                found[example.kind] = example
    return list(found.values())


def _looks(reading: Reading, body: Mask, own: Mask, several: Mask) -> list[Look]:
    """Every kind for one object: its pixels, those inside its own box, those under several boxes."""
    found: list[Look] = []
    if "heuristic" in reading.results:
        found.append(("outside", body & ~own, "heuristic", " outside its box"))
        found.append(("conflict", body & own & several, "heuristic", " under several boxes"))
    elif "affinity" in reading.results:
        found.append(("outside", body & ~own, "potential", " outside its box"))
    if "affinity" in reading.results:
        found.append(("shared", body & own & several, "potential", " under several boxes"))
        found.append(("revised", body, "potential", ""))
    return found


def _of_object(
    reading: Reading, segment: Segment, row: int, looks: list[Look], right: Mapping[Fusion, Mask]
) -> Iterator[Example]:
    for kind, part, rival, place in looks:
        gained = part & right[reading.ours] & ~right[rival]
        if not gained.any():
            continue
        ours, theirs = int((part & right[reading.ours]).sum()), int((part & right[rival]).sum())
        words = (
            f"of {int(part.sum()):,} pixels of this {segment.category.name}{place}, {ours:,} are right "
            f"{NAMES[reading.ours]}, {theirs:,} {NAMES[rival]}"
        )
        rows, columns = np.flatnonzero(gained.any(1)), np.flatnonzero(gained.any(0))
        region = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        name = reading.sample.name
        # A percent of a large object is more pixels than half of a small one, and cannot be seen.
        value = 100 * (ours - theirs) / segment.area if kind == "revised" else float(ours - theirs)
        if ours - theirs < FEWEST_PIXELS:
            continue
        yield Example(kind, reading.index, name, value, words, segment.id, row, deepest(gained), region)


def _partners(truth: PanopticMap, prediction: PanopticMap) -> dict[int, int]:
    """Id of a truth's segment -> id of the predicted one of its class that shares most pixels with it, and vice versa.

    PQ's threshold of IoU .5 would make all pixels of an object right or wrong by one pixel.
    """
    found = count_overlaps(truth, prediction)
    kinds, others = [s.category.id for s in truth], [s.category.id for s in prediction]
    best: dict[tuple[bool, int], tuple[int, int]] = {}  # by side and position: the most pixels, shared with whom
    for t, p, pixels in zip(found.truth.tolist(), found.prediction.tolist(), found.pixels.tolist(), strict=True):
        if t < len(kinds) and p < len(others) and kinds[t] == others[p]:
            best[True, t] = max(best.get((True, t), (0, 0)), (pixels, p))
            best[False, p] = max(best.get((False, p), (0, 0)), (pixels, t))
    return {
        truth.segments[place].id: prediction.segments[partner].id
        for (mine, place), (_, partner) in best.items()
        if mine and best[False, partner][1] == place
    }


def image_quality(truth: PanopticMap, prediction: PanopticMap) -> float:
    """PQ over the segments of one image regardless of class, a fraction; 0 where nothing counts."""
    found = match_segments(truth, prediction)
    counted = len(found.iou) + (len(found.false_negatives) + len(found.false_positives)) / 2
    return float(found.iou.sum()) / counted if counted else 0.0


def choose(examples: Iterable[Example], kind: Kind, count: int, used: set[int]) -> list[Example]:
    """The `count` largest of a kind, and note their images in `used`.

    Images that another figure uses already come only when there are no others.
    """
    fitting = [e for e in examples if e.kind == kind and e.value > 0]
    ranked = sorted(fitting, key=lambda e: (e.index in used, -e.value, e.index))
    found = sorted(ranked[:count], key=lambda e: (-e.value, e.index))
    used.update(example.index for example in found)
    return found


def spread(examples: Iterable[Example], kind: Kind, count: int) -> list[Example]:
    """`count` examples of a kind evenly over its ranking, from the largest value to the smallest: gains and losses."""
    ranked = sorted((e for e in examples if e.kind == kind), key=lambda e: (-e.value, e.index))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))
    return [ranked[place] for place in places.tolist()]


def own_box(segment: Segment, found: Detections, label: int | None = None) -> int | None:
    """The row of the detection whose box fits a segment of the truth best, if one fits with OWN_IOU.

    Args:
        segment: its bbox counts.
        found: boxes in pixels of the image.
        label: only detections of this class index; of any by default.
    """
    x, y, width, height = segment.bbox
    best, row = OWN_IOU, None
    for index, ((x0, y0, x1, y1), kind) in enumerate(zip(found.boxes.tolist(), found.classes.tolist(), strict=True)):
        shared = max(min(x + width, x1) - max(x, x0), 0) * max(min(y + height, y1) - max(y, y0), 0)
        iou = shared / (width * height + (x1 - x0) * (y1 - y0) - shared)
        if iou > best and label in (None, kind):
            best, row = iou, index
    return row


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
