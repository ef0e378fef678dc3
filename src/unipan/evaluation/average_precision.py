"""AP of boxes and masks (IoU 0.50:0.95), counted by faster-coco-eval: pycocotools' rules, in C++.

Detections count before any fusion; only things count; crowds of the truth absorb detections as pycocotools has it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unipan.arrays import Float, Integer
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.runs import rles_of_ids


@dataclass(frozen=True)
class AveragePrecision:
    """Collects images; `a + b` merges two parts, in any order.

    Attributes:
        categories: things are counted, stuff is not.
        max_detections: per image and class, highest scores first.
        images: per image name its size, truth and detections, as COCO annotations without image ids.
    """

    categories: Categories
    max_detections: int = 100
    images: dict[str, dict[str, Any]] = field(default_factory=dict)

    def update(
        self,
        truth: PanopticMap,
        boxes: Float[np.ndarray, "D 4"],
        scores: Float[np.ndarray, " D"],
        classes: Integer[np.ndarray, " D"],
        masks: Sequence[dict[str, Any]] | None,
        name: str,
    ) -> None:
        """Count one image.

        Args:
            truth: its panoptic map, at the image's own size.
            boxes: x0 y0 x1 y1 in pixels of that size.
            scores: in 0..1.
            classes: thing class index, 0..T-1.
            masks: COCO run-length encodings of that size (see `unipan.panoptic.runs.encode_rle`), or None.
            name: unique within the dataset; a repeated one is refused.

        Raises:
            ValueError: a repeated name, a class that is no thing, or lists of different lengths.
        """
        count, things = len(boxes), len(self.categories.things)
        if name in self.images:
            raise ValueError(f"{name}: this image was counted already; every image counts once")
        if len(scores) != count or len(classes) != count or (masks is not None and len(masks) != count):
            raise ValueError(f"{name}: {count} boxes need as many scores, classes and masks")
        if count and (classes.min() < 0 or classes.max() >= things):
            raise ValueError(f"{name}: classes of detections run from 0 to {things - 1}, found {classes.max()}")
        height, width = truth.ids.shape
        self.images[name] = {
            "size": (height, width),
            "masks": masks is not None,
            "truth": self._truth(truth),
            "detections": [
                {
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": float(score),
                    "category_id": int(label),
                    "segmentation": None if masks is None else masks[row],
                }
                for row, ((x0, y0, x1, y1), score, label) in enumerate(
                    zip(boxes.astype(float).tolist(), scores, classes, strict=True)
                )
            ],
        }

    def _truth(self, truth: PanopticMap) -> list[dict[str, Any]]:
        things = [segment for segment in truth if segment.isthing]
        encoded = rles_of_ids(truth.ids, [segment.id for segment in things])
        return [
            {
                "category_id": self.categories.index_of_id[segment.category.id],
                "bbox": list(segment.bbox),
                "area": segment.area,
                "iscrowd": int(segment.iscrowd),
                "segmentation": rle,
            }
            for segment, rle in zip(things, encoded, strict=True)
        ]

    def __add__(self, other: "AveragePrecision") -> "AveragePrecision":
        if (self.categories, self.max_detections) != (other.categories, other.max_detections):
            raise ValueError("average precision: two parts with different settings cannot be merged")
        twice = sorted(self.images.keys() & other.images.keys())
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted in both parts; every image counts once")
        return AveragePrecision(self.categories, self.max_detections, {**self.images, **other.images})

    @property
    def most_things(self) -> int:
        """The largest number of things of one class in an image of the truth, crowds apart."""
        counts = (
            Counter(row["category_id"] for row in image["truth"] if not row["iscrowd"])
            for image in self.images.values()
        )
        return max((max(each.values(), default=0) for each in counts), default=0)

    def compute(self) -> dict[str, float | None]:
        """`{"box": AP, "mask": AP}` as fractions; None without a thing in the truth, or without predicted masks."""
        order = sorted(self.images)
        masks = all(self.images[name]["masks"] for name in order)
        return {"box": self._average(order, "bbox"), "mask": self._average(order, "segm") if masks else None}

    def _average(self, order: list[str], kind: str) -> float | None:
        from faster_coco_eval import COCO, COCOeval_faster, mask

        truth = _numbered([self.images[name]["truth"] for name in order])
        if all(annotation["iscrowd"] for annotation in truth):
            return None
        detections = _numbered([self.images[name]["detections"] for name in order])
        if not detections:
            return 0.0
        sizes = [self.images[name]["size"] for name in order]
        for row in detections:
            row.pop("bbox" if kind == "segm" else "segmentation")
            if kind == "segm" and isinstance(row["segmentation"]["counts"], list):
                row["segmentation"] = mask.frPyObjects(row["segmentation"], *sizes[row["image_id"] - 1])
        images = [{"id": i, "height": height, "width": width} for i, (height, width) in enumerate(sizes, start=1)]
        labels = [{"id": index, "name": category.name} for index, category in enumerate(self.categories.things)]
        wanted = COCO({"info": {}, "images": images, "annotations": truth, "categories": labels})
        run = COCOeval_faster(wanted, wanted.loadRes(detections), kind, print_function=_silent)
        run.params.maxDets = [self.max_detections]
        run.evaluate()
        run.accumulate()
        # Axes: IoU threshold, recall, class, area range (0 = all), limit of detections (only ours).
        precision = run.eval["precision"][:, :, :, 0, -1]
        return float(precision[precision > -1].mean())


def _numbered(rows: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Copies of the annotations of every image in one list, with ids of their own and of their image, from 1."""
    flat = [(image, row) for image, image_rows in enumerate(rows, start=1) for row in image_rows]
    return [{**row, "id": number, "image_id": image} for number, (image, row) in enumerate(flat, start=1)]


def _silent(*_: object) -> None:
    """Nothing of the library's table reaches the terminal."""
