"""What a format of panoptic datasets is: a name, a reader, a writer, and the line that describes it.

To add one, write a module with a `FORMAT` like those in this folder and list it in `registry.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from unipan.datasets.panoptic_data import PanopticData
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap

Overlap = Literal["refuse", "small", "score", "last"]
"""Which of two overlapping instances is in front: none (an error), the smaller, the one with the higher score, or the
later one in the file."""

Boxes = Literal["leave-out", "paint"]
"""What an object becomes of which only a box is known: nothing (it is counted), or all pixels of the box."""

Crowds = Literal["keep", "things"]
"""What `iscrowd`, or instance 0 of a thing class, means: a crowd, or an object like any other."""

BelowDivisor = Literal["refuse", "class", "void"]
"""What a value below the divisor of a 16-bit PNG is where there is no class 0: an error if there is a class of that
number, the class of that number, or void."""

Strays = Literal["refuse", "leave-out"]
"""What becomes of an instance that lies on no thing class: an error, or nothing (it is counted)."""

Words = tuple[str, ...]
"""Of a command, before the shell's quotes."""

BACKGROUND: Words = ("--background", "background")
PAINT: Words = ("--boxes", "paint", "--overlap", "small")
"""What a suggestion says where all objects are boxes; these overlap nearly always."""


@dataclass(frozen=True)
class FormatOptions:
    """What a format may need besides a path.

    Attributes:
        images: folder of the images.
        panoptic: folder of the PNGs that a JSON names.
        classes: a JSON with `categories`, for formats that do not store their classes.
        stuff: for COCO instances, a JSON or a folder.
        overlap: for COCO instances.
        contiguous: category ids count the classes from 0.
        divisor: for 16-bit PNGs.
        split: for Cityscapes.
        train_ids: for Cityscapes, train ids in place of label ids.
        background: the name of the stuff class that all void pixels get.
        as_stuff: names of classes that are stuff, for formats that do not say which are.
        as_things: names of classes that are things, whatever a file says of them.
        boxes: for formats with boxes.
        class_maps: folder of pictures of class ids, which with boxes make objects.
        crowds: for COCO instances, and for pictures of classes and instances.
        void_classes: class numbers of label pictures that are void.
        below_divisor: for 16-bit PNGs.
        strays: for semantic masks.
        thing: the name of the one thing class of label images.
    """

    images: Path | None = None
    panoptic: Path | None = None
    classes: Path | None = None
    stuff: Path | None = None
    overlap: Overlap = "refuse"
    contiguous: bool = False
    divisor: int | None = None
    split: str | None = None
    train_ids: bool = False
    background: str | None = None
    as_stuff: tuple[str, ...] = ()
    boxes: Boxes = "leave-out"
    class_maps: Path | None = None
    crowds: Crowds = "keep"
    void_classes: tuple[int, ...] = ()
    strays: Strays = "refuse"
    thing: str | None = None
    as_things: tuple[str, ...] = ()
    below_divisor: BelowDivisor = "refuse"

    def also_stuff(self, name: str) -> "FormatOptions":
        """The same with one more class of stuff."""
        return replace(self, as_stuff=(*self.as_stuff, name))

    def given(self) -> set[str]:
        """The names of the options that are not at their default."""
        return {each.name for each in fields(self) if getattr(self, each.name) != each.default}


DEFAULT_OPTIONS = FormatOptions()
"""Nothing was asked for."""


@runtime_checkable
class PanopticDataset(PanopticData, Protocol):
    """A dataset whose panoptic maps can be read without its images: `data[i]` is a `Sample`, `data.truth(i)` a map.

    Attributes:
        image_ids, file_names: of all images, in order.
    """

    image_ids: list[int | str]
    file_names: list[str]

    def image_path(self, index: int) -> Path:
        """Where an image is. Raises ValueError if the dataset has no images."""
        ...

    def truth(self, index: int) -> PanopticMap:
        """The panoptic map of an image."""
        ...


@runtime_checkable
class DatasetWriter(Protocol):
    """Writes a dataset, one panoptic map at a time."""

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        """Write one map. Raises ValueError if the format cannot store it, or for a name or id used before."""
        ...

    def close(self) -> Path:
        """Write what comes last, and return its path."""
        ...


@dataclass(frozen=True)
class Format:
    """One format, for `FORMAT:PATH` on the command line and `open_dataset`.

    Attributes:
        name: what is written before the colon.
        help: one line of Markdown, for docs/data.md.
        read: opens a path; None if the format cannot be read.
        write: starts a dataset in a folder; None if the format cannot be written.
        recognises: whether a path without `FORMAT:` is of this format.
        stores_images: whether `unipan data convert` writes the images too.
        aliases: other names of the format.
        uses: the fields of `FormatOptions` that reading looks at; all others are refused. `background` works with every
            format: where it is not in here, void pixels are filled after reading.
        writes_with: the fields that writing looks at.
        suggest: for a path of this format, FROM and the options that make it trainable, as words that follow `unipan
            data convert`; None for any other path. It is asked without a format's name, so it is quick.
    """

    name: str
    help: str
    read: Callable[[Path, FormatOptions], PanopticDataset] | None = None
    write: Callable[[Path, Categories, FormatOptions], DatasetWriter] | None = None
    recognises: Callable[[Path], bool] | None = None
    stores_images: bool = False
    aliases: tuple[str, ...] = ()
    uses: frozenset[str] = frozenset()
    writes_with: frozenset[str] = frozenset()
    suggest: Callable[[Path], Words | None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)
