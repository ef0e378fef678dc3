"""Truth and predictions as two JSONs with folders of PNGs (COCO panoptic format), opened image by image for PQ.

Unlike `CocoPanoptic`, which refuses a dataset with a fault, this reads what is there and reports what is wrong: an
evaluator should list all faults, and may be asked to ignore some.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unipan.arrays import Int32
from unipan.evaluation.matching import SegmentTable
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import float_or_nan, path_inside, read_json, rows_of, unique_rows
from unipan.panoptic.coco_parser import parse_segments, raise_first
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map
from unipan.panoptic.png import decode_png
from unipan.panoptic.runs import MAX_ID, runs


@dataclass(frozen=True)
class SegmentedImage:
    """One side of an image.

    Attributes:
        source: the PNG, for messages.
        ids: of its pixels; None for a missing prediction.
        segments: with class indices.
        refusal: why the official tool cannot read them.
    """

    source: str
    ids: Int32[np.ndarray, "H W"] | None
    segments: SegmentTable
    refusal: str | None = None


@dataclass(frozen=True)
class Listing:
    """One side: the annotations of a JSON by image id, and where their PNGs lie."""

    source: Path
    folder: Path
    annotations: Mapping[int | str, dict[str, Any]]

    @classmethod
    def of(cls, content: Mapping[str, Any], source: Path, folder: Path | None) -> "Listing":
        """From a JSON's content; the folder is the JSON's path without .json unless given (the official convention)."""
        rows = unique_rows(rows_of(content, "annotations", source), "image_id", "annotation of image", source)
        return cls(source, source.with_suffix("") if folder is None else folder, rows)

    def png(self, image_id: int | str) -> Path:
        """Where the PNG of an image lies. Raises ValueError for a name that leads out of the folder."""
        name = self.annotations[image_id].get("file_name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"{self.source}: the annotation of image {image_id!r} has no `file_name`")
        return path_inside(self.folder, name, self.source)

    def segments(self, image_id: int | str, index: Mapping[int, int]) -> tuple[SegmentTable, str | None]:
        """The segments of an image, and why the official tool cannot read them.

        Args:
            image_id: of an annotation.
            index: class index by category id.

        Raises:
            ValueError: a segment is broken: see `parse_segments`.
        """
        annotation = self.annotations[image_id]
        listed = annotation.get("segments_info")
        if isinstance(listed, list) and (table := sound_table(listed, index)) is not None:
            return table, None
        rows_of(annotation, "segments_info", self.source, f"image {image_id!r}: ")
        rows, findings = parse_segments(annotation, index, self.source)
        for finding in findings:
            if finding.kind == "category-unknown":
                raise ValueError(f"{finding} of the ground truth; predict its {len(index)} classes, by its ids")
        raise_first(findings, tolerated=("score-broken",))
        bare = next((key for key, row in rows.items() if "iscrowd" not in row), None)
        table = SegmentTable(
            np.array([*rows], np.int64),
            np.array([index[row["category_id"]] for row in rows.values()], np.int64),
            np.array([bool(row.get("iscrowd")) for row in rows.values()], bool),
            np.array([float_or_nan(row.get("area")) for row in rows.values()], np.float64),
        )
        return table, None if bare is None else f"segment {bare} has no `iscrowd`"


def sound_table(rows: Sequence[Mapping[str, Any]], index: Mapping[int, int]) -> SegmentTable | None:
    """The table of segments with nothing odd about them, in a quarter of the parser's time; None for others."""
    try:
        ids, categories, areas, crowd = zip(*map(_FIELDS, rows), strict=True)
        classes = [index[key] for key in categories]
        declared = np.array(areas, np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):  # also if there are none
        return None
    types = ({*map(type, ids), *map(type, categories)}, {*map(type, areas)}, {*map(type, crowd)})
    if not (types[0] == {int} and types[1] <= {int, float} and types[2] <= {int, bool}):
        return None
    if min(ids) < 1 or max(ids) > MAX_ID or len({*ids}) < len(ids):
        return None
    return SegmentTable(np.array(ids, np.int64), np.array(classes, np.int64), np.array(crowd, bool), declared)


_FIELDS = itemgetter("id", "category_id", "area", "iscrowd")


class PanopticFolders:
    """`len(folders)` images of the truth with their predictions, opened one by one.

    Attributes:
        categories: the truth's.
        image_ids: of the truth's annotations, in their order.
        names: of the images, for people: file names, with folders where two share one.
        truth, prediction: the two sides.
        unannotated: names of images that the truth lists without an annotation; nobody can score them.
    """

    def __init__(
        self, truth: Path, prediction: Path, gt_folder: Path | None = None, pred_folder: Path | None = None
    ) -> None:
        """Open the two JSONs; the folders default to their paths without .json.

        Raises:
            FileNotFoundError: a JSON is missing.
            ValueError: a JSON is broken, or the predictions declare other categories.
        """
        content, found = read_json(truth), read_json(prediction)
        self.categories = Categories.from_coco(rows_of(content, "categories", truth), str(truth))
        self.truth = Listing.of(content, truth, gt_folder)
        self.prediction = Listing.of(found, prediction, pred_folder)
        self.image_ids = list(self.truth.annotations)
        images = unique_rows(rows_of(content, "images", truth), "id", "image", truth) if "images" in content else {}
        files = {
            key: _file_name(images.get(key), self.truth.annotations.get(key), key) for key in [*images, *self.image_ids]
        }
        short = {key: PurePosixPath(name).name for key, name in files.items()}
        names = short if len(set(short.values())) == len(short) else files
        if len(set(names.values())) < len(names):
            names = {key: f"{name} (image {key!r})" for key, name in files.items()}
        self.names = [names[key] for key in self.image_ids]
        self.unannotated = [names[key] for key in images if key not in self.truth.annotations]
        _check_categories(self.categories, found.get("categories"), truth, prediction)

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def surplus(self) -> list[int | str]:
        """Image ids that are predicted but not in the truth: it may be a part, or the ids are of another kind."""
        return [key for key in self.prediction.annotations if key not in self.truth.annotations]

    @property
    def unpredicted(self) -> list[str]:
        """Names of images without a prediction."""
        pairs = zip(self.names, self.image_ids, strict=True)
        return [name for name, key in pairs if key not in self.prediction.annotations]

    def read(self, index: int) -> tuple[SegmentedImage, SegmentedImage]:
        """Truth and prediction of an image.

        Raises:
            FileNotFoundError: a PNG is missing.
            ValueError: a PNG is damaged, the two differ in size, or a JSON says what it must not.
        """
        key = self.image_ids[index]
        truth = self._segmented(self.truth, key)
        if key not in self.prediction.annotations:
            none = SegmentTable.of(())
            return truth, SegmentedImage(str(self.prediction.source), None, none, "it has no prediction")
        prediction = self._segmented(self.prediction, key)
        if truth.ids is None or prediction.ids is None or truth.ids.shape != prediction.ids.shape:
            raise ValueError(
                f"{prediction.source}: the prediction is {_size(prediction.ids)} but the truth {truth.source} is "
                f"{_size(truth.ids)} (width x height); resize the prediction without interpolation, or predict again"
            )
        return truth, prediction

    def _segmented(self, side: Listing, key: int | str) -> SegmentedImage:
        segments, refusal = side.segments(key, self.categories.index_of_id)
        path = side.png(key)
        return SegmentedImage(str(path), decode_png(path), segments, refusal if side is self.truth else None)

    def maps(self, name: str) -> tuple[PanopticMap, PanopticMap]:
        """Truth and prediction of the image of this name, read leniently: see `unipan.evaluation.folder_quality`."""
        truth, prediction = self.read(self.names.index(name))
        ids = np.zeros_like(truth.ids) if prediction.ids is None else prediction.ids
        return self._map(truth, truth.ids), self._map(prediction, ids)

    def _map(self, side: SegmentedImage, ids: Int32[np.ndarray, "H W"] | None) -> PanopticMap:
        """A map in which undeclared ids are void and segments without pixels are left out."""
        assert ids is not None
        present = np.unique(ids.reshape(-1)[runs(ids)[0]])
        stray = np.setdiff1d(present, [*side.segments.ids.tolist(), VOID_ID])
        if len(stray):
            ids = np.where(np.isin(ids, stray), VOID_ID, ids).astype(np.int32)
        segments = side.segments[np.isin(side.segments.ids, present)]
        keys = segments.ids.tolist()
        return panoptic_map(
            ids,
            {key: self.categories[label] for key, label in zip(keys, segments.classes.tolist(), strict=True)},
            crowds={key for key, crowd in zip(keys, segments.crowd.tolist(), strict=True) if crowd},
            source=side.source,
            declared_areas=dict(zip(keys, segments.declared.tolist(), strict=True)),
        )


def _file_name(image: Mapping[str, Any] | None, annotation: Mapping[str, Any] | None, key: int | str) -> str:
    names = [row.get("file_name") for row in (image, annotation) if row is not None]
    return next((name for name in names if isinstance(name, str) and name), f"image {key!r}")


def _check_categories(ours: Categories, theirs: Any, truth: Path, prediction: Path) -> None:
    """Refuse a class id that has another name; what else a prediction declares or leaves out does not matter here."""
    names = {category.id: category.name for category in ours}
    for row in theirs if isinstance(theirs, list) else []:
        key, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
        if type(key) is int and name is not None and names.get(key, name) != str(name):
            raise ValueError(
                f"{prediction}: category id {key} is {str(name)!r} there but {names[key]!r} in {truth}; use the "
                "truth's ids (`unipan predict --like GT.json` takes them over)"
            )


def _size(ids: Int32[np.ndarray, "H W"] | None) -> str:
    return "missing" if ids is None else f"{ids.shape[1]} x {ids.shape[0]}"
