"""What segmentation ends with: a panoptic map and its image. Without torch, because `unipan.fuse` needs none."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unipan.arrays import Float32, UInt8
from unipan.files import write_atomically
from unipan.panoptic.exports import (
    map_to_huggingface,
    map_to_labelme,
    map_to_napari,
    map_to_pandas,
    map_to_supervision,
)
from unipan.panoptic.label_tiff import label_tiff
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.png import encode_png
from unipan.panoptic.polygons import to_geojson
from unipan.panoptic.segment_table import segment_table
from unipan.panoptic.segment_view import SegmentView
from unipan.visualization.named_overlay import named_overlay
from unipan.visualization.notebook import notebook_html, notebook_png
from unipan.visualization.overlay import overlay


@dataclass(frozen=True, eq=False, repr=False)
class PanopticResult(PanopticMap):
    """A panoptic map together with the image that it belongs to.

    Attributes:
        ids: (H, W) int32, 0 = void, every other id in `segments`.
        segments: Segment(id, category, isthing, score, area, bbox).
        image: the image, RGB.
        name: its file name, or "image".
        find_margin: computes `margin` when it is asked for; None where the map is no argmax.
    """

    image: np.ndarray  # (H, W, 3) uint8
    name: str
    find_margin: Callable[[], Float32[np.ndarray, "H W"]] | None = None

    def overlay(self, alpha: float = 0.6, labels: bool = False) -> UInt8[np.ndarray, "_ _ 3"]:
        """The segments as colours over the image, RGB; with labels as in `named_overlay`, which has its own `alpha`.

        Raises:
            ValueError: `alpha` does not lie in 0..1.
        """
        if not isinstance(alpha, Real) or not 0 <= alpha <= 1:
            raise ValueError(f"overlay: alpha {alpha!r} is no share of colour, a number in 0..1")
        return named_overlay(self.image, self) if labels else overlay(self.image, self, alpha=alpha)

    def save(self, path: str | Path, labels: bool = False) -> None:
        """Write the overlay as a picture (.png, .jpg, ...). The ids themselves are `save_ids`'s."""
        suffix = Path(path).suffix
        try:
            done, encoded = cv2.imencode(suffix, np.ascontiguousarray(self.overlay(labels=labels)[:, :, ::-1]))
        except cv2.error:
            done = False
        if not done:
            raise ValueError(f"save: no picture format is known for {suffix!r}; use a name that ends in .png or .jpg")
        write_atomically(Path(path), encoded.tobytes())

    def png_bytes(self) -> bytes:
        """The ids as a COCO panoptic PNG: id = R + 256 G + 65536 B."""
        return encode_png(self.ids)

    def save_ids(self, path: str | Path) -> None:
        """Write `png_bytes`; the name ends in .png."""
        _require_suffix("save_ids", path, ".png")
        write_atomically(Path(path), self.png_bytes())

    @cached_property
    def margin(self) -> Float32[np.ndarray, "H W"]:
        """The best minus the second channel of P (of Psi for the fusion `potential`): low is where the map is unsure.

        Raises:
            ValueError: the map is no argmax of a Segmenter's.
        """
        if self.find_margin is None:
            raise ValueError("margin: this map is no argmax; take a Segmenter's fusion affinity or potential")
        return self.find_margin()

    def table(self) -> list[dict[str, Any]]:
        """A row of measures for each segment, see `segment_table`."""
        return segment_table(self)

    def views(self) -> Iterator[SegmentView]:
        """The segments with their pixels: `mask`, `crop()` and `polygons` of each, computed when asked for."""
        return (SegmentView(segment, self, self.image) for segment in self.segments)

    def to_pandas(self) -> Any:
        """`table` as a pandas DataFrame, see `map_to_pandas`."""
        return map_to_pandas(self)

    def to_supervision(self) -> Any:
        """The segments as `supervision.Detections`, see `map_to_supervision`."""
        return map_to_supervision(self)

    def to_huggingface(self) -> dict[str, Any]:
        """`segmentation` and `segments_info` as transformers 5 has them, see `map_to_huggingface`."""
        return map_to_huggingface(self)

    def to_napari(self) -> tuple[np.ndarray, dict[str, Any], str]:
        """A layer of labels for napari, see `map_to_napari`."""
        return map_to_napari(self, Path(self.name).stem)

    def to_labelme(self) -> dict[str, Any]:
        """The content of a LabelMe JSON, see `map_to_labelme`."""
        return map_to_labelme(self, self.name)

    def to_geojson(self) -> dict[str, Any]:
        """The segments as polygons, a GeoJSON FeatureCollection in pixels, see `panoptic.polygons`."""
        return to_geojson(self, self.name)

    def save_labels(self, path: str | Path) -> None:
        """Write the ids as a 16-bit label TIFF for Fiji, napari and QuPath, see `label_tiff`; to a .tif or .tiff."""
        _require_suffix("save_labels", path, ".tif", ".tiff")
        write_atomically(Path(path), label_tiff(self, self.name))

    def to_coco(self, image_id: int | str = 1) -> dict[str, Any]:
        """The image's entry in `annotations` of a COCO panoptic JSON; its PNG is `save_ids`'s.

        Raises:
            ValueError: the id is neither a whole number nor a text.
        """
        if not isinstance(image_id, int | str) or isinstance(image_id, bool):
            raise ValueError(f"to_coco: image_id {image_id!r} is neither a whole number nor a text")
        return {
            "image_id": image_id,
            "file_name": Path(self.name).with_suffix(".png").name,
            "segments_info": [{**each.to_coco(), "score": round(each.score, 4)} for each in self.segments],
        }

    def _repr_png_(self) -> bytes:
        return notebook_png(self.image, self)

    def _repr_html_(self) -> str:
        return notebook_html(self.image, self, self.name)

    def __repr__(self) -> str:
        height, width = self.ids.shape
        counts = Counter(segment.category.name for segment in self.segments)
        names = ", ".join(name if count == 1 else f"{count} {name}" for name, count in counts.items())
        return f"PanopticResult({self.name}, {width} x {height}, {len(self)} segments: {names or 'none'})"


def _require_suffix(method: str, path: str | Path, *suffixes: str) -> None:
    if Path(path).suffix.lower() not in suffixes:
        raise ValueError(f"{method}: {path} does not end in {' or '.join(suffixes)}, which this file is")
