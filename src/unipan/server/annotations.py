"""Accepted images as a dataset in COCO panoptic format, complete after each of them, and the boxes that made it."""

import io
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from zipfile import ZIP_STORED, ZipFile

import msgspec

from unipan.config import Config
from unipan.datasets.formats.coco_panoptic import PanopticWriter
from unipan.datasets.formats.writing import stem_of
from unipan.files import make_folder, read_bytes, remove_leftovers, write_atomically, write_json
from unipan.outputs import Outputs, written_names
from unipan.panoptic.categories import Categories
from unipan.panoptic.coco_json import Row, load_json, path_inside, read_json
from unipan.panoptic.coco_parser import parse_panoptic, raise_first
from unipan.panoptic.png import encode_png, png_of_rgb
from unipan.presets import finetune
from unipan.result import PanopticResult
from unipan.server.photographs import ChangedError, bytes_version, file_version, same_photo
from unipan.server.scenes import PageBox

WRITTEN = ["panoptic.json", "panoptic/", "boxes/"]
"""What the server writes into the folder besides images/, whose pictures remain photographs."""
PARTS = ("images", "panoptic", "boxes")
"""The folders of the dataset."""
SENT = "sent"
"""In the row of an image in panoptic.json: it was dropped on the page, and is not of the chosen folder."""
MOST_OF_A_NAME = 100_000
"""Pictures of one name; each further one has a number."""
PROPOSED_MINUTES = 3
"""Of the training that is proposed: a first look, where the preset's own schedule takes hours without a GPU."""
NONE_CHOSEN: Mapping[str, Path] = MappingProxyType({})


def claim_annotations(out: Path, images: Path | None) -> Outputs:
    """Look, before anything is loaded, whether a folder can become the dataset, or is one that an earlier run began.

    Args:
        out: the dataset's folder.
        images: of the photographs; `out`/images itself stays as it is.

    Raises:
        ValueError: what stands in the way.
    """
    outputs = Outputs("serve", [] if images is None else [images])
    fresh = not written_names(out)
    copied = images is None or images.resolve() != (out / "images").resolve()
    outputs.claim_folder(out, "--out", [*WRITTEN, *["images/"] * (fresh and copied)])
    return outputs


class Annotations:
    """The dataset in `folder`: images/, panoptic/, panoptic.json, and boxes/ for going on with an image."""

    def __init__(self, folder: Path, categories: Categories, chosen: Mapping[str, Path] = NONE_CHOSEN) -> None:
        """Begin the dataset, or go on with it.

        Args:
            folder: of the dataset.
            categories: of the network.
            chosen: the images of the chosen folder by name; no other picture gets one of these names.

        Raises:
            ValueError: what is there is damaged, or has other classes.
            OSError: nothing can be written there.
        """
        self.folder, self.categories = folder, categories
        self._chosen_stems = {stem_of(each) for each in chosen}
        self._images: dict[str, Row] = {}
        self._stems: dict[str, str] = {}
        self._content: Row = {"images": [], "annotations": [], "categories": categories.to_coco()}
        self._version = file_version(folder / "panoptic.json")
        self._annotations: dict[str, Row] = {}
        if (folder / "panoptic.json").exists():
            self._read(folder / "panoptic.json")
        for part in PARTS:
            make_folder(folder / part)
            remove_leftovers(folder / part)
        remove_leftovers(folder)

    def _read(self, path: Path) -> None:
        self._content = read_json(path)
        found = parse_panoptic(self._content, path)
        raise_first(found.findings, ("no-images",))
        there = Categories.from_coco(found.categories, str(path))
        if {(each.id, each.name, each.isthing) for each in there} != {
            (each.id, each.name, each.isthing) for each in self.categories
        }:
            raise ValueError(f"--out {self.folder}: its images have other classes than this checkpoint; give another")
        for key, row in found.images.items():
            self._images[row["file_name"]] = row
            self._annotations[row["file_name"]] = found.annotations[key]
        self._stems = {stem_of(each): each for each in self._images}

    @property
    def accepted(self) -> list[str]:
        """The file names of the accepted images."""
        return list(self._images)

    def own_name(self, name: str, source: Path) -> str | None:
        """The name under which a photograph of the chosen folder was accepted: this one, or this one with a number.

        The bytes decide: another photograph that was accepted under its name, from another folder, is not this one.
        """
        for candidate in _names_to_try(name):
            path = self.folder / "images" / candidate
            if candidate in self._images and same_photo(path, source):
                return candidate
            if stem_of(candidate) not in self._stems and not path.exists():  # nothing was numbered beyond it
                return None
        return None

    def boxes(self, name: str, source: Path) -> list[PageBox] | None:
        """The boxes with which a photograph of the folder was accepted; None if it was not, or they are gone."""
        own = self.own_name(name, source)
        path = self.folder / "boxes" / f"{stem_of(own or name)}.json"
        if own is None or not path.is_file():
            return None
        try:
            return msgspec.convert(load_json(path)["boxes"], list[PageBox])
        except (ValueError, TypeError, KeyError):  # changed by hand: the network's are as good
            return None

    def accept(
        self, name: str, source: Path | None, result: PanopticResult, boxes: list[PageBox], version: str | None = None
    ) -> str:
        """Write an image, its map and its boxes, then the JSON; however the process ends, the dataset is whole.

        A map that is corrected once more gets a PNG of a new name, because two files cannot change at once.

        Args:
            name: of the image: below the chosen folder, or as it was sent.
            source: its file, which is copied as it is; None for a picture that was sent, which becomes a PNG.
            result: its map; its scores are not kept, since it is now the truth.
            boxes: that made it.
            version: of the file that was opened, if that is known: of no other is it the map.

        Returns:
            its file name in the dataset.

        Raises:
            ChangedError: the file is another one by now, or the dataset was moved, removed or changed by others.
            OSError: it cannot be written; the dataset is as before.
        """
        self.require_unchanged()  # before: writing would make the folder anew
        data = png_of_rgb(result.image) if source is None else read_bytes(source)
        if version is not None and bytes_version(data) != version:
            raise ChangedError(f"{name} has changed since it was opened; open it again")
        name = self._place(name, data, source)  # ours, or one that is free
        path_inside(self.folder / "images", name, self.folder)
        old = self._annotations.get(name, {}).get("file_name")
        png = self._free_png(stem_of(name))
        write_atomically(self.folder / "panoptic" / png, encode_png(result.ids), durable=True)
        write_json(self.folder / "boxes" / f"{stem_of(name)}.json", {"boxes": msgspec.to_builtins(boxes)})
        known = self._images.get(name)
        numbers = (row["id"] for row in self._images.values() if isinstance(row["id"], int))
        key = max(numbers, default=0) + 1 if known is None else known["id"]
        height, width = result.ids.shape
        segments = [each.to_coco() for each in as_truth(result)]
        image = {each: value for each, value in (known or {}).items() if each != SENT}
        image |= {"id": key, "file_name": name, "height": height, "width": width}
        annotation = self._annotations.get(name, {}) | {"image_id": key, "file_name": png, "segments_info": segments}
        self._write(
            {**self._images, name: image | ({SENT: True} if source is None else {})},
            {**self._annotations, name: annotation},
        )
        if old is not None:
            (self.folder / "panoptic" / old).unlink(missing_ok=True)
        return name

    def _write(self, images: dict[str, Row], annotations: dict[str, Row]) -> None:
        """Write panoptic.json; what others have put into it besides images and annotations stays."""
        self.require_unchanged()
        rows = {"images": list(images.values()), "annotations": list(annotations.values())}
        path = write_json(self.folder / "panoptic.json", {**self._content, **rows}, durable=True)
        self._version = file_version(path)
        self._images, self._annotations = images, annotations
        self._stems = {stem_of(each): each for each in images}

    def require_unchanged(self) -> None:
        """Raises ChangedError unless the dataset is where it was, and as it was read or written last."""
        path = self.folder / "panoptic.json"
        if not all((self.folder / part).is_dir() for part in PARTS) or (
            self._version is not None and not path.exists()
        ):
            raise ChangedError(
                f"{self.folder}: this folder was moved or removed, or a part of it, while `unipan serve` wrote to it; "
                "the image is not accepted; put it back, or start `unipan serve` again"
            )
        if file_version(path) != self._version:
            raise ChangedError(
                f"{path}: somebody else has changed it since `unipan serve` read it; the image is not accepted; "
                "start `unipan serve` again, which reads it anew"
            )

    def _place(self, name: str, data: bytes, source: Path | None) -> str:
        """Put the photograph into images/, unless it is there; returns its name.

        Several may have one name: pictures that were sent, and photographs of several folders. They get a number.
        """
        own = None if source is None else self.own_name(name, source)
        if own is not None and _holds(self.folder / "images" / own, data):
            return own
        for candidate in _names_to_try(name if source is not None else f"{stem_of(name)}.png"):
            path = self.folder / "images" / candidate
            if not self._may_have(candidate, name, source is None):
                continue
            if path.exists() or candidate in self._images:  # of a listed one that has gone, nobody knows what it was
                if _holds(path, data):
                    return candidate
                continue
            write_atomically(path, data, durable=True)
            return candidate
        raise ValueError(f"{self.folder / 'images'}: pictures that are not listed have all names like {name}")

    def _may_have(self, candidate: str, name: str, sent: bool) -> bool:
        """Whether a picture may get this name, if no other file has it; boxes/ has one file for all suffixes."""
        stem = stem_of(candidate)
        if stem in self._chosen_stems and (sent or candidate != name):
            return False
        holder = self._stems.get(stem)
        return holder is None or (sent and holder == candidate and self._images[holder].get(SENT) is True)

    def _free_png(self, stem: str) -> str:
        taken = {row["file_name"] for row in self._annotations.values()}
        numbers = (f"{stem}{f'.{number}' * (number > 1)}.png" for number in range(1, len(taken) + 3))
        return next(each for each in numbers if each not in taken)


def _names_to_try(name: str) -> Iterator[str]:
    """a.png, a_2.png, a_3.png and so on."""
    stem, suffix = stem_of(name), PurePosixPath(name).suffix
    return (f"{stem}{f'_{number}' * (number > 1)}{suffix}" for number in range(1, MOST_OF_A_NAME + 1))


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def next_commands(folder: Path, checkpoint: str, config: Config) -> list[str]:
    """What to do with accepted images, as one would type it: a short training that goes on from the network shown.

    Args:
        folder: of the dataset.
        checkpoint: of the network, as it was given.
        config: of the network. Its images keep their size: of another one, it would have to learn its things anew.

    The run has a folder of its own, since the usual one may hold the network that it starts from.
    """
    data, start = shlex.quote(str(folder)), shlex.quote(checkpoint)
    side = config.data.short_side
    size = "" if side == finetune().data.short_side else f" --data.short-side {side}"
    training = f"unipan train finetune --data {data} --init {start}{size} --minutes {PROPOSED_MINUTES}"
    training += f" --out {shlex.quote(f'runs/{folder.absolute().name}')}"
    return [f"unipan data check {data}", training]


def as_truth(result: PanopticResult) -> PanopticResult:
    """The map without scores: somebody has looked at it."""
    return replace(result, segments=tuple(replace(each, score=1.0) for each in result.segments))


def archive(name: str, result: PanopticResult, categories: Categories) -> bytes:
    """A ZIP archive of a dataset of one image."""
    file = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="unipan-") as folder:
        with PanopticWriter(folder, categories, images=True) as writer:
            writer.add(Path(name).name, 1, as_truth(result), result.image)
        with ZipFile(file, "w", ZIP_STORED) as zipped:  # PNGs become no smaller
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    zipped.write(path, path.relative_to(folder))
    return file.getvalue()
