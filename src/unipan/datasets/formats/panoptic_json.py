"""Panoptic JSON as other tools write it: detectron2, mmdetection, and COCO JSON with one-channel PNGs.

All three are COCO panoptic JSON with something missing. What the tools do, read from their code in 2026:
detectron2 (evaluation/panoptic_evaluation.py): predictions.json is the truth's JSON with `annotations` replaced;
segments have neither area nor bbox nor iscrowd; the PNGs go to a temporary folder, so that whoever wants them gives a
folder of their own. mmdetection (evaluation/metrics/coco_panoptic_metric.py): PREFIX.panoptic.json holds `annotations`
alone, PNGs lie in PREFIX.panoptic/, ids are class + 1000 * instance (so a stuff class 0 cannot be told from void: a
segment 0 is refused), segments have `isthing` and no bbox.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unipan.datasets.formats.classes import ClassesFile, load_json, read_classes
from unipan.datasets.formats.listed import Entry, Listed, find_photo
from unipan.datasets.formats.pixels import read_ids
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import inside, rows_of, unique_rows
from unipan.panoptic.images import is_tensor
from unipan.panoptic.maps import PanopticMap, panoptic_map


def panoptic_json(
    json_file: Path | str,
    classes: Path | None = None,
    images: Path | None = None,
    panoptic: Path | None = None,
    contiguous: bool = False,
) -> Listed:
    """Open a panoptic JSON of which only `annotations` (image_id, file_name, segments_info) is required.

    Args:
        json_file: the JSON.
        classes: a JSON with `categories` and, if it has them, `images` (the truth's, for instance); by default
            json_file itself, and where that has none, classes.json beside it.
        images: folder of photographs.
        panoptic: folder of PNGs: three 8-bit channels, or one of 8 or 16 bits that holds the id itself; by default the
            JSON's path without .json.
        contiguous: category ids count the classes of `classes` from 0 in its order, as inside mmdetection and
            detectron2's models.

    Raises:
        FileNotFoundError, ValueError: what is missing or broken, with file and id.
    """
    source = Path(json_file)
    content = load_json(source)
    if not isinstance(content, dict):
        raise ValueError(f"{source}: a panoptic JSON is an object, this one is a {type(content).__name__}")
    own = source if classes is None and "categories" in content else classes
    found = read_classes(own, source.parent)
    annotations = unique_rows(rows_of(content, "annotations", source), "image_id", "annotation of image", source)
    listed = unique_rows(rows_of(content, "images", source), "id", "image", source) if "images" in content else {}
    known = {**found.images, **listed}
    folder = panoptic or source.with_suffix("")
    entries = []
    for image_id, row in annotations.items():
        where = f"image {image_id!r}: "
        png = _name(row, source, where)
        name = _name(known[image_id], source, where) if image_id in known else png
        rows = rows_of(row, "segments_info", source, where)
        path = inside(folder, png, source)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file, but image {image_id!r} of {source} needs it; give --panoptic"
            )
        inside(folder, name, source)
        photo = find_photo(images, str(Path(name).with_suffix("")), name)
        entries.append(Entry(image_id, name, photo, partial(json_map, path, rows, found, contiguous, str(source))))
    return Listed(source, found.categories, entries)


def json_map(
    path: Path, rows: list[dict[str, Any]], classes: ClassesFile, contiguous: bool = False, source: str = ""
) -> PanopticMap:
    """The map of one PNG and its `segments_info`. Raises ValueError for ids that stand on one side only."""
    where = f"{path} ({source})"
    segments: dict[int, Category] = {}
    for row in rows:
        identity = row.get("id")
        if not isinstance(identity, int) or identity in segments:
            raise ValueError(f"{where}: segment id {identity!r} is no number or stands twice in `segments_info`")
        segments[identity] = classes.category(row.get("category_id"), contiguous, f"{where}: segment {identity}")
    scores = {row["id"]: _score(row, where) for row in rows if row.get("score") is not None}
    crowds = {row["id"] for row in rows if row.get("iscrowd")}
    return panoptic_map(read_ids(path), segments, scores, crowds, where)


def huggingface(
    folder: Path | str, classes: Path | None = None, images: Path | None = None, contiguous: bool = False
) -> Listed:
    """One NAME.json per image with `segments_info` and, unless NAME.npy or NAME.png lies beside it, `segmentation`.

    This is what `post_process_panoptic_segmentation` returns, saved; see `huggingface_map` for its ids.

    Args:
        folder: of the files.
        classes: a JSON with COCO `categories`; by default folder/classes.json.
        images: folder of photographs.
        contiguous: `label_id` counts the classes of `classes` from 0 in its order (MaskFormer, Mask2Former, OneFormer,
            EoMT on COCO), instead of being a category id (DETR on COCO).

    Raises:
        FileNotFoundError, ValueError: what is missing or broken, with file and id.
    """
    root = Path(folder)
    found = read_classes(classes, root)
    by_stem = {str(Path(str(row.get("file_name"))).with_suffix("")): key for key, row in found.images.items()}
    entries = []
    for path in sorted(root.rglob("*.json")):
        if path in (found.source, root / "classes.json"):
            continue
        stem = path.relative_to(root).with_suffix("").as_posix()
        image_id = by_stem.get(stem, stem)
        name = str(found.images[image_id]["file_name"]) if stem in by_stem else None
        photo = find_photo(images, stem, name)
        name = name or (f"{stem}{photo.suffix}" if photo else f"{stem}.png")
        entries.append(Entry(image_id, name, photo, partial(_huggingface_file, path, found, contiguous)))
    return Listed(root, found.categories, entries)


def huggingface_map(
    segmentation: Any,
    segments_info: list[dict[str, Any]],
    classes: ClassesFile,
    contiguous: bool = False,
    source: str = "segmentation",
) -> PanopticMap:
    """A map from what transformers' `post_process_panoptic_segmentation` returns for one image.

    Args:
        segmentation: (H, W) tensor, array or nested list of segment ids. -1 is void, and so is 0 unless a segment has
            id 0: MaskFormer and its kin count from 1 over a background of 0, EoMT counts from 0 over -1. With a
            segment 0 all ids move up by one.
        segments_info: `id`, `label_id` (or `category_id`), and optionally `score`.
        classes: see `read_classes`.
        contiguous: see `huggingface`.
        source: what error messages call the map.

    Raises:
        ValueError: an id on one side only, an unknown class, or no map at all.
    """
    ids = _array(segmentation, source)
    if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "uif" or (ids != ids.astype(np.int64)).any():
        raise ValueError(
            f"{source}: `segmentation` must be H x W whole numbers, found {ids.dtype} of shape {ids.shape}"
        )
    ids = ids.astype(np.int64)
    rows = [row for row in segments_info if isinstance(row, dict) and isinstance(row.get("id"), int)]
    if len(rows) != len(segments_info) or len({row["id"] for row in rows}) != len(rows):
        raise ValueError(f"{source}: every segment of `segments_info` needs an integer `id` of its own")
    shift = int(any(row["id"] == 0 for row in rows))
    segments, scores = {}, {}
    for row in rows:
        key, label = row["id"] + shift, row.get("label_id", row.get("category_id"))
        segments[key] = classes.category(label, contiguous, f"{source}: segment {row['id']}")
        if row.get("score") is not None:
            scores[key] = _score(row, source)
    ids = np.where(ids < 0, 0, ids + shift)
    # A segment whose pixels a later one took is still listed by some post-processors.
    present = set(np.unique(ids).tolist())
    segments = {key: category for key, category in segments.items() if key in present}
    crowds = {row["id"] + shift for row in rows if row.get("iscrowd")}
    return panoptic_map(ids, segments, scores, crowds, source)


def _array(segmentation: Any, source: str) -> np.ndarray:
    if is_tensor(segmentation):
        return np.asarray(segmentation.detach().cpu())
    try:
        return np.asarray(segmentation)
    except ValueError as error:
        raise ValueError(f"{source}: the rows of `segmentation` differ in length ({error})") from error


def _huggingface_file(path: Path, classes: ClassesFile, contiguous: bool) -> PanopticMap:
    content = load_json(path)
    rows = content.get("segments_info") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise ValueError(
            f"{path}: `segments_info` must be a list; is this what post_process_panoptic_segmentation gave?"
        )
    segmentation = content.get("segmentation")
    if not isinstance(segmentation, list):
        beside = [path.with_suffix(suffix) for suffix in (".npy", ".png") if path.with_suffix(suffix).is_file()]
        if not beside:
            raise FileNotFoundError(
                f"{path}: it has no `segmentation`, and no .npy or .png of this name lies beside it"
            )
        segmentation = read_ids(beside[0])
    return huggingface_map(segmentation, rows, classes, contiguous, str(path))


def _name(row: dict[str, Any], source: Path, where: str) -> str:
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{source}: {where}an entry without `file_name`; add it")
    return name


def _score(row: dict[str, Any], where: str) -> float:
    score = row["score"]
    if not isinstance(score, int | float):
        raise ValueError(f"{where}: segment {row['id']}: its `score` is {score!r}; write a number or leave it out")
    return float(score)
