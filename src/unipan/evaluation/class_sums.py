"""What the variants of PQ share: a few numbers per image and class, and parts that merge to the same bits."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from unipan.arrays import Float64
from unipan.evaluation.image_pair import ImagePair
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

Sums = TypeVar("Sums", bound="ClassSums")


@dataclass(frozen=True)
class ClassSums(ABC):
    """Collects images; `a + b` merges what two threads, ranks or shards have collected, in any order.

    Attributes:
        categories: the classes counted.
        images: per image name an array with a row per class.
    """

    categories: Categories
    images: dict[str, np.ndarray] = field(default_factory=dict)

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image. Raises ValueError as `ImagePair.of` and for a repeated name."""
        self.add(ImagePair.of(truth, prediction, self.categories, name))

    @abstractmethod
    def add(self, pair: ImagePair) -> None:
        """Count one image whose overlaps are known."""

    def put(self, name: str, rows: Float64[np.ndarray, "L n"]) -> None:
        """Count one image. Raises ValueError for a repeated name: an image that counts twice falsifies a metric."""
        if name in self.images:
            raise ValueError(f"{name}: this image was counted already; every image counts once")
        self.images[name] = rows

    def __add__(self: Sums, other: Sums) -> Sums:
        if replace(self, images={}) != replace(other, images={}):
            raise ValueError(f"{type(self).__name__}: two parts with different categories or settings cannot be merged")
        twice = sorted(self.images.keys() & other.images.keys())
        if twice:
            raise ValueError(f"{twice[0]}: this image was counted in both parts; every image counts once")
        return replace(self, images={**self.images, **other.images})

    def __len__(self) -> int:
        return len(self.images)

    def sums(self, width: int) -> Float64[np.ndarray, "L n"]:
        """Over all images; `width` columns where there is none."""
        if not self.images:
            return np.zeros((len(self.categories), width))
        each = np.stack(list(self.images.values())).transpose(1, 2, 0)
        # fsum rounds once, so the parts of a merge may come in any order and give the same bits.
        return np.array([[math.fsum(images) for images in columns] for columns in each.tolist()])
