"""`coco`: COCO panoptic format (https://cocodataset.org/#format-data, section 4), read and written.

A dataset is a folder with `images/`, `panoptic/` and `panoptic.json`. The classes come from the JSON; areas and boxes
are measured from the PNGs, since wrong ones in the JSON would falsify every metric.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np

from unipan.arrays import Int32, UInt8
from unipan.datasets.formats.format import Format, FormatOptions
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.formats.writing import WrittenImages
from unipan.files import make_folder, no_file_words, write_atomically, write_json
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import ImageId, Row, float_or_nan, path_inside, read_json
from unipan.panoptic.coco_parser import parse_panoptic, parse_segments, raise_first
from unipan.panoptic.maps import PanopticMap, Sample, panoptic_map
from unipan.panoptic.png import decode_png, encode_png, png_of_rgb

TOLERATED = ("no-images", "name-twice", "png-twice")
"""Findings of the parser that do no harm to a reader."""


def require_panoptic_json(json_file: Path) -> None:
    """Raises FileNotFoundError unless the JSON of a dataset is there."""
    if not json_file.is_file():
        raise FileNotFoundError(f"{json_file}: no such file; a dataset folder has images/, panoptic/, panoptic.json")


def dataset_parts(source: Path) -> list[Path]:
    """What is read of a dataset in this format: its JSON, images and PNGs, for a folder or for a JSON."""
    if source.suffix == ".json":
        return [source, source.with_suffix("")]
    return [source / "panoptic.json", source / "images", source / "panoptic"]


class CocoPanoptic(ListedDataset):
    """A dataset in COCO panoptic format: `data[i]` is a `Sample`, `data.truth(i)` reads the map alone.

    It is checked when it is opened, except for the content of the pictures.

    Attributes:
        categories: things first.
        image_ids, file_names: as in the JSON, in its order.
        names: file names without folders, or with them where two would be the same.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open `folder/panoptic.json`, `folder/images` and `folder/panoptic`; raises as `of`."""
        root = Path(folder)
        self._open(root / "panoptic.json", root / "images", root / "panoptic")

    @classmethod
    def of(cls, json_file: Path | str, images: Path | str | None, panoptic: Path | str) -> "CocoPanoptic":
        """Open a dataset whose parts are anywhere; with `images=None` it has maps only.

        Raises:
            FileNotFoundError: the JSON, an image or a PNG is missing.
            ValueError: the JSON is broken, an id is unknown or appears twice, or a file name leads out of its folder.
        """
        dataset = cls.__new__(cls)
        dataset._open(Path(json_file), None if images is None else Path(images), Path(panoptic))
        return dataset

    def _open(self, json_file: Path, images: Path | None, panoptic: Path) -> None:
        require_panoptic_json(json_file)
        parsed = parse_panoptic(read_json(json_file), json_file)
        raise_first(parsed.findings, TOLERATED)
        categories = Categories.from_coco(parsed.categories, str(json_file))
        by_id = {category.id: category for category in categories}
        names = {category.id: category.name for category in categories}
        entries = []
        for image_id, image in parsed.images.items():
            rows, findings = parse_segments(parsed.annotations[image_id], by_id, json_file, names)
            raise_first(findings)
            png = path_inside(panoptic, parsed.annotations[image_id]["file_name"], json_file)
            path = None if images is None else path_inside(images, image["file_name"], json_file)
            for needed in (png,) if path is None else (path, png):
                if not needed.is_file():
                    foreign = "\\" in f"{image['file_name']}{parsed.annotations[image_id]['file_name']}"
                    hint = "; its name is that of another computer: `unipan data check --fix` mends it" * foreign
                    what = no_file_words(needed).removeprefix("there is ")
                    text = f"{needed}: {what}, but image {image_id!r} of {json_file} needs it{hint}"
                    raise FileNotFoundError(text)
            read = partial(_read_coco_map, png, image, rows, by_id, json_file)
            entries.append(Entry(image_id, image["file_name"], path, read, (png,)))
        self._fill(json_file, categories, entries)


def _read_coco_map(
    png: Path, image: Row, rows: dict[int, Row], by_id: dict[int, Category], source: Path
) -> PanopticMap:
    """The map of one image. Raises ValueError for a damaged PNG, or one that does not match the JSON."""
    ids = decode_png(png)
    height, width = image.get("height", ids.shape[0]), image.get("width", ids.shape[1])
    if (height, width) != ids.shape:
        raise ValueError(
            f"{png}: it is {ids.shape[1]} x {ids.shape[0]} but {source} says that image {image['id']!r} is "
            f"{width} x {height} (width x height)"
        )
    areas = {key: float_or_nan(row.get("area")) for key, row in rows.items()}
    where = f"{png} (image {image['id']!r} of {source})"
    return map_of_rows(ids, rows, lambda row: by_id[row["category_id"]], where, areas)


def map_of_rows(
    ids: Int32[np.ndarray, "H W"],
    rows: dict[int, Row],
    category_of: Callable[[Row], Category],
    source: str,
    declared_areas: dict[int, float] | None = None,
) -> PanopticMap:
    """A map from its ids and the rows that `parse_segments` returns; raises as `panoptic_map`."""
    return panoptic_map(
        ids,
        {key: category_of(row) for key, row in rows.items()},
        {key: row["score"] for key, row in rows.items() if row.get("score") is not None},
        {key for key, row in rows.items() if row.get("iscrowd")},
        source,
        declared_areas,
    )


class PanopticWriter:
    """Writes a dataset in COCO panoptic format, one image at a time.

    >>> with PanopticWriter("out", categories) as writer:  # doctest: +SKIP
    ...     writer.add("a.jpg", 1, panoptic_map)

    It leaves `folder/panoptic/*.png`, with `images` also `folder/images/*`, and last `folder/panoptic.json`, which is
    written by `close` and not at all after an exception inside `with`. Every file is complete or absent.
    """

    def __init__(self, folder: Path | str, categories: Categories, images: bool = False, scores: bool = False) -> None:
        """Start a dataset.

        Args:
            folder: made if missing; files of the same names are replaced.
            categories: of the dataset; every segment must have one of them.
            images: `add` is given images, which are written as PNGs whatever their names end in.
            scores: write the `score` of every segment, as predictions have it; otherwise only scores other than 1.
        """
        self.folder, self.categories = Path(folder), categories
        self._with_images, self._scores = images, scores
        self._images = WrittenImages(self.folder, categories)
        self._annotations: list[Row] = []
        for part in ("images", "panoptic") if images else ("panoptic",):
            make_folder(self.folder / part)

    def add(
        self, name: str, image_id: ImageId, panoptic: PanopticMap, image: UInt8[np.ndarray, "H W 3"] | None = None
    ) -> None:
        """Write one image's PNG and remember its segments.

        Args:
            name: the image's file name, which may have folders.
            image_id: unique within the dataset.
            panoptic: its map.
            image: RGB, of the map's size; given if and only if the writer was started with `images`.

        Raises:
            ValueError: a name or id used before, a name that leads out of the folder, an unknown category, an image
                that is missing, unexpected or of another size, or a score that is not finite.
        """
        stem = self._images.check(name, image_id, panoptic)
        if (image is not None) != self._with_images:
            raise ValueError(f"{name}: this writer {'needs an image' if self._with_images else 'writes no images'}")
        if image is not None:
            if image.shape[:2] != panoptic.ids.shape:
                raise ValueError(f"{name}: the image is {image.shape[:2]} but its map is {panoptic.ids.shape}")
            name = f"{stem}.png"
            write_atomically(self.folder / "images" / name, png_of_rgb(image))
        write_atomically(self.folder / "panoptic" / f"{stem}.png", encode_png(panoptic.ids))
        self._images.add(name, image_id, panoptic)
        rows = [segment.to_coco(self._scores) for segment in panoptic]
        self._annotations.append({"image_id": image_id, "file_name": f"{stem}.png", "segments_info": rows})

    def close(self) -> Path:
        """Write `panoptic.json` and return its path."""
        content = {"images": self._images.rows, "annotations": self._annotations}
        content["categories"] = self.categories.to_coco()
        return write_json(self.folder / "panoptic.json", content, durable=True)

    def __enter__(self) -> "PanopticWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.close()


def write_coco_panoptic(folder: Path | str, samples: Iterable[Sample], categories: Categories) -> Path:
    """Write samples with their images as a COCO panoptic dataset; returns the path of the JSON."""
    writer = PanopticWriter(folder, categories, images=True)
    for sample in samples:
        writer.add(sample.name, sample.image_id, sample.truth, sample.image)
    return writer.close()


def _read_coco_panoptic(path: Path, options: FormatOptions) -> CocoPanoptic:
    if path.is_dir() and options.panoptic is None:
        images = options.images or (path / "images" if (path / "images").is_dir() else None)
        return CocoPanoptic.of(path / "panoptic.json", images, path / "panoptic")
    json_file = path / "panoptic.json" if path.is_dir() else path
    return CocoPanoptic.of(json_file, options.images, options.panoptic or json_file.with_suffix(""))


FORMAT = Format(
    "coco",
    "a folder with `images/`, `panoptic/`, `panoptic.json`; or a JSON, whose PNGs are in its path without `.json` "
    "(`--panoptic DIR`, `--images DIR`). The default.",
    read=_read_coco_panoptic,
    write=lambda folder, categories, _: PanopticWriter(folder, categories),
    stores_images=True,
    uses=frozenset({"images", "panoptic", "as_things"}),
)
