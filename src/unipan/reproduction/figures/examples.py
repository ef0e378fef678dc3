"""The images that best show what a figure is about, chosen by measuring every image against its ground truth.

No example is picked by hand: it ranks first of its kind by a count of pixels, which is printed below the picture.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool

from unipan.config import Fusion
from unipan.datasets.panoptic_data import PanopticData
from unipan.evaluation.matching import count_overlaps, match_segments
from unipan.inference import Segmenter
from unipan.panoptic.maps import VOID_ID, PanopticMap, Sample, Segment
from unipan.result import PanopticResult
from unipan.scene import Scene
from unipan.visualization.regions import box_mask, deepest, own_box

ExampleKind = Literal["outside", "revised", "shared", "conflict", "void", "quality"]
BY_FUSION: dict[Fusion, str] = {
    "affinity": "by the argmax of P", "potential": "by the argmax of Psi", "heuristic": "by the heuristic fusion",
}  # fmt: skip
Mask = Bool[np.ndarray, "H W"]
Region = tuple[int, int, int, int]
"""x0 y0 x1 y1 in pixels of the image."""
Candidate = tuple[ExampleKind, Mask, Fusion, str]
"""A kind, the pixels in question, the rival fusion, and a phrase that says where the pixels lie."""
FEWEST_PIXELS = 12
"""Every example gains at least this many; fewer would not be visible."""


@dataclass(frozen=True)
class FusedImage:
    """One image with its truth, and the result of each fusion.

    Attributes:
        index: of the image in its dataset.
        results: of every fusion that the checkpoint supports; and `upsnet`, of another checkpoint, if there is one.
        ours: `affinity`, or `potential` for a network without the affinity head.
    """

    index: int
    sample: Sample
    scene: Scene
    results: Mapping[Fusion, PanopticResult]
    ours: Fusion

    @property
    def without_parameters(self) -> Fusion:
        """The parameter-free panoptic head that P is compared with: UPSNet's, or else the argmax of Psi."""
        return "upsnet" if "upsnet" in self.results else "potential"

    @classmethod
    def of(cls, segmenter: Segmenter, data: PanopticData, index: int, upsnet: Segmenter | None = None) -> "FusedImage":
        """Run the network on one image, and UPSNet too if there is one."""
        sample = data[index]
        scene = segmenter.scene(sample.image)
        fusions = fusions_of(segmenter)
        results: dict[Fusion, PanopticResult] = {fusion: scene.result(fusion) for fusion in fusions}
        if upsnet is not None:
            results["upsnet"] = upsnet.scene(sample.image).result("upsnet")
        return cls(index, sample, scene, results, "affinity" if "affinity" in fusions else "potential")


@dataclass(frozen=True)
class Example:
    """The example of one kind in one image.

    Attributes:
        kind: see `measure`.
        index, name: of the image.
        value: what the kind counts: pixels, a percentage, or a difference of PQ.
        words: the same in a sentence.
        segment: id of the object in the truth, for kinds that are about one object.
        detection: the row of its own predicted box.
        pixel: x, y to mark: the innermost of the counted pixels.
        region: around the counted pixels; for `quality`, around the largest part in which the two maps differ.
    """

    kind: ExampleKind
    index: int
    name: str
    value: float
    words: str
    segment: int | None = None
    detection: int | None = None
    pixel: tuple[int, int] | None = None
    region: Region | None = None


def fusions_of(segmenter: Segmenter) -> list[Fusion]:
    """The fusions that a checkpoint supports: the heuristic one needs masks, P the affinity head."""
    found: list[Fusion] = ["heuristic"] if segmenter.config.detection.masks else []
    found.append("potential")
    return [*found, "affinity"] if segmenter.network.affinity is not None else found


def measure(seen: FusedImage) -> list[Example]:
    """The examples in one image: at most one of each kind.

    A pixel of an object is right under a fusion if it lies in the object's partner, the predicted segment of its class
    with the largest overlap, provided that the object is also that segment's best. The kinds:

    * outside: pixels of one object outside its own predicted box that are right in ours and wrong by the rival
      (the heuristic fusion, or the argmax of Psi for a network without masks);
    * shared: pixels of one object inside its own and another box, right in ours and wrong by the argmax of Psi;
    * conflict: the same against the heuristic fusion;
    * revised: the percentage of one object's pixels that are right by the argmax of P and wrong by that of Psi;
    * void: pixels that the heuristic fusion leaves void where the truth is not;
    * quality: PQ of this image over segments of all classes, by the argmax of P minus UPSNet's or that of Psi.
    """
    examples = _of_objects(seen)
    if "heuristic" in seen.results:
        region = (seen.results["heuristic"].ids == VOID_ID) & (seen.sample.truth.ids != VOID_ID)
        area = int(region.sum())
        words = f"the heuristic fusion leaves {area:,} pixels void ({100 * region.mean():.1f} % of the image)"
        examples.append(Example("void", seen.index, seen.sample.name, float(area), words))
    if "affinity" in seen.results:
        examples.append(_of_quality(seen))
    return examples


def _of_quality(seen: FusedImage) -> Example:
    truth, rival = seen.sample.truth, seen.without_parameters
    maps = [seen.results[fusion] for fusion in ("affinity", rival)]
    by_p, by_rival = (100 * image_quality(truth, each) for each in maps)
    right = [_right(truth, each) for each in maps]
    words = f"PQ of this image is {by_p:.1f} by P and {by_rival:.1f} by {'UPSNet' if rival == 'upsnet' else 'Psi'}"
    region = _largest_part(right[0] != right[1])
    return Example("quality", seen.index, seen.sample.name, by_p - by_rival, words, region=region)


def _right(truth: PanopticMap, prediction: PanopticMap) -> Mask:
    """Pixels that lie in the partner of their segment."""
    partners = _partners(truth, prediction)
    table = np.full(int(truth.ids.max(initial=0)) + 1, -1, np.int64)
    for identity, partner in partners.items():
        table[identity] = partner
    return np.asarray(table[truth.ids] == prediction.ids)


def _largest_part(region: Mask) -> Region | None:
    """The bounding box of the largest connected part."""
    count, _, parts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    x, y, width, height, _ = parts[1 + int(parts[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    return x, y, x + width, y + height


def _of_objects(seen: FusedImage) -> list[Example]:
    """The best object of the image for each kind that is about objects."""
    found: dict[ExampleKind, Example] = {}
    truth, scene = seen.sample.truth, seen.scene
    right = {fusion: _right(truth, result) for fusion, result in seen.results.items()}
    boxes, classes = scene.detections.boxes.cpu().numpy(), scene.detections.classes.cpu().numpy()
    cover = [box_mask(box, truth.ids.shape) for box in boxes.tolist()]
    layers = np.sum(cover, axis=0, dtype=np.int32)
    for segment in truth:
        row = own_box(segment, boxes, classes == scene.categories.index_of_name[segment.category.name])
        if row is None or not segment.isthing or segment.iscrowd:
            continue
        body = truth.ids == segment.id
        candidates = _candidates(seen, body, cover[row], np.asarray(layers > 1))
        for example in _of_object(seen, segment, row, candidates, right):
            if example.kind not in found or example.value > found[example.kind].value:
                found[example.kind] = example
    return list(found.values())


def _candidates(seen: FusedImage, body: Mask, own: Mask, several: Mask) -> list[Candidate]:
    """Every kind for one object: its pixels, those inside its own box, those under several boxes."""
    found: list[Candidate] = []
    if "heuristic" in seen.results:
        found.append(("outside", body & ~own, "heuristic", " outside its box"))
        found.append(("conflict", body & own & several, "heuristic", " under several boxes"))
    elif "affinity" in seen.results:
        found.append(("outside", body & ~own, "potential", " outside its box"))
    if "affinity" in seen.results:
        found.append(("shared", body & own & several, "potential", " under several boxes"))
        found.append(("revised", body, "potential", ""))
    return found


def _of_object(
    seen: FusedImage, segment: Segment, row: int, candidates: list[Candidate], right: Mapping[Fusion, Mask]
) -> Iterator[Example]:
    for kind, part, rival, place in candidates:
        gained = part & right[seen.ours] & ~right[rival]
        if not gained.any():
            continue
        ours, theirs = int((part & right[seen.ours]).sum()), int((part & right[rival]).sum())
        words = (
            f"of {int(part.sum()):,} pixels of this {segment.category.name}{place}, {ours:,} are right "
            f"{BY_FUSION[seen.ours]}, {theirs:,} {BY_FUSION[rival]}"
        )
        rows, columns = np.flatnonzero(gained.any(1)), np.flatnonzero(gained.any(0))
        region = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        name = seen.sample.name
        # One percent of a large object can be more pixels than half of a small one, but is not visible.
        value = 100 * (ours - theirs) / segment.area if kind == "revised" else float(ours - theirs)
        if ours - theirs < FEWEST_PIXELS:
            continue
        yield Example(kind, seen.index, name, value, words, segment.id, row, deepest(gained), region)


def _partners(truth: PanopticMap, prediction: PanopticMap) -> dict[int, int]:
    """Id of a true segment -> id of its partner: of each other's class, each overlaps most with the other.

    (PQ's IoU threshold of 0.5 would let one pixel decide whether all pixels of an object are right.)
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


def choose(examples: Iterable[Example], kind: ExampleKind, count: int, used: set[int]) -> list[Example]:
    """The `count` largest of a kind, and note their images in `used`.

    Images that another figure already uses are taken only if there are no others.
    """
    fitting = [e for e in examples if e.kind == kind and e.value > 0]
    ranked = sorted(fitting, key=lambda e: (e.index in used, -e.value, e.index))
    found = sorted(ranked[:count], key=lambda e: (-e.value, e.index))
    used.update(example.index for example in found)
    return found


def spread(examples: Iterable[Example], kind: ExampleKind, count: int) -> list[Example]:
    """`count` examples of a kind, evenly spaced over its ranking from the largest gain to the largest loss."""
    ranked = sorted((e for e in examples if e.kind == kind), key=lambda e: (-e.value, e.index))
    places = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))
    return [ranked[place] for place in places.tolist()]
