"""What a set of panoptic maps holds, in one line, and what about it should not pass unnoticed."""

from collections import Counter

from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID_ID, PanopticMap

MUCH_VOID = 0.5
"""Share of void pixels from which an image is remarked on."""

CROWDS_READ_BY = "coco-instances, png16, two-channel"
"""The formats in which `iscrowd` or instance 0 may mean an object."""

_NAMED = 3  # images or classes that a warning names


class Tally:
    """Counts of segments and pixels.

    Attributes:
        images, pixels, void, crowd_pixels: their numbers.
        things, stuff, crowds: class name -> number of segments.
    """

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self.images = self.pixels = self.void = self.crowd_pixels = 0
        self.things, self.stuff, self.crowds = Counter[str](), Counter[str](), Counter[str]()
        self._mostly_void: list[str] = []
        self._empty: list[str] = []
        self._groups = self._crowded = 0  # a class of things in an image; those with a crowd

    def add(self, name: str, panoptic: PanopticMap) -> None:
        """Count one image."""
        void = int((panoptic.ids == VOID_ID).sum())
        self.images, self.pixels, self.void = self.images + 1, self.pixels + panoptic.ids.size, self.void + void
        for segment in panoptic:
            kind = self.crowds if segment.iscrowd else self.things if segment.isthing else self.stuff
            kind[segment.category.name] += 1
        self.crowd_pixels += sum(segment.area for segment in panoptic if segment.iscrowd)
        self._groups += len({segment.category.id for segment in panoptic if segment.isthing})
        self._crowded += len({segment.category.id for segment in panoptic if segment.iscrowd})
        if not len(panoptic):
            self._empty.append(name)
        elif void > MUCH_VOID * panoptic.ids.size:
            self._mostly_void.append(name)

    def summary(self) -> str:
        """Things, stuff, crowds and the share of void."""
        parts = [f"{noun} {_spell_counts(counts)}" for noun, counts in self._kinds()]
        return f"made: {'; '.join(parts)}; void {100 * self.void / max(self.pixels, 1):.1f} % of all pixels"

    def warnings(self) -> list[str]:
        """One sentence for each thing that a user would not want to find out later."""
        found = []
        alone = [name for name in self.crowds if name not in self.things]
        if alone:
            found.append(
                f"every segment of {_few_names(alone)} is a crowd, which no network learns and PQ does not count; if "
                f"they are objects, --crowds things reads them so ({CROWDS_READ_BY})"
            )
        if self.things and self._crowded == self._groups:
            share = 100 * self.crowd_pixels / self.pixels
            found.append(
                f"in every image each class of things has a crowd, {self.crowd_pixels} pixels in all ({share:.1f} %); "
                "if instances count from 0 in these files, as in Mapillary Vistas, --crowds things reads 0 as an object"
            )
        if not self.things:
            found.append("no thing is left in any image; training needs some")
        if not self.categories.stuff:
            found.append("there is no stuff class; training needs one: --background NAME makes it of all void pixels")
        elif not self.stuff:
            found.append("no pixel is stuff; --background NAME makes a stuff class of all void pixels")
        if self._empty:
            found.append(f"{len(self._empty)} of {self.images} images have no segment: {_few_names(self._empty)}")
        if self._mostly_void:
            found.append(
                f"{len(self._mostly_void)} of {self.images} images are mostly void: {_few_names(self._mostly_void)}"
            )
        used = {*self.things, *self.stuff, *self.crowds}
        unused = [category.name for category in self.categories if category.name not in used]
        if unused and used:
            found.append(f"{len(unused)} of {len(self.categories)} classes have no segment: {_few_names(unused)}")
        return [f"warning: {text}" for text in found]

    def _kinds(self) -> tuple[tuple[str, Counter[str]], ...]:
        return ("things", self.things), ("stuff", self.stuff), ("crowds", self.crowds)


def _spell_counts(counts: Counter[str]) -> str:
    """`24 (12 pike, 12 carp)`."""
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common(_NAMED))
    more = ", ..." * (len(counts) > _NAMED)
    return f"{counts.total()} ({listed}{more})" if counts else "0"


def _few_names(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
