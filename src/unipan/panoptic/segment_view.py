"""One segment of a map with what is cut out of it: its mask, its piece of the image, its outline."""

from dataclasses import dataclass

import numpy as np

from unipan.arrays import Bool, UInt8
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, Segment
from unipan.panoptic.polygons import Ring, segment_polygons


@dataclass(frozen=True, eq=False, repr=False)
class SegmentView:
    """A segment and its pixels; nothing is computed before it is asked for.

    Attributes:
        segment: with its id, score, area and box.
        panoptic: the map that it is of.
        image: RGB.
    """

    segment: Segment
    panoptic: PanopticMap
    image: np.ndarray  # (H, W, 3) uint8

    @property
    def category(self) -> Category:
        """Its class."""
        return self.segment.category

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """Its pixels, at the image's size."""
        return np.asarray(self.panoptic.ids == self.segment.id)

    @property
    def polygons(self) -> list[list[Ring]]:
        """Its parts, each as an outline and its holes, see `segment_polygons`."""
        return segment_polygons(self.panoptic, self.segment)

    def crop(self, margin: int = 0, transparent: bool = False) -> UInt8[np.ndarray, "tall wide C"]:
        """Its piece of the image.

        Args:
            margin: pixels around its bounding box, as far as the image goes.
            transparent: RGBA, in which the pixels of other segments are transparent; else RGB.

        Raises:
            ValueError: a negative margin.
        """
        if margin < 0:
            raise ValueError(f"crop: a margin of {margin} pixels cuts the segment off; give 0 or more")
        x, y, width, height = self.segment.bbox
        rows, columns = slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)
        piece = self.image[rows, columns]
        if not transparent:
            return piece.copy()
        alpha = np.where(self.panoptic.ids[rows, columns] == self.segment.id, 255, 0).astype(np.uint8)
        return np.dstack([piece, alpha])

    def __repr__(self) -> str:
        _, _, width, height = self.segment.bbox
        return f"SegmentView({self.category.name} {self.segment.id}, {width} x {height}, {self.segment.area} pixels)"
