"""`detectron2`, `mmdet`, `id-png`: COCO panoptic JSON from which something is missing, as other tools write it.

What the tools do, read from their code in 2026:
detectron2 (evaluation/panoptic_evaluation.py): predictions.json is the JSON of the ground truth with `annotations`
replaced; segments have neither area nor bbox nor iscrowd; the PNGs go to a temporary folder unless one is given.
mmdetection (evaluation/metrics/coco_panoptic_metric.py): PREFIX.panoptic.json has `annotations` only, the PNGs are in
PREFIX.panoptic/, ids are class + 1000 * instance (a stuff class 0 cannot be told from void, so a segment 0 is refused),
and segments have `isthing` and no bbox.
"""

from functools import partial
from pathlib import Path

from unipan.datasets.formats.classes import ClassesFile, listed_name, read_classes
from unipan.datasets.formats.coco_panoptic import TOLERATED, map_of_rows
from unipan.datasets.formats.format import Format
from unipan.datasets.formats.label_picture import read_ids
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset, find_image
from unipan.datasets.formats.writing import stem_of
from unipan.panoptic.categories import Category
from unipan.panoptic.coco_json import Row, path_inside, read_json
from unipan.panoptic.coco_parser import parse_panoptic, parse_segments, raise_first
from unipan.panoptic.maps import PanopticMap


def panoptic_json(
    json_file: Path | str,
    classes: Path | None = None,
    images: Path | None = None,
    panoptic: Path | None = None,
    contiguous: bool = False,
) -> ListedDataset:
    """Open a panoptic JSON of which only `annotations` (image_id, file_name, segments_info) is required.

    Args:
        json_file: the JSON.
        classes: a JSON with `categories` and possibly `images`, such as the ground truth; by default json_file itself,
            or classes.json next to it if that has no categories.
        images: folder of the images.
        panoptic: folder of the PNGs, by default the JSON's path without .json. They have three 8-bit channels, or one
            of 8 or 16 bits that is the id itself.
        contiguous: category ids count the classes of `classes` from 0 in its order, as in the models of mmdetection
            and detectron2.

    Raises:
        FileNotFoundError, ValueError: what is missing or broken, with file and id.
    """
    source = Path(json_file)
    content = read_json(source)
    found = read_classes(source if classes is None and "categories" in content else classes, source.parent)
    parsed = parse_panoptic(content, source, required=("annotations",))
    raise_first(parsed.findings, TOLERATED)
    names = {key: row["file_name"] for key, row in parsed.images.items()}
    entries = []
    for image_id, annotation in parsed.annotations.items():
        path = path_inside(panoptic or source.with_suffix(""), annotation["file_name"], source)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file, but image {image_id!r} of {source} needs it; give --panoptic"
            )
        name = names.get(image_id)
        if name is None:
            name = listed_name(found.images[image_id], found) if image_id in found.images else annotation["file_name"]
        image = find_image(images, stem_of(name), name)
        read = partial(_read_png_map, path, annotation, found, contiguous, source)
        entries.append(Entry(image_id, name, image, read, (path,)))
    return ListedDataset(source, found.categories, entries)


def _read_png_map(path: Path, annotation: Row, classes: ClassesFile, contiguous: bool, source: Path) -> PanopticMap:
    """The map of one PNG. Raises ValueError for segments that are broken or do not match the PNG."""
    where = f"{path} ({source})"
    rows, findings = parse_segments(annotation, None, where)
    raise_first(findings)

    def category_of(row: Row) -> Category:
        return classes.category(row["category_id"], contiguous, f"{where}: segment {row['id']}")

    return map_of_rows(read_ids(path), rows, category_of, where)


FORMAT = Format(
    "detectron2",
    "the tools' panoptic JSON, in which `images`, `categories`, areas or boxes may be missing, and whose PNGs may have "
    "one channel of ids: `predictions.json` with `--panoptic DIR`, or `PREFIX.panoptic.json` with `--classes GT.json`",
    read=lambda path, options: panoptic_json(
        path, options.classes, options.images, options.panoptic, options.contiguous
    ),
    aliases=("mmdet", "id-png"),
    uses=frozenset({"classes", "images", "panoptic", "contiguous", "as_things"}),
)
