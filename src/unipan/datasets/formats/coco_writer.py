"""Writes COCO panoptic format, one image at a time: for `unipan scenes` and `unipan predict`.

Every file is written beside its place and renamed, the JSON last: a reader never meets half a file.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from unipan.datasets.formats.output import require_scores, write_rows
from unipan.files import make_folder, write_atomically
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import inside
from unipan.panoptic.maps import PanopticMap, Sample, Segment
from unipan.panoptic.png import encode_png, png_of_rgb


class PanopticWriter:
    """`with PanopticWriter(folder, categories) as writer: writer.add(...)`.

    Leaves `folder/panoptic/*.png`, `folder/panoptic.json` and, with `images`, `folder/images/*`. The JSON appears
    when the writer is closed; after an exception inside `with` it does not appear.
    """

    def __init__(self, folder: Path | str, categories: Categories, images: bool = False, scores: bool = False) -> None:
        """Start a dataset.

        Args:
            folder: created if missing; files of the same names are replaced.
            categories: written to the JSON; every segment's category must be one of them.
            images: pictures are given to `add` and written too, as PNG whatever the name ends in.
            scores: every segment carries its `score`, as predictions do; otherwise only those other than 1.
        """
        self.folder, self.categories = Path(folder), categories
        self._with_images, self._with_scores = images, scores
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._taken: set[str] = set()
        self._ids: set[int | str] = set()
        for part in ("images", "panoptic") if images else ("panoptic",):
            make_folder(self.folder / part)

    def add(
        self,
        name: str,
        image_id: int | str,
        panoptic: PanopticMap,
        image: UInt8[np.ndarray, "H W 3"] | None = None,
    ) -> None:
        """Write one image's PNG and remember its segments.

        Raises:
            ValueError: a repeated name or image id, a name that leads out of the folder, an unknown category, an
                image where none is written or none where one is, another size than the map's, or a score that is NaN.
        """
        stem = str(PurePosixPath(name).with_suffix(""))
        png = inside(self.folder / "panoptic", f"{stem}.png", self.folder)
        if stem in self._taken:
            raise ValueError(f"{png}: written already; image {image_id!r} ({name}) needs a name of its own")
        if image_id in self._ids:
            raise ValueError(f"{self.folder}: image {image_id!r} ({name}) was written already; each is written once")
        for segment in panoptic:
            if self.categories.index_of_id.get(segment.category.id) is None:
                raise ValueError(f"{name}: segment {segment.id} has unknown category id {segment.category.id}")
        require_scores(panoptic, name)
        if (image is not None) != self._with_images:
            raise ValueError(f"{name}: this writer {'needs an image' if self._with_images else 'writes no images'}")
        height, width = panoptic.ids.shape
        if image is not None:
            if image.shape[:2] != (height, width):
                raise ValueError(f"{name}: the image is {image.shape[:2]} but its map is {(height, width)}")
            name = f"{stem}.png"
            write_atomically(self.folder / "images" / name, png_of_rgb(image))
        write_atomically(png, encode_png(panoptic.ids))
        self._taken.add(stem)
        self._ids.add(image_id)
        self._images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        segments = [self._segment(row) for row in panoptic]
        self._annotations.append({"image_id": image_id, "file_name": f"{stem}.png", "segments_info": segments})

    def _segment(self, segment: Segment) -> dict[str, Any]:
        row = {
            "id": segment.id,
            "category_id": segment.category.id,
            "area": segment.area,
            "bbox": list(segment.bbox),
            "iscrowd": int(segment.iscrowd),
        }
        return {**row, "score": segment.score} if self._with_scores or segment.score != 1 else row

    def close(self) -> Path:
        """Write `panoptic.json` and return its path."""
        content = {"images": self._images, "annotations": self._annotations, "categories": self.categories.to_coco()}
        return write_rows(self.folder / "panoptic.json", content)

    def __enter__(self) -> "PanopticWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.close()


def write_coco_panoptic(folder: Path | str, samples: Iterable[Sample], categories: Categories) -> Path:
    """Write samples, one after the other, as a COCO panoptic dataset with images; returns the JSON's path."""
    writer = PanopticWriter(folder, categories, images=True)
    for sample in samples:
        writer.add(sample.name, sample.image_id, sample.truth, sample.image)
    return writer.close()
