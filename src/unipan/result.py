"""What segmentation ends with: a panoptic map and its image. Without torch, because `unipan.fuse` needs none."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unipan.arrays import UInt8
from unipan.files import write_atomically
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import encode_png
from unipan.visualization.overlay import overlay


@dataclass(frozen=True, eq=False, repr=False)
class PanopticResult(PanopticMap):
    """A panoptic map together with the image that it belongs to.

    Attributes:
        ids: (H, W) int32, 0 = void, every other id in `segments`.
        segments: Segment(id, category, isthing, score, area, bbox).
        image: the image, RGB.
        name: its file name, or "image".
    """

    image: np.ndarray  # (H, W, 3) uint8
    name: str

    def overlay(self, alpha: float = 0.6) -> UInt8[np.ndarray, "H W 3"]:
        """The segments as colours over the image, RGB."""
        return overlay(self.image, self, alpha=alpha)

    def save(self, path: str | Path) -> None:
        """Write the overlay as a picture (.png, .jpg, ...). The ids themselves are `save_ids`'s."""
        suffix = Path(path).suffix
        try:
            done, encoded = cv2.imencode(suffix, np.ascontiguousarray(self.overlay()[:, :, ::-1]))
        except cv2.error:
            done = False
        if not done:
            raise ValueError(f"save: no picture format is known for {suffix!r}; use a name that ends in .png or .jpg")
        write_atomically(Path(path), encoded.tobytes())

    def png_bytes(self) -> bytes:
        """The ids as a COCO panoptic PNG: id = R + 256 G + 65536 B."""
        return encode_png(self.ids)

    def save_ids(self, path: str | Path) -> None:
        """Write `png_bytes`."""
        write_atomically(Path(path), self.png_bytes())

    def to_coco(self, image_id: int | str = 1) -> dict[str, Any]:
        """The image's entry in `annotations` of a COCO panoptic JSON; its PNG is `save_ids`'s."""
        return {
            "image_id": image_id,
            "file_name": Path(self.name).with_suffix(".png").name,
            "segments_info": [{**each.to_coco(), "score": round(each.score, 4)} for each in self.segments],
        }

    def __repr__(self) -> str:
        height, width = self.ids.shape
        counts = Counter(segment.category.name for segment in self.segments)
        names = ", ".join(name if count == 1 else f"{count} {name}" for name, count in counts.items())
        return f"PanopticResult({self.name}, {width} x {height}, {len(self)} segments: {names or 'none'})"
