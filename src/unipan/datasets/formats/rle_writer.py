"""The writer of `coco-instances`: a run-length mask for every segment."""

from pathlib import Path

from unipan.datasets.formats.writing import WrittenImages
from unipan.files import write_json
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import Row
from unipan.panoptic.maps import PanopticMap
from unipan.panoptic.runs import rles_of_ids


class RleWriter:
    """Writes `folder/instances.json`: COCO's instance format with a run-length mask for every segment, stuff included.

    Categories have `isthing`. `coco_instances` and pycocotools read it.
    """

    def __init__(self, folder: Path | str, categories: Categories) -> None:
        self.folder, self.categories = Path(folder), categories
        self._images = WrittenImages(self.folder, categories)
        self._annotations: list[Row] = []

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Encode one map."""
        self._images.add(name, image_id, panoptic)
        masks = rles_of_ids(panoptic.ids, [segment.id for segment in panoptic])
        for segment, mask in zip(panoptic, masks, strict=True):
            row = {**segment.to_coco(), "id": len(self._annotations) + 1, "image_id": image_id, "segmentation": mask}
            self._annotations.append(row)

    def close(self) -> Path:
        """Write the JSON and return its path."""
        content = {
            "images": self._images.rows,
            "annotations": self._annotations,
            "categories": self.categories.to_coco(),
        }
        return write_json(self.folder / "instances.json", content)
