"""The classes of formats that do not store them: from classes.json next to the pictures, or from a given JSON."""

from dataclasses import dataclass
from pathlib import Path

from unipan.datasets.formats.format import DEFAULT_OPTIONS, FormatOptions
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.coco_json import ImageId, Row, load_json, path_inside

CLASSES_FILE = "classes.json"
VOID_8_BIT = 255


@dataclass(frozen=True)
class ClassesFile:
    """The content of a classes file.

    Attributes:
        source: the file.
        categories: things first.
        listed: the same classes in the order of the file, as contiguous ids count them.
        images: its `images` by id; empty if it lists none.
        divisor: of 16-bit PNGs, if it gives one.
        background: the stuff class of pixels that nothing covers; None if they are void.
    """

    source: Path
    categories: Categories
    listed: tuple[Category, ...]
    images: dict[ImageId, Row]
    divisor: int | None = None
    background: Category | None = None

    @property
    def of_maps(self) -> Categories:
        """The classes that maps have: those of the file, and the background."""
        if self.background is None or self.background.name in self.categories.index_of_name:
            return self.categories
        return Categories.of([*self.categories, self.background])

    def uncovered(self, number: int) -> tuple[Category, bool] | None:
        """What an undeclared number means that stands for no class: the background, or None for void.

        Nothing covers pixels of number 0 and, where 0 is a class, of the others that mean void, which are pixels to
        ignore where it is none.
        """
        nothing = number == 0 or 0 in self.categories.index_of_id
        return (self.background, False) if self.background is not None and nothing else None

    def category(self, number: object, contiguous: bool, where: str) -> Category:
        """The class with a category id, or at a position in the file if ids are contiguous.

        Raises:
            ValueError: there is none; `where` is the start of the message.
        """
        if contiguous:
            if isinstance(number, int) and 0 <= number < len(self.listed):
                return self.listed[number]
            raise ValueError(f"{where}: class number {number!r} is not one of the {len(self.listed)} in {self.source}")
        index = self.categories.index_of_id.get(number) if isinstance(number, int) else None
        if index is None:
            raise ValueError(
                f"{where}: category id {number!r} is not in {self.source}; if ids count the classes of that file from "
                "0, add --contiguous"
            )
        return self.categories[index]


def class_or_void(
    classes: ClassesFile, number: int, instance: int, path: Path, options: FormatOptions = DEFAULT_OPTIONS
) -> tuple[Category, bool] | None:
    """The class of a pixel and whether it is a crowd, which instance 0 of a thing class is; None for void.

    Classes 0 and 255 are void (or `ClassesFile.uncovered`) unless they are declared, and those of
    `options.void_classes` are void always. With
    `options.crowds` "things", instance 0 is an object like any other.

    Raises:
        ValueError: any other class that is not declared.
    """
    if number in options.void_classes:
        return None
    index = classes.categories.index_of_id.get(number)
    if index is None:
        if number in (0, VOID_8_BIT):
            return classes.uncovered(number)
        raise ValueError(
            f"{path}: class {number} is not in {classes.source}; declare it there, or say that it is void "
            f"(--void-classes {number})"
        )
    category = classes.categories[index]
    return category, category.isthing and instance == 0 and options.crowds == "keep"


def read_classes(given: Path | None, folder: Path) -> ClassesFile:
    """Read `given` or `folder/classes.json`: a list of COCO categories, or any JSON with `categories`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or a category lacks `isthing`.
    """
    path = given or folder / CLASSES_FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file, but this format does not store its classes; write it, or give --classes FILE: a "
            "JSON with COCO `categories` (id, name, isthing)"
        )
    content = load_json(path)
    rows = content.get("categories") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path}: neither a list of categories nor an object with `categories`; give another --classes"
        )
    categories = Categories.from_coco(rows, str(path))
    listed = tuple(categories[categories.index_of_id[row["id"]]] for row in rows)
    more = content if isinstance(content, dict) else {}
    divisor = more.get("divisor")
    if divisor is not None and not (isinstance(divisor, int) and divisor > 0):
        raise ValueError(f"{path}: its `divisor` is {divisor!r}; write a whole number above 0")
    return ClassesFile(path, categories, listed, _images(more.get("images", [])), divisor)


def _images(rows: object) -> dict[ImageId, Row]:
    usable = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {row["id"]: row for row in usable if isinstance(row.get("id"), int | str)}


def listed_name(row: Row, classes: ClassesFile) -> str:
    """The file name of an image that a classes file lists. Raises ValueError if it has none or leads outside."""
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{classes.source}: image {row.get('id')!r} has no `file_name`; add it, or leave out `images`")
    path_inside(classes.source.parent, name, classes.source)
    return name
