"""Truth and predictions as two JSONs with folders of PNGs (COCO panoptic format), opened image by image for PQ.

Unlike `CocoPanoptic`, which refuses a dataset with a fault, this reads what is there and names what is wrong: an
evaluator must say all of it, and may be told to be lenient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unipan.arrays import UInt8
from unipan.evaluation.collector import collector_paused
from unipan.evaluation.matching import Table
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import inside, number, read_json, rows_of, unique_rows
from unipan.panoptic.inflated import Inflated
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map
from unipan.panoptic.png import decode_png, read_channels
from unipan.panoptic.runs import MAX_ID


@dataclass(frozen=True)
class Labelled:
    """One picture and its segments.

    Attributes:
        source: the PNG, for messages.
        pixels: what `count_known` reads; None for a missing prediction.
        table: its segments, with class indices.
        refusal: why the official tool cannot read them.
    """

    source: str
    pixels: UInt8[np.ndarray, "H W 3"] | Inflated | None
    table: Table
    refusal: str | None = None


Tables = Mapping[int | str, Table]
"""By image id."""


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
        return inside(self.folder, name, self.source)

    def table(self, image_id: int | str, index: Mapping[int, int]) -> tuple[Table, str | None]:
        """The segments of an image, and why the official tool cannot read them.

        Args:
            image_id: of an annotation.
            index: class index by category id.

        Raises:
            ValueError: an id that is none, or stands twice; an unknown category.
        """
        where = f"image {image_id!r}: "
        rows = rows_of(self.annotations[image_id], "segments_info", self.source, where)
        ids: list[Any] = [row.get("id") for row in rows]
        if ids and not (set(map(type, ids)) == {int} and min(ids) > 0 and max(ids) <= MAX_ID):
            key = next(key for key in ids if type(key) is not int or not 0 < key <= MAX_ID)
            raise ValueError(f"{self.source}: {where}segment id {key!r} is no whole number in 1..{MAX_ID}")
        if len(set(ids)) < len(ids):
            twice = next(key for key in ids if ids.count(key) > 1)
            raise ValueError(f"{self.source}: {where}segment id {twice} stands twice; ids are unique in an image")
        classes = [_index(row.get("category_id"), index) for row in rows]
        if -1 in classes:
            row = rows[classes.index(-1)]
            raise ValueError(
                f"{self.source}: {where}segment {row['id']} has category id {row.get('category_id')!r}, which is not "
                f"one of the {len(index)} classes of the truth; predict its classes, by its ids"
            )
        said = [row.get("iscrowd") for row in rows]
        bare = next((row["id"] for row in rows if "iscrowd" not in row), None) if None in said else None
        refusal = None if bare is None else f"segment {bare} has no `iscrowd`"
        declared = [number(row.get("area")) for row in rows]
        return _table(ids, classes, declared, said), refusal

    def plain_tables(self, image_ids: Sequence[int | str], index: Mapping[int, int]) -> dict[int | str, Table]:
        """The tables of several images at once, in half the time; none of them if there is anything odd about one.

        What is odd is for `table` to say. Arguments as there; images without an annotation are left out.
        """
        keys = [key for key in image_ids if key in self.annotations]
        listed: list[Any] = [self.annotations[key].get("segments_info") for key in keys]
        if not {*map(type, listed)} <= {list}:
            return {}
        try:
            rows = [*map(_ROW, chain.from_iterable(listed))]
            ids, categories, declared, said = zip(*rows, strict=True) if rows else ((),) * 4
            whole = {*map(type, chain(ids, categories))} <= {int}
            if not whole or not {*map(type, declared)} <= {int, float} or not {*map(type, said)} <= {int, bool}:
                return {}
            joined = _table(ids, [*map(index.get, categories)], declared, said)
        except (KeyError, TypeError, OverflowError):  # no object, a field missing, an unknown category, a vast number
            return {}
        ends = [0, *accumulate(map(len, listed))]
        keyed = np.sort(joined.ids + np.repeat(np.arange(len(keys)) * (MAX_ID + 1), np.diff(ends)))
        if rows and (joined.ids.min() < 1 or joined.ids.max() > MAX_ID or (keyed[1:] == keyed[:-1]).any()):
            return {}
        parts = [slice(start, end) for start, end in pairwise(ends)]
        return {key: joined[part] for key, part in zip(keys, parts, strict=True)}


_ROW = itemgetter("id", "category_id", "area", "iscrowd")


def _table(ids: Sequence[Any], classes: Sequence[Any], declared: Sequence[Any], said: Sequence[Any]) -> Table:
    return Table(
        np.array(ids, np.int64),
        np.array(classes, np.int64),
        np.array([*map(bool, said)], bool),
        np.array(declared, float),
    )


def _index(category: Any, index: Mapping[int, int]) -> int:
    return index.get(category, -1) if type(category) is int else -1


class PanopticFolders:
    """`len(folders)` images of the truth with their predictions; `read(i)` for PQ, `maps(i)` for everything else.

    Attributes:
        categories: the truth's.
        image_ids: of the truth's annotations, in their order.
        names: of the images, for people: file names, with folders where two share one.
        truth, prediction: the two sides.
        unannotated: names of images that the truth lists without an annotation; nobody can score them.
    """

    @collector_paused()
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

    def plain_tables(self, indices: Sequence[int]) -> tuple[Tables, Tables]:
        """What `read` may be given for these images: tables of truth and predictions, where nothing is odd."""
        keys = [self.image_ids[index] for index in indices]
        known = self.categories.index_of_id
        return self.truth.plain_tables(keys, known), self.prediction.plain_tables(keys, known)

    def read(self, index: int, tables: tuple[Tables, Tables] = ({}, {})) -> tuple[Labelled, Labelled]:
        """Truth and prediction of an image.

        Args:
            index: of the image.
            tables: those that are known already (`plain_tables`).

        Raises:
            FileNotFoundError: a PNG is missing.
            ValueError: a PNG is damaged, the two differ in size, or a JSON says what it must not.
        """
        key = self.image_ids[index]
        truth = self._labelled(self.truth, key, tables[0])
        if key not in self.prediction.annotations:
            none = Table.of(())
            return truth, Labelled(str(self.prediction.source), None, none, "it has no prediction")
        prediction = self._labelled(self.prediction, key, tables[1])
        if truth.pixels is None or prediction.pixels is None or truth.pixels.shape != prediction.pixels.shape:
            raise ValueError(
                f"{prediction.source}: the prediction is {_size(prediction.pixels)} but the truth {truth.source} is "
                f"{_size(truth.pixels)} (width x height); resize the prediction without interpolation, or predict again"
            )
        return truth, prediction

    def _labelled(self, side: Listing, key: int | str, tables: Tables) -> Labelled:
        table, refusal = tables.get(key), None
        if table is None:
            table, refusal = side.table(key, self.categories.index_of_id)
        path = side.png(key)
        said = None if refusal is None or side is self.prediction else refusal
        return Labelled(str(path), read_channels(path), table, said)

    def maps(self, index: int) -> tuple[PanopticMap, PanopticMap]:
        """Truth and prediction as maps, read leniently: what is undeclared is void, what is absent is left out."""
        key = self.image_ids[index]
        truth = self._map(self.truth, key)
        if key not in self.prediction.annotations:
            return truth, PanopticMap(np.full_like(truth.ids, VOID_ID), ())
        return truth, self._map(self.prediction, key)

    def _map(self, side: Listing, key: int | str) -> PanopticMap:
        table, _ = side.table(key, self.categories.index_of_id)
        ids = decode_png(side.png(key))
        present = np.unique(ids)
        stray = np.setdiff1d(present, [*table.ids.tolist(), VOID_ID])
        if len(stray):
            ids[np.isin(ids, stray)] = VOID_ID
        kept = np.flatnonzero(np.isin(table.ids, present)).tolist()
        keys = {row: int(table.ids[row]) for row in kept}
        return panoptic_map(
            ids,
            {keys[row]: self.categories[int(table.classes[row])] for row in kept},
            crowds={keys[row] for row in kept if table.crowd[row]},
            source=str(side.png(key)),
            declared_areas={keys[row]: float(table.declared[row]) for row in kept},
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


def _size(pixels: np.ndarray | Inflated | None) -> str:
    return "missing" if pixels is None else f"{pixels.shape[1]} x {pixels.shape[0]}"
