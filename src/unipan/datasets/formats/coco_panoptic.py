"""Datasets in COCO panoptic format, for any list of classes (https://cocodataset.org/#format-data, section 4).

A folder holds `images/`, `panoptic/` and `panoptic.json`. Class counts, names and colours come from the JSON alone;
areas and boxes are counted from the PNGs, because stale ones in the JSON falsify every metric.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import inside, number, read_json, rows_of, unique_rows
from unipan.panoptic.images import read_image
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map
from unipan.panoptic.png import decode_png


class CocoPanoptic:
    """`dataset[i]` is a `Sample` with image and truth at the image's own size; `truth(i)` leaves the photo closed.

    Attributes:
        categories: things first, from the JSON.
        image_ids, file_names: as in the JSON, in its order.
        names: file names without folders (with them where two files share a name); what error messages say.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open `folder/panoptic.json`, `folder/images`, `folder/panoptic`; see `of` for what is raised."""
        root = Path(folder)
        self._open(root / "panoptic.json", root / "images", root / "panoptic")

    @classmethod
    def of(cls, json_file: Path | str, images: Path | str | None, panoptic: Path | str) -> "CocoPanoptic":
        """Open a dataset whose parts lie anywhere; `images=None` gives truth only.

        Raises:
            FileNotFoundError: the JSON, an image or a PNG is missing.
            ValueError: the JSON is broken, an id is unknown or stands twice, or a file name leaves its folder.
        """
        dataset = cls.__new__(cls)
        dataset._open(Path(json_file), None if images is None else Path(images), Path(panoptic))
        return dataset

    def _open(self, json_file: Path, images: Path | None, panoptic: Path) -> None:
        self.source = json_file
        content = read_json(json_file)
        self.categories = Categories.from_coco(rows_of(content, "categories", json_file), str(json_file))
        self._by_id = {category.id: category for category in self.categories}
        self._images = unique_rows(rows_of(content, "images", json_file), "id", "image", json_file)
        rows = rows_of(content, "annotations", json_file)
        annotations = unique_rows(rows, "image_id", "annotation of image", json_file)
        stray = next((key for key in annotations if key not in self._images), None)
        if stray is not None:
            raise ValueError(f"{json_file}: image {stray!r} is annotated but is not in `images`")
        self._annotations = annotations
        self._folder, self._png_folder = images, panoptic
        self.image_ids: list[int | str] = list(self._images)
        self.file_names = [_file_name(image, key, json_file) for key, image in self._images.items()]
        for index in range(len(self)):
            self._check(index)

    def _check(self, index: int) -> None:
        """Everything that can be known without opening a picture, before hours of training start."""
        image_id = self.image_ids[index]
        if image_id not in self._annotations:
            raise ValueError(f"{self.source}: image {image_id!r} ({self.file_names[index]}) has no annotation")
        seen = set()
        for segment in rows_of(self._annotations[image_id], "segments_info", self.source, f"image {image_id!r}: "):
            where = f"{self.source}: image {image_id!r}, segment {segment.get('id')!r}"
            if not isinstance(segment.get("id"), int):
                raise ValueError(f"{where}: a segment needs an integer `id`")
            category = segment.get("category_id")
            if not isinstance(category, int) or category not in self._by_id:
                raise ValueError(f"{where}: category id {category!r} is not in `categories`")
            if not math.isfinite(number(segment.get("score", 1))):
                raise ValueError(f"{where}: its `score` is {segment['score']!r}; write a number or leave it out")
            if segment["id"] in seen:
                raise ValueError(f"{where}: this id stands twice in `segments_info`; ids are unique within an image")
            seen.add(segment["id"])
        paths = [self._png(index)] if self._folder is None else [self.image_path(index), self._png(index)]
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file, but image {image_id!r} of {self.source} needs it")

    def __len__(self) -> int:
        return len(self.image_ids)

    @cached_property
    def names(self) -> list[str]:
        """What each image is called: unique within the dataset."""
        short = [PurePosixPath(name).name for name in self.file_names]
        return short if len(set(short)) == len(short) else self.file_names

    @cached_property
    def thing_counts(self) -> list[int]:
        """Things per image, crowds left out, from the JSON alone."""
        return [
            sum(self._by_id[s["category_id"]].isthing and not s.get("iscrowd") for s in self._segments(index))
            for index in range(len(self))
        ]

    def image_path(self, index: int) -> Path:
        """Where the photograph lies. Raises ValueError if the dataset was opened without images."""
        if self._folder is None:
            raise ValueError(f"{self.source}: opened without an images folder; give one to CocoPanoptic.of")
        return inside(self._folder, self.file_names[index], self.source)

    def _png(self, index: int) -> Path:
        image_id = self.image_ids[index]
        return inside(self._png_folder, _file_name(self._annotations[image_id], image_id, self.source), self.source)

    def _segments(self, index: int) -> list[dict[str, Any]]:
        segments: list[dict[str, Any]] = self._annotations[self.image_ids[index]]["segments_info"]
        return segments

    def truth(self, index: int) -> PanopticMap:
        """The panoptic map of one image; crowds are segments with `iscrowd`.

        Raises:
            ValueError: a damaged PNG, ids in the PNG that the JSON lacks or the reverse, or another size than the
                JSON says.
        """
        path, image_id, segments = self._png(index), self.image_ids[index], self._segments(index)
        ids = decode_png(path)
        image = self._images[image_id]
        height, width = ids.shape
        said = (image.get("height", height), image.get("width", width))
        if said != ids.shape:
            raise ValueError(
                f"{path}: it is {_size(ids.shape)} but {self.source} says that image {image_id!r} is {_size(said)} "
                "(width x height)"
            )
        return panoptic_map(
            ids,
            {segment["id"]: self._by_id[segment["category_id"]] for segment in segments},
            {segment["id"]: segment["score"] for segment in segments if "score" in segment},
            {segment["id"] for segment in segments if segment.get("iscrowd")},
            source=f"{path} (image {image_id!r} of {self.source})",
            # Kept for official PQ alone, which trusts them; `Segment.area` is counted.
            declared_areas={segment["id"]: number(segment.get("area")) for segment in segments},
        )

    def __getitem__(self, index: int) -> Sample:
        """One image with its truth.

        Raises:
            ValueError: as `truth`; also a damaged image or one of another size than its PNG.
            IndexError: beyond the last image, so that `for sample in dataset` ends.
        """
        truth, image = self.truth(index), read_image(self.image_path(index))
        if image.shape[:2] != truth.ids.shape:
            turned = "; its EXIF turns it, was the PNG drawn on the unturned one?" * (
                image.shape[:2] == truth.ids.shape[::-1]
            )
            raise ValueError(
                f"{self.image_path(index)}: image {self.image_ids[index]!r} is {_size(image.shape)} but its PNG "
                f"{self._png(index)} is {_size(truth.ids.shape)} (width x height){turned}"
            )
        return Sample(image, truth, self.image_ids[index], self.names[index])


def _file_name(row: Mapping[str, Any], image_id: int | str, source: Path) -> str:
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{source}: image {image_id!r} has an entry without `file_name`")
    return name


def _size(shape: Sequence[Any]) -> str:
    return f"{shape[1]} x {shape[0]}"
