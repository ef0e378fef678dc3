"""What a dataset's classes are: things first, then stuff. No other file knows how many there are."""

import colorsys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Category:
    """One class of a dataset.

    Attributes:
        id: the dataset's own id (`category_id` in COCO panoptic JSON), any non-negative integer.
        name: unique within the dataset.
        isthing: True for countable objects, False for stuff.
        color: RGB, 0-255.
    """

    id: int
    name: str
    isthing: bool
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Categories:
    """The ordered classes of one dataset. Class index `l` runs over things 0..T-1, then stuff T..T+S-1.

    Raises:
        ValueError: an id or a name stands twice, or things do not come first.
    """

    all: tuple[Category, ...]

    def __post_init__(self) -> None:
        for field in ("id", "name"):
            values = [getattr(category, field) for category in self.all]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"categories: {field} {sorted(twice)[0]!r} stands more than once; make it unique")
        if not self.all:
            raise ValueError("categories: the list is empty; at least one class is needed")
        if sorted(self.all, key=lambda category: not category.isthing) != list(self.all):
            raise ValueError("categories: things must come before stuff; build them with Categories.of(...)")

    @classmethod
    def of(cls, categories: Iterable[Category]) -> "Categories":
        """Sort any list of categories into things, then stuff; the order within each group is kept."""
        return cls(tuple(sorted(categories, key=lambda category: not category.isthing)))

    @classmethod
    def from_coco(cls, entries: Iterable[Mapping[str, Any]], source: str = "categories") -> "Categories":
        """Read the `categories` list of a COCO panoptic JSON (or of our checkpoints).

        `isthing` is required; a missing `color` is filled with a distinct one.
        Format: https://cocodataset.org/#format-data (section 4, panoptic segmentation).

        Raises:
            ValueError: what is wrong, and in which category of `source`.
        """
        found = [_category(entry, position, source) for position, entry in enumerate(entries)]
        try:
            return cls.of(found)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error

    def to_coco(self) -> list[dict[str, Any]]:
        """The list as COCO panoptic JSON writes it."""
        return [{"id": c.id, "name": c.name, "isthing": int(c.isthing), "color": list(c.color)} for c in self.all]

    @cached_property
    def things(self) -> tuple[Category, ...]:
        """The T thing classes."""
        return tuple(category for category in self.all if category.isthing)

    @cached_property
    def stuff(self) -> tuple[Category, ...]:
        """The S stuff classes."""
        return tuple(category for category in self.all if not category.isthing)

    @cached_property
    def index_of_id(self) -> dict[int, int]:
        """Dataset id -> class index."""
        return {category.id: index for index, category in enumerate(self.all)}

    @cached_property
    def index_of_name(self) -> dict[str, int]:
        """Name -> class index."""
        return {category.name: index for index, category in enumerate(self.all)}

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[Category]:
        return iter(self.all)

    def __getitem__(self, index: int) -> Category:
        return self.all[index]


def _category(entry: Mapping[str, Any], position: int, source: str) -> Category:
    missing = [key for key in ("id", "name", "isthing") if key not in entry]
    if missing:
        raise ValueError(f"{source}: category number {position} has no {missing[0]!r}; add it")
    number, name, isthing = entry["id"], entry["name"], entry["isthing"]
    color = entry.get("color") or distinct_color(position)
    rgb = isinstance(color, Sequence) and len(color) == 3 and all(isinstance(channel, int | float) for channel in color)
    for key, good, wanted in (
        ("id", isinstance(number, int) and number >= 0, "a whole number from 0 on"),
        ("name", isinstance(name, str | int), "a text"),
        ("isthing", isthing in (0, 1), "0 or 1"),
        ("color", rgb and all(0 <= channel <= 255 for channel in color), "three numbers from 0 to 255"),
    ):
        if not good:
            raise ValueError(
                f"{source}: category number {position} ({name!r}): its {key!r} is {entry[key]!r}; write {wanted}"
            )
    red, green, blue = (int(channel) for channel in color)
    return Category(number, str(name), bool(isthing), (red, green, blue))


def distinct_color(position: int) -> tuple[int, int, int]:
    """A colour for the class at `position`: golden-angle hues, alternating brightness."""
    hue = (position * 0.618034) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, 0.9 if position % 2 else 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)
