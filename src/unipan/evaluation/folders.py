"""Truth and predictions as two JSONs with folders of PNGs (COCO panoptic format), opened image by image for PQ.

Unlike `CocoPanoptic`, which refuses a dataset with a fault, this reads what is there and reports what is wrong: an
evaluator should list all faults, and may be asked to ignore some.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unipan.arrays import Int32
from unipan.evaluation.listing import JoinedListing, Listing, read_outline
from unipan.evaluation.matching import SegmentTable
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import ImageId, Row, rows_of, unique_rows
from unipan.panoptic.maps import size_of
from unipan.panoptic.png import decode_png


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


_USE_IDS = "use the truth's ids (`unipan predict --like GT.json` takes them over)"


class PanopticFolders:
    """`len(folders)` images of the truth with their predictions, opened one by one.

    Attributes:
        categories: the truth's.
        image_ids: of the truth's annotations, in their order.
        names: of the images, for people: file names, with folders where two share one.
        image_files: the file name of each of them, as the truth lists it.
        truth, prediction: the two sides.
        unannotated: names of images that the truth lists without an annotation; nobody can score them.
    """

    def __init__(
        self,
        truth: Path,
        prediction: Path | Sequence[Path],
        gt_folder: Path | None = None,
        pred_folder: Path | None = None,
    ) -> None:
        """Open the JSONs; the folders default to their paths without .json.

        Args:
            truth: its JSON.
            prediction: the JSON of the predictions; or several, each with some of the images.
            gt_folder, pred_folder: of the PNGs; the second only with one JSON.

        Raises:
            FileNotFoundError: a JSON is missing.
            ValueError: a JSON is broken, the predictions declare other categories, or an image is in two of them.
        """
        self.truth, self.categories, content = _listed(truth, gt_folder)
        given = [prediction] if isinstance(prediction, Path) else prediction
        shards = [_listed(path, pred_folder, self.categories) for path in given]
        listings = [listing for listing, _, _ in shards]
        self.prediction = listings[0] if len(listings) == 1 else JoinedListing.of(listings)
        self.image_ids = list(self.truth.files)
        images = unique_rows(rows_of(content, "images", truth), "id", "image", truth) if "images" in content else {}
        files = {key: _file_name(images.get(key), self.truth.files.get(key), key) for key in [*images, *self.image_ids]}
        short = {key: PurePosixPath(name).name for key, name in files.items()}
        names = short if len(set(short.values())) == len(short) else files
        if len(set(names.values())) < len(names):
            names = {key: f"{name} (image {key!r})" for key, name in files.items()}
        self.names = [names[key] for key in self.image_ids]
        self.image_files = {names[key]: files[key] for key in self.image_ids}
        self.unannotated = [names[key] for key in images if key not in self.truth.files]
        for listing, _, found in shards:
            _check_categories(self.categories, found.get("categories"), truth, listing)

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def surplus(self) -> list[ImageId]:
        """Image ids that are predicted but not in the truth: it may be a part, or the ids are of another kind."""
        return [key for key in self.prediction.files if key not in self.truth.files]

    @property
    def unpredicted(self) -> list[str]:
        """Names of images without a prediction."""
        pairs = zip(self.names, self.image_ids, strict=True)
        return [name for name, key in pairs if key not in self.prediction.files]

    def read(self, index: int) -> tuple[SegmentedImage, SegmentedImage]:
        """Truth and prediction of an image.

        Raises:
            FileNotFoundError: a PNG is missing.
            ValueError: a PNG is damaged, the two differ in size, or a JSON says what it must not.
        """
        key = self.image_ids[index]
        truth = self._segmented(self.truth, key)
        if key not in self.prediction.files:
            none = SegmentTable.of(())
            return truth, SegmentedImage(str(self.prediction.source), None, none, "it has no prediction")
        prediction = self._segmented(self.prediction, key)
        assert truth.ids is not None
        assert prediction.ids is not None
        if truth.ids.shape != prediction.ids.shape:
            raise ValueError(
                f"{prediction.source}: the prediction is {size_of(prediction.ids)} but the truth {truth.source} is "
                f"{size_of(truth.ids)} (width x height); resize the prediction without interpolation, or predict again"
            )
        return truth, prediction

    def _segmented(self, side: Listing | JoinedListing, key: ImageId) -> SegmentedImage:
        segments, refusal = side.table(key)
        path = side.png(key)
        return SegmentedImage(path, decode_png(path), segments, refusal if side is self.truth else None)

    def read_named(self, name: str) -> tuple[SegmentedImage, SegmentedImage]:
        """`read` of the image of this name; a missing prediction is void."""
        truth, prediction = self.read(self.names.index(name))
        assert truth.ids is not None
        return truth, replace(prediction, ids=np.zeros_like(truth.ids)) if prediction.ids is None else prediction


def _listed(source: Path, folder: Path | None, categories: Categories | None = None) -> tuple[Listing, Categories, Row]:
    """A JSON's annotations, its categories unless they are given, and what else is in it."""
    content, annotations = read_outline(source)
    if categories is None:
        categories = Categories.from_coco(rows_of(content, "categories", source), str(source))
    return Listing.of(source, folder, annotations, categories.index_of_id), categories, content


def _file_name(image: Row | None, png: str | None, key: ImageId) -> str:
    names = [None if image is None else image.get("file_name"), png]
    return next((name for name in names if isinstance(name, str) and name), f"image {key!r}")


def _check_categories(ours: Categories, theirs: Any, truth: Path, prediction: Listing) -> None:
    """Refuse a class id that has another name; what else a prediction declares or leaves out does not matter here.

    Where segments have ids that the truth does not know, it may be that a tool has counted the classes anew.
    """
    names = {category.id: category.name for category in ours}
    ids = {category.name: category.id for category in ours}
    for row in theirs if isinstance(theirs, list) else []:
        key, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
        if type(key) is not int or name is None:
            continue
        if names.get(key, name) != str(name):
            raise ValueError(
                f"{prediction.source}: category id {key} is {str(name)!r} there but {names[key]!r} in {truth}; "
                f"{_USE_IDS}"
            )
        own = ids.get(str(name), key)
        if prediction.faults and own != key:
            raise ValueError(
                f"{prediction.source}: {str(name)!r} has category id {key} there but {own} in {truth}; a tool "
                f"may have counted the classes of one of them anew; {_USE_IDS}"
            )
