"""Evaluate a network on a dataset, through the Segmenter that users call: for validation and `unipan evaluate`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unipan.analysis.separation import Separation
from unipan.config import Fusion
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sources import use_window
from unipan.evaluation.average_precision import AveragePrecision
from unipan.evaluation.confusion import thing_stuff_shares
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.evaluation.trimming import TrimEffect
from unipan.fusion.argmax import Grid, argmax
from unipan.inference import Segmenter
from unipan.ops.masks import paste_full
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.runs import encode_rle
from unipan.scene import Scene

AP_DETECTIONS = 100


@dataclass(frozen=True)
class Evaluation:
    """Mergeable figures of a set of images.

    Attributes:
        quality: PQ per fusion.
        semantic: IoU of V.
        panoptic: IoU of the panoptic map of the first fusion.
        precision: AP of the detections before the score threshold; None if it was not asked for.
        separation: how well affinities tell objects apart; asked for together with AP.
        trimmed: the first fusion with small stuff trimmed; None if it was not asked for.
    """

    quality: dict[Fusion, PanopticQuality]
    semantic: SemanticIoU
    panoptic: SemanticIoU
    precision: AveragePrecision | None = None
    separation: Separation | None = None
    trimmed: TrimEffect | None = None

    @classmethod
    def of(
        cls,
        categories: Categories,
        fusions: Iterable[Fusion],
        detections: int | None = None,
        indexed: Categories | None = None,
        trim: int | None = None,
    ) -> "Evaluation":
        """Nothing counted yet.

        Args:
            categories: of the data.
            fusions: to score.
            detections: how many an image and class AP counts; None leaves AP and separation out.
            indexed: the same classes in the network's order, where that is another one.
            trim: stuff of fewer pixels is trimmed for `trimmed`.
        """
        indexed = indexed or categories
        return cls(
            {fusion: PanopticQuality(categories) for fusion in fusions},
            SemanticIoU(indexed),
            SemanticIoU(indexed),
            None if detections is None else AveragePrecision(indexed, detections),
            None if detections is None else Separation(),
            None if trim is None else TrimEffect.of(categories, trim),
        )

    def __add__(self, other: "Evaluation") -> "Evaluation":
        precision = self.precision + other.precision if self.precision and other.precision else None
        separation = self.separation + other.separation if self.separation and other.separation else None
        trimmed = self.trimmed + other.trimmed if self.trimmed and other.trimmed else None
        quality = {fusion: mine + other.quality[fusion] for fusion, mine in self.quality.items()}
        return Evaluation(
            quality, self.semantic + other.semantic, self.panoptic + other.panoptic, precision, separation, trimmed
        )

    def update(self, scene: Scene, truth: PanopticMap, name: str) -> None:
        """Count one image under every fusion."""
        for position, (fusion, quality) in enumerate(self.quality.items()):
            result = scene.result(fusion)
            quality.update(truth, result, name)
            if position == 0:
                found = PanopticMap(result.ids, result.segments)
                self.panoptic.update(truth, found, name)
                if self.trimmed is not None:
                    self.trimmed.update(truth, found, name)
        self.semantic.update(truth, semantic_map(scene), name)
        if self.precision is not None:
            count_detections(self.precision, scene, truth, name)
        if self.separation is not None:
            self.separation.update(scene, truth)

    def to_json(self, fusion: Fusion) -> dict[str, Any]:
        """What `unipan evaluate --json` writes for one fusion; `thing_stuff` is Table G, of V by pixels."""
        return {
            **self.quality[fusion].to_json(),
            "ap": self.precision.compute() if self.precision is not None else None,
            "iou": {"semantic": self.semantic.compute().to_json(), "panoptic": self.panoptic.compute().to_json()},
            "thing_stuff": thing_stuff_shares(self.semantic.confusion, self.semantic.categories),
            "separation": self.separation.to_json() if self.separation is not None else None,
            "trim_stuff": self.trimmed.to_json() if self.trimmed is not None else None,
        }


def evaluate(
    segmenter: Segmenter,
    data: PanopticData,
    fusions: Iterable[Fusion],
    images: Iterable[int] | None = None,
    detections: int | None = None,
    each: Callable[[Scene, PanopticMap], None] | None = None,
    trim: int | None = None,
) -> Evaluation:
    """Segment images of a dataset once each and score every fusion.

    Args:
        segmenter: its classes must be the data's, by name.
        data: the images.
        fusions: the first one's maps also give the panoptic IoU.
        images: indices; all by default.
        detections: count AP of boxes and masks too, of so many an image and class, and how well affinities separate.
        each: called after every image.
        trim: also score the first fusion with stuff of fewer pixels trimmed.

    Raises:
        ValueError: other classes.
    """
    use_window(data, segmenter.config.data)
    segmenter = segmenter.with_categories(data.categories)
    found = Evaluation.of(data.categories, list(fusions), detections, segmenter.categories, trim)
    for index in range(len(data)) if images is None else images:
        sample = data[index]
        scene = segmenter.scene(sample.image)
        found.update(scene, sample.truth, sample.name)
        if each is not None:
            each(scene, sample.truth)
    return found


@torch.inference_mode()
def semantic_map(scene: Scene) -> np.ndarray:
    """The class of every pixel of the image by V alone."""
    semantic = scene.semantic.float()
    return argmax(semantic, Grid.of(semantic, scene.geometry)).cpu().numpy()


def count_detections(precision: AveragePrecision, scene: Scene, truth: PanopticMap, name: str) -> None:
    """Give AP the detections before the score threshold, with their masks at the image's size."""
    found = scene.output.candidates[0]
    height, width = scene.size
    boxes = scene.geometry.to_image(found.boxes)
    masks = None
    if found.masks is not None:
        masks = []
        for logits, box in zip(found.masks, boxes, strict=True):
            canvas = np.zeros((height, width), np.uint8)
            window, inside = paste_full(logits, box, height, width, 0.0)
            canvas[window] = inside
            masks.append(encode_rle(canvas.astype(bool)))
    precision.update(
        truth, boxes.float().cpu().numpy(), found.scores.float().cpu().numpy(), found.classes.cpu().numpy(), masks, name
    )
