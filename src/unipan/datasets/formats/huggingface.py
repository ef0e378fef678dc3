"""`huggingface`: what transformers' `post_process_panoptic_segmentation` returns, saved image by image."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.classes import CLASSES_FILE, ClassesFile, read_classes
from unipan.datasets.formats.format import Format, Words
from unipan.datasets.formats.label_picture import read_ids
from unipan.datasets.formats.listed_dataset import ListedDataset, list_files
from unipan.files import files_below
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import Row, float_or_nan, load_json, whole
from unipan.panoptic.coco_parser import says_crowd
from unipan.panoptic.images import is_tensor
from unipan.panoptic.maps import PanopticMap, panoptic_map


def huggingface(
    folder: Path | str, classes: Path | None = None, images: Path | None = None, contiguous: bool = False
) -> ListedDataset:
    """Open a folder with one NAME.json per image.

    It holds `segments_info`, and `segmentation` unless that is in NAME.npy or NAME.png; see `huggingface_map`.

    Args:
        folder: of the files.
        classes: a JSON with COCO `categories`; by default `folder/classes.json`.
        images: folder of the images.
        contiguous: `label_id` counts the classes of `classes` from 0 in its order (MaskFormer, Mask2Former, OneFormer,
            EoMT on COCO), instead of being a category id (DETR on COCO).

    Raises:
        FileNotFoundError, ValueError: what is missing or broken, with file and id.
    """
    root = Path(folder)
    found = read_classes(classes, root)
    files = [path for path in files_below(root, (".json",)) if path not in (found.source, root / CLASSES_FILE)]
    read = partial(_read_huggingface_map, classes=found, contiguous=contiguous)
    return list_files(root, root, files, found, images, read, more=_segmentations_of)


def huggingface_map(
    segmentation: Any,
    segments_info: list[Row],
    classes: ClassesFile,
    contiguous: bool = False,
    source: str = "segmentation",
) -> PanopticMap:
    """A map from what `post_process_panoptic_segmentation` returns for one image.

    Args:
        segmentation: (H, W) tensor, array or nested list of segment ids. -1 is void, and so is 0 unless a segment has
            id 0: MaskFormer and its successors count from 1 over a background of 0, EoMT counts from 0 over -1. If
            there is a segment 0, all ids are increased by one.
        segments_info: `id`, `label_id` (or `category_id`), and optionally `score`. Stuff that was fused is listed once
            for each query, with one id and one label: it is one segment, with the best of its scores.
        classes: see `read_classes`.
        contiguous: see `huggingface`.
        source: what error messages call the map.

    Raises:
        ValueError: an id without a segment or with two classes, an unknown class, or no map at all.
    """
    ids = _array(segmentation, source)
    if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "uif" or (ids != ids.astype(np.int64)).any():
        raise ValueError(
            f"{source}: `segmentation` must be H x W whole numbers, found {ids.dtype} of shape {ids.shape}"
        )
    ids = ids.astype(np.int64)
    rows = [row for row in segments_info if isinstance(row, dict) and whole(row.get("id")) is not None]
    if len(rows) != len(segments_info):
        raise ValueError(f"{source}: every segment of `segments_info` needs an `id`, a whole number")
    shift = int(any(whole(row["id"]) == 0 for row in rows))
    segments: dict[int, Category] = {}
    scores: dict[int, float] = {}
    crowds = set()
    for row in rows:
        key, where = int(whole(row["id"]) or 0) + shift, f"{source}: segment {row['id']}"
        label = row.get("label_id", row.get("category_id"))
        number = whole(label)
        category = classes.category(label if number is None else number, contiguous, where)
        if segments.setdefault(key, category) != category:
            raise ValueError(f"{where}: it is listed as {segments[key].name!r} and as {category.name!r}; list it once")
        if row.get("score") is not None:
            score = float_or_nan(row["score"])
            if np.isnan(score):
                raise ValueError(f"{where}: its `score` is {row['score']!r}; write a number or leave it out")
            scores[key] = max(score, scores.get(key, score))
        if says_crowd(row.get("iscrowd")):
            crowds.add(key)
    ids = np.where(ids < 0, 0, ids + shift)
    # Some post-processors still list a segment whose pixels were all taken by a later one.
    present = set(np.unique(ids).tolist())
    segments = {key: category for key, category in segments.items() if key in present}
    return panoptic_map(ids, segments, scores, crowds, source)


def _array(segmentation: Any, source: str) -> np.ndarray:
    if is_tensor(segmentation):
        return np.asarray(segmentation.detach().cpu())
    try:
        return np.asarray(segmentation)
    except ValueError as error:
        raise ValueError(f"{source}: the rows of `segmentation` differ in length ({error})") from error


def _segmentations_of(path: Path) -> tuple[Path, ...]:
    return path.with_suffix(".npy"), path.with_suffix(".png")


def _read_huggingface_map(path: Path, classes: ClassesFile, contiguous: bool) -> PanopticMap:
    content = load_json(path)
    rows = content.get("segments_info") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise ValueError(
            f"{path}: `segments_info` must be a list; is this what post_process_panoptic_segmentation gave?"
        )
    segmentation = content.get("segmentation")
    if not isinstance(segmentation, list):
        arrays = [each for each in _segmentations_of(path) if each.is_file()]
        if not arrays:
            raise FileNotFoundError(
                f"{path}: it has no `segmentation`, and there is no .npy or .png of this name next to it"
            )
        segmentation = read_ids(arrays[0])
    return huggingface_map(segmentation, rows, classes, contiguous, str(path))


def _suggest_huggingface(path: Path) -> Words | None:
    """FROM for `unipan data convert`, if this is a folder with classes whose first other JSON has segments."""
    if not (path / CLASSES_FILE).is_file() or (path / "panoptic.json").exists():
        return None
    first = min((each for each in path.glob("*.json") if each.name != CLASSES_FILE), default=None)
    try:
        content = None if first is None else load_json(first)
    except (ValueError, OSError):
        return None
    known = isinstance(content, dict) and isinstance(content.get("segments_info"), list)
    return (f"huggingface:{path}",) if known else None


FORMAT = Format(
    "huggingface",
    "per image a `NAME.json` of `segments_info` and `segmentation` (inline, or `NAME.npy`, or `NAME.png`)",
    read=lambda path, options: huggingface(path, options.classes, options.images, options.contiguous),
    uses=frozenset({"classes", "images", "contiguous", "as_things"}),
    suggest=_suggest_huggingface,
)
