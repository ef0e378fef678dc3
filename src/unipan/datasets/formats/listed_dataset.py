"""A dataset as a list of images, each with a function that reads its panoptic map. Most readers return one."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from unipan.datasets.formats.classes import ClassesFile, listed_name
from unipan.datasets.formats.format import PanopticDataset
from unipan.datasets.formats.left_out import LeftOut
from unipan.datasets.formats.writing import stem_of
from unipan.files import files_below
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import ImageId
from unipan.panoptic.images import WHOLE_RANGE, Percentiles, read_image, turned_by_exif
from unipan.panoptic.maps import PanopticMap, Sample


@dataclass(frozen=True)
class Entry:
    """One image of a `ListedDataset`.

    Attributes:
        image_id: unique within the dataset.
        name: file name, unique too.
        image: where the image is, if there is one.
        read: reads the panoptic map.
        annotations: the files that it reads for this image alone.
    """

    image_id: int | str
    name: str
    image: Path | None
    read: Callable[[], PanopticMap]
    annotations: tuple[Path, ...] = ()


class ListedDataset:
    """A `PanopticDataset`: `data[i]` is a `Sample`, `data.truth(i)` reads the map alone.

    Attributes:
        source: the folder or file it was opened from.
        left_out: what is not in the maps that were read so far.
        window: how images of more than 8 bits are read; see `read_image`.
    """

    def __init__(
        self, source: Path, categories: Categories, entries: Sequence[Entry], left_out: LeftOut | None = None
    ) -> None:
        """Raises ValueError if there is no image, some but not all have a file, or an image id or a name is twice."""
        self._fill(source, categories, entries, left_out)
        if not entries:
            raise ValueError(f"{source}: no image was found; is this the right folder, and the right format?")
        for what, values in (("image id", self.image_ids), ("file name", self.file_names)):
            twice = next((value for value, count in Counter(values).items() if count > 1), None)
            if twice is not None:
                raise ValueError(f"{source}: {what} {twice!r} appears twice; list every image once")
        files: dict[Path, str] = {}
        for entry in entries:
            if entry.image is not None and files.setdefault(entry.image, entry.name) != entry.name:
                raise ValueError(
                    f"{source}: {files[entry.image]} and {entry.name} would both be the image {entry.image}; put the "
                    "images into folders as they are named, or give --images DIR, where they are so"
                )
        missing = next((entry.name for entry in entries if entry.image is None), None)
        there = next((entry.image for entry in entries if entry.image is not None), None)
        if missing is not None and there is not None:
            raise FileNotFoundError(f"{source}: the image {missing} is missing, but {there} is there; add it")

    def _fill(
        self, source: Path, categories: Categories, entries: Sequence[Entry], left_out: LeftOut | None = None
    ) -> None:
        self.source, self.categories, self._entries = source, categories, entries
        self.left_out = left_out or LeftOut()
        self.window: Percentiles = WHOLE_RANGE
        self.image_ids: list[int | str] = [entry.image_id for entry in entries]
        self.file_names = [entry.name for entry in entries]

    def __len__(self) -> int:
        return len(self._entries)

    @cached_property
    def names(self) -> list[str]:
        """What messages call the images: file names, with their folders only where two would be the same."""
        short = [PurePosixPath(name).name for name in self.file_names]
        return short if len(set(short)) == len(short) else self.file_names

    def image_path(self, index: int) -> Path:
        """Where the image is. Raises ValueError if there is none."""
        path = self._entries[index].image
        if path is None:
            raise ValueError(f"{self.source}: there is no image for {self.names[index]}; give --images DIR")
        return path

    def annotation_files(self, index: int) -> tuple[Path, ...]:
        """The files that hold this image's map alone; none where one file holds the maps of all."""
        return self._entries[index].annotations

    def truth(self, index: int) -> PanopticMap:
        """The panoptic map; raises what the format's reader raises."""
        return self._entries[index].read()

    def __getitem__(self, index: int) -> Sample:
        """One image with its panoptic map.

        Raises:
            ValueError: the image is missing, damaged, or of another size than its map.
            IndexError: the index is out of range, which ends `for sample in data`.
        """
        truth, path = self.truth(index), self.image_path(index)
        image = read_image(path, self.window)
        require_size(path, self.image_ids[index], image.shape[:2], truth.ids.shape)
        return Sample(image, truth, self.image_ids[index], self.names[index])


def require_size(path: Path, image_id: int | str, size: Sequence[int], expected: Sequence[int]) -> None:
    """Raises ValueError if an image is not of the size (height, width) of its map."""
    if tuple(size) != tuple(expected):
        hint = "; find the right pair"
        if tuple(size) == tuple(expected)[::-1]:
            exif = turned_by_exif(path)
            hint = f"; {'it is turned by its EXIF, ' * exif}was the map drawn on the {'un' * exif}turned image?"
        raise ValueError(
            f"{path}: image {image_id!r} is {size[1]} x {size[0]} but its map is {expected[1]} x {expected[0]} "
            f"(width x height){hint}"
        )


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""What counts as an image where only its stem is known; the first that is there is taken."""


def images_below(folder: Path) -> list[Path]:
    """All images in a folder and the folders in it, in order; one image alone if it is given."""
    if folder.is_file():
        return [folder]
    return files_below(folder, IMAGE_SUFFIXES)


def find_image(folder: Path | None, stem: str, name: str | None = None) -> Path | None:
    """An image by name or by stem: `folder/name`, or else the one file `folder/stem.*`; None without a folder.

    Raises:
        FileNotFoundError: the folder has no such image.
    """
    if folder is None:
        return None
    if name is not None and (folder / name).is_file():
        return folder / name
    for suffix in (*IMAGE_SUFFIXES, *(each.upper() for each in IMAGE_SUFFIXES)):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise FileNotFoundError(f"{folder / (name or stem + '.*')}: no such image; add it, or leave out --images")


def list_files(
    root: Path,
    folder: Path,
    files: Iterable[Path],
    classes: ClassesFile,
    images: Path | None,
    read: Callable[[Path], PanopticMap],
    left_out: LeftOut | None = None,
    more: Callable[[Path], tuple[Path, ...]] = lambda _: (),
) -> ListedDataset:
    """A dataset of one file per image, for formats that do not store their classes.

    Args:
        root: what messages call the dataset.
        folder: of the files; their names in it, without suffix, are those of the images.
        files: the files; images that `classes` lists come first, in its order and with its ids.
        classes: see `read_classes`.
        images: folder of the images.
        read: reads the map of one file.
        left_out: what `read` counts.
        more: what `read` reads besides a file.

    Raises:
        FileNotFoundError, ValueError: there are no files, an image is missing, or a listed name leads outside.
    """
    stems = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(files)}
    known: dict[str, ImageId] = {}
    for key, row in classes.images.items():
        other = known.setdefault(stem := stem_of(listed_name(row, classes)), key)
        if other != key and stem in stems:
            raise ValueError(
                f"{classes.source}: the images {other!r} and {key!r} are both called {stem}; list each name once"
            )
    entries = []
    for stem in [*(stem for stem in known if stem in stems), *(stem for stem in stems if stem not in known)]:
        name = classes.images[known[stem]]["file_name"] if stem in known else None
        image = find_image(images, stem, name)
        name = name or (f"{stem}{image.suffix}" if image else f"{stem}.png")
        entries.append(
            Entry(known.get(stem, stem), name, image, partial(read, stems[stem]), (stems[stem], *more(stems[stem])))
        )
    return ListedDataset(root, classes.of_maps, entries, left_out)


LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
"""Of label pictures; the first that is there is taken."""


def label_pictures_in(folder: Path) -> list[Path]:
    """The label pictures of a folder, in order.

    Raises:
        ValueError: one picture is there twice, as PNG and as TIFF for instance.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in LABEL_SUFFIXES and not path.is_dir())
    return _once(files)


def find_label_picture(path: Path) -> Path:
    """The label picture of this name, whatever its ending is; `path` itself if there is none."""
    found = (path.with_suffix(end) for end in LABEL_SUFFIXES)
    return next((each for each in found if each.is_file()), path)


def _once(files: list[Path]) -> list[Path]:
    stems: dict[Path, Path] = {}
    for path in files:
        other = stems.setdefault(path.with_suffix(""), path)
        if other is not path:
            raise ValueError(f"{path}: {other.name} is there too; keep the one that holds the labels")
    return files


def with_other_maps(
    data: PanopticDataset, source: Path, categories: Categories, read: Callable[[int], PanopticMap]
) -> ListedDataset:
    """The images of a dataset with other classes; `read` gives the map of an image by its index."""
    entries = []
    for index, (key, file) in enumerate(zip(data.image_ids, data.file_names, strict=True)):
        try:
            path = data.image_path(index)
        except ValueError:
            path = None
        files = data.annotation_files(index) if isinstance(data, ListedDataset) else ()
        entries.append(Entry(key, file, path, partial(read, index), files))
    return ListedDataset(source, categories, entries, getattr(data, "left_out", LeftOut()))


def list_label_pictures(
    root: Path,
    part: str,
    classes: ClassesFile,
    images: Path | None,
    read: Callable[[Path], PanopticMap],
    left_out: LeftOut | None = None,
    more: Callable[[Path], tuple[Path, ...]] = lambda _: (),
) -> ListedDataset:
    """`list_files` for the label pictures (PNG, TIFF or .npy) in `root/part`, or else in `root`.

    `images` is the folder of the images; None takes `root/images`, if there is one.

    Raises:
        FileNotFoundError, ValueError: see `list_files`.
    """
    folder = root / part if (root / part).is_dir() else root
    files = _once(files_below(folder, LABEL_SUFFIXES))
    if not files:
        raise FileNotFoundError(
            f"{folder}: no *.png here (nor *.tif or *.npy); this format keeps its label pictures there"
        )
    if images is None and (root / "images").is_dir():
        images = root / "images"
    return list_files(root, folder, files, classes, images, read, left_out, more)
