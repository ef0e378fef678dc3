"""Whether an exported network does what the network does, on images: the gate that every export passes.

Legend: H W the image.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.same_classes import check_classes
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.exported.segmenter import ExportedSegmenter
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap
from unipan.scene import Scene

if TYPE_CHECKING:
    from unipan.export.int8 import Int8

MOST_DIFFERING = 0.001
"""Share of all pixels that may belong to another segment."""
MOST_PQ = 0.0005
"""Difference of PQ, as a fraction, that is allowed."""


@dataclass
class Parity:
    """How two runs of one network compare.

    Attributes:
        pixels: of all images.
        differing: those of them whose segment differs.
        worst: the largest share of differing pixels of an image, and its name.
        edited: pixels whose segment differs after the scenes were edited (`moved_boxes`).
        worst_edited: as `worst`, of the edited scenes.
        largest: difference of P; infinite where the number of detections differs.
        images: that were compared.
        int8: what 8-bit integers gain, in an export that has them.
        quality: PQ of torch and of onnxruntime; None where the data has other classes.
    """

    pixels: int = 0
    differing: int = 0
    worst: tuple[float, str] = (0.0, "")
    edited: int = 0
    worst_edited: tuple[float, str] = (0.0, "")
    largest: float = 0.0
    images: int = 0
    int8: "Int8 | None" = None
    quality: tuple[PanopticQuality, PanopticQuality] | None = field(default=None, repr=False)

    @property
    def share(self) -> float:
        """Of pixels whose segment differs."""
        return self.differing / max(self.pixels, 1)

    @property
    def share_edited(self) -> float:
        """The same after edits."""
        return self.edited / max(self.pixels, 1)

    @property
    def pq(self) -> tuple[float, float] | None:
        """Of torch and of onnxruntime, as fractions."""
        if self.quality is None:
            return None
        one, other = (each.compute()["All"] for each in self.quality)
        return None if one is None or other is None else (one.pq, other.pq)

    def to_json(self) -> dict[str, Any]:
        """For `model.json`."""
        return {
            "images": self.images,
            "pixels_differing": self.share,
            "worst_image": {"name": self.worst[1], "pixels_differing": self.worst[0]},
            "pixels_differing_after_edits": self.share_edited,
            "largest_difference_of_p": self.largest if np.isfinite(self.largest) else None,
            "pq": None if self.pq is None else {"torch": self.pq[0], "onnxruntime": self.pq[1]},
            "int8": None if self.int8 is None else self.int8.to_json(),
        }

    def lines(self) -> list[str]:
        """What a person is told."""
        told = [
            f"{self.images} images, {self.differing} of {self.pixels} pixels ({self.share:.4%}) in another segment "
            "than with torch" + (f", most in {self.worst[1]} ({self.worst[0]:.4%})" if self.differing else ""),
            f"with every box moved: {self.edited} pixels ({self.share_edited:.4%})"
            + (f", most in {self.worst_edited[1]} ({self.worst_edited[0]:.4%})" if self.edited else ""),
            f"largest difference of P: {self.largest:.2g}"
            + ("" if np.isfinite(self.largest) else ", that is, an image has another number of detections"),
        ]
        if self.pq is not None:
            told.append(f"PQ {100 * self.pq[0]:.2f} with torch, {100 * self.pq[1]:.2f} with onnxruntime")
        return told if self.int8 is None else [*told, self.int8.line()]

    def require(self) -> None:
        """The gate.

        Raises:
            ValueError: too many pixels or too much PQ differ.
        """
        for share, worst, where in (
            (self.share, self.worst, ""),
            (self.share_edited, self.worst_edited, "after edits "),
        ):
            if share > MOST_DIFFERING:
                raise ValueError(
                    f"export: {where}the graphs give {share:.2%} of the pixels another segment than torch does (at "
                    f"most {MOST_DIFFERING:.1%} are allowed), most in {worst[1]} ({worst[0]:.2%}); nothing was written"
                )
        if self.pq is not None and abs(self.pq[0] - self.pq[1]) > MOST_PQ:
            raise ValueError(
                f"export: PQ is {100 * self.pq[0]:.2f} with torch and {100 * self.pq[1]:.2f} with the graphs (a "
                f"difference of {100 * MOST_PQ:.2f} is allowed); nothing was written"
            )


def compare(
    reference: Segmenter,
    exported: ExportedSegmenter,
    data: PanopticData,
    chosen: Iterable[int],
    step: Callable[[], object] = lambda: None,
) -> Parity:
    """Run both on images.

    Args:
        reference: the network on torch.
        exported: the same on onnxruntime.
        data: images with their truth; PQ is measured if its classes are the network's.
        chosen: which of them.
        step: called after each.
    """
    found = Parity()
    try:
        check_classes(reference.categories, data.categories)
        reference, exported = (each.with_categories(data.categories) for each in (reference, exported))  # type: ignore[assignment]
        found.quality = PanopticQuality(data.categories), PanopticQuality(data.categories)
    except ValueError:
        pass  # photographs of other classes: the maps are compared alone
    for index in chosen:
        sample = data[index]
        scenes = reference.scene(sample.image), exported.scene(sample.image)
        maps = [scene.result() for scene in scenes]
        count = differing_pixels(*maps)
        found.pixels += maps[0].ids.size
        found.differing += count
        found.images += 1
        found.worst = max(found.worst, (count / maps[0].ids.size, sample.name))
        boxes = moved_boxes(scenes[0])
        count = differing_pixels(*(scene.edit(*boxes).result() for scene in scenes))
        found.edited += count
        found.worst_edited = max(found.worst_edited, (count / maps[0].ids.size, sample.name))
        one, other = scenes[0].panoptic.cpu().numpy(), scenes[1].panoptic
        same = one.shape == other.shape
        found.largest = max(found.largest, float(np.abs(one - other).max(initial=0.0)) if same else np.inf)
        for quality, made in zip(found.quality or (), maps, strict=bool(found.quality)):
            quality.update(sample.truth, made, sample.name)
        step()
    return found


def moved_boxes(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and classes for `edit`, none of which keeps the mask that it has: each detection moved by an eighth
    of its size towards the middle of the image, and a new box in the middle."""
    height, width = scene.size
    found = scene.detections
    boxes = found.boxes.cpu().numpy()
    corners = boxes.reshape(-1, 2, 2)
    sides, centres = corners[:, 1] - corners[:, 0], corners.mean(1)
    step = np.sign(np.array([width, height]) / 2 - centres) * np.maximum(sides / 8, 0.5)
    middle = np.array([[width, height, 3 * width, 3 * height]]) / 4
    return (
        np.concatenate([boxes + np.tile(step, 2), middle]),
        np.append(found.scores.cpu().numpy(), 0.9),
        np.append(found.classes.cpu().numpy(), 0),
    )


def differing_pixels(one: PanopticMap, other: PanopticMap) -> int:
    """Pixels of two maps that lie in different segments, whatever the segments' numbers are.

    Two segments are the same if each shares more pixels with the other than with any third, and their classes agree.
    """
    places, counts = np.unique(np.stack([one.ids.ravel(), other.ids.ravel()]), axis=1, return_counts=True)
    classes = [{0: None} | {segment.id: segment.category.id for segment in each} for each in (one, other)]
    best: list[dict[int, int]] = [{}, {}]
    order = np.argsort(-counts, kind="stable")
    for pair in places[:, order].T.tolist():
        for side in (0, 1):
            best[side].setdefault(pair[side], pair[1 - side])
    same = [best[0][a] == b and best[1][b] == a and classes[0][a] == classes[1][b] for a, b in places.T.tolist()]
    return int(counts[~np.array(same, bool)].sum())
