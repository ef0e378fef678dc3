"""A dataset as a list: each image's id, name, photograph, and how to read its truth. What most readers return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

from unipan.panoptic.categories import Categories
from unipan.panoptic.images import read_image
from unipan.panoptic.maps import PanopticMap, Sample


@runtime_checkable
class MapData(Protocol):
    """A dataset whose truth can be read without its photographs: `CocoPanoptic` and `Listed`."""

    image_ids: list[int | str]
    file_names: list[str]

    @property
    def categories(self) -> Categories:
        """Its classes."""
        ...

    def __len__(self) -> int: ...

    def image_path(self, index: int) -> Path:
        """Where the photograph lies; ValueError if there are none."""
        ...

    def truth(self, index: int) -> PanopticMap:
        """The panoptic map of one image."""
        ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class Entry:
    """One image of a list.

    Attributes:
        image_id: unique within the dataset.
        name: file name, unique too.
        photo: where the photograph lies, if there is one.
        read: reads the map when called.
    """

    image_id: int | str
    name: str
    photo: Path | None
    read: Callable[[], PanopticMap]


class Listed:
    """`data[i]` is a `Sample`, `data.truth(i)` leaves the photograph closed."""

    def __init__(self, source: Path, categories: Categories, entries: Sequence[Entry]) -> None:
        """Raises ValueError if there is no image, or if an image id or a name stands twice."""
        if not entries:
            raise ValueError(f"{source}: no image was found; is this the right folder, and the right format?")
        self.source, self.categories, self.entries = source, categories, entries
        self.image_ids: list[int | str] = [entry.image_id for entry in entries]
        self.file_names = [entry.name for entry in entries]
        for what, values in (("image id", self.image_ids), ("file name", self.file_names)):
            seen: set[Any] = set()
            for value in values:
                if value in seen:
                    raise ValueError(f"{source}: {what} {value!r} stands twice; every image is listed once")
                seen.add(value)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def names(self) -> list[str]:
        """File names without folders, with them where two share a name."""
        short = [PurePosixPath(name).name for name in self.file_names]
        return short if len(set(short)) == len(short) else self.file_names

    def image_path(self, index: int) -> Path:
        """Where the photograph lies. Raises ValueError if there is none."""
        photo = self.entries[index].photo
        if photo is None:
            raise ValueError(f"{self.source}: there is no photograph of {self.names[index]}; give --images DIR")
        return photo

    def truth(self, index: int) -> PanopticMap:
        """The panoptic map. Raises what the format's reader raises."""
        return self.entries[index].read()

    def __getitem__(self, index: int) -> Sample:
        """One image with its truth.

        Raises:
            ValueError: no photograph, a damaged one, or one of another size than its map.
            IndexError: beyond the last image, so that `for sample in data` ends.
        """
        truth, image = self.truth(index), read_image(self.image_path(index))
        if image.shape[:2] != truth.ids.shape:
            raise ValueError(
                f"{self.image_path(index)}: image {self.image_ids[index]!r} is {image.shape[1]} x {image.shape[0]} but "
                f"its map is {truth.ids.shape[1]} x {truth.ids.shape[0]} (width x height); find the right pair"
            )
        return Sample(image, truth, self.image_ids[index], self.names[index])


def find_photo(folder: Path | None, stem: str, name: str | None = None) -> Path | None:
    """The photograph of an image: `folder/name`, or the one file `folder/stem.*`; None without a folder.

    Raises:
        FileNotFoundError: there is a folder but no such photograph.
    """
    if folder is None:
        return None
    if name is not None and (folder / name).is_file():
        return folder / name
    for suffix in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".JPG", ".JPEG", ".PNG"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise FileNotFoundError(f"{folder / (name or stem + '.*')}: no such photograph; leave out --images, or add it")
