"""The classes of a dataset, things first, then stuff. Class counts come from here alone."""

import colorsys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unipan.panoptic.coco_parser import parse_categories, raise_first


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
        ValueError: the list is empty, an id or a name appears twice, or things do not come first.
    """

    all: tuple[Category, ...]

    def __post_init__(self) -> None:
        for field in ("id", "name"):
            values = [getattr(category, field) for category in self.all]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"categories: {field} {sorted(twice)[0]!r} appears more than once; make it unique")
        if not self.all:
            raise ValueError("categories: the list is empty; at least one class is needed")
        if sorted(self.all, key=lambda category: not category.isthing) != list(self.all):
            raise ValueError("categories: things must come before stuff; build them with Categories.of(...)")

    @classmethod
    def of(cls, categories: Iterable[Category]) -> "Categories":
        """Sort categories into things, then stuff; the order within each group is kept."""
        return cls(tuple(sorted(categories, key=lambda category: not category.isthing)))

    @classmethod
    def from_coco(cls, entries: Iterable[Mapping[str, Any]], source: str = "categories") -> "Categories":
        """The `categories` list of a COCO panoptic JSON or of a checkpoint.

        `isthing` is required; where `color` is missing, a distinct one is chosen.
        Format: https://cocodataset.org/#format-data, section 4.

        Raises:
            ValueError: the first fault, with its place in `source`.
        """
        rows, findings = parse_categories(list(entries), source)
        raise_first(findings)
        return cls.of(_category(row, position) for position, row in enumerate(rows))

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


def _category(row: Mapping[str, Any], position: int) -> Category:
    red, green, blue = (int(channel) for channel in row.get("color") or distinct_color(position))
    return Category(row["id"], str(row["name"]), bool(row["isthing"]), (red, green, blue))


def distinct_color(position: int) -> tuple[int, int, int]:
    """A colour for the class at `position`: golden-angle hues, alternating brightness."""
    hue = (position * 0.618034) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, 0.9 if position % 2 else 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)
