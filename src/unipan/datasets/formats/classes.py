"""Where formats that hold no classes get them: a JSON beside the pictures, or one given by hand."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipan.panoptic.categories import Categories, Category

CLASSES_FILE = "classes.json"


@dataclass(frozen=True)
class ClassesFile:
    """What a classes file says.

    Attributes:
        source: the file.
        categories: things first.
        listed: the same in the order of the file, which is what contiguous ids count.
        images: its `images` by id, empty if it lists none.
        divisor: of 16-bit PNGs, if it names one.
    """

    source: Path
    categories: Categories
    listed: tuple[Category, ...]
    images: dict[int | str, dict[str, Any]]
    divisor: int | None = None

    def category(self, number: object, contiguous: bool, where: str) -> Category:
        """The class of a category id, or of a position in the file if ids are contiguous.

        Raises:
            ValueError: there is none; `where` says what asked for it.
        """
        if contiguous:
            if isinstance(number, int) and 0 <= number < len(self.listed):
                return self.listed[number]
            raise ValueError(f"{where}: class number {number!r} is none of the {len(self.listed)} in {self.source}")
        index = self.categories.index_of_id.get(number) if isinstance(number, int) else None
        if index is None:
            raise ValueError(
                f"{where}: category id {number!r} is not in {self.source}; if ids count the classes of that file from "
                "0, say --contiguous"
            )
        return self.categories[index]


def read_classes(given: Path | None, folder: Path) -> ClassesFile:
    """Read `given` or `folder/classes.json`: a list of COCO categories, or any JSON with `categories` in it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is broken, or a category lacks `isthing`.
    """
    path = given or folder / CLASSES_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file, but this format does not hold its classes; give --classes FILE, a JSON with COCO "
            "`categories` (id, name, isthing)"
        )
    content = load_json(path)
    rows = content.get("categories") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: no list of categories and no object with `categories`; give another --classes")
    categories = Categories.from_coco(rows, str(path))
    listed = tuple(categories[categories.index_of_id[row["id"]]] for row in rows)
    more = content if isinstance(content, dict) else {}
    divisor = more.get("divisor")
    if divisor is not None and not (isinstance(divisor, int) and divisor > 0):
        raise ValueError(f"{path}: its `divisor` is {divisor!r}; write a whole number above 0")
    return ClassesFile(path, categories, listed, _images(more.get("images", [])), divisor)


def load_json(path: Path) -> Any:
    """The content of a JSON file, or one sentence that names it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); it may be cut short, copy it again") from error


def _images(rows: object) -> dict[int | str, dict[str, Any]]:
    usable = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {row["id"]: row for row in usable if isinstance(row.get("id"), int | str)}
