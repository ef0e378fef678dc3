"""What DATA means on the command line: a folder in COCO panoptic format, or seeds of the scene generator."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from shlex import quote

from unipan.config import DataConfig
from unipan.datasets.formats.cityscapes import is_cityscapes, is_split
from unipan.datasets.formats.coco_panoptic import CocoPanoptic, dataset_parts, require_panoptic_json
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.listed_dataset import ListedDataset
from unipan.datasets.formats.registry import open_dataset, readable, split_prefix, suggested_command, what_is_there
from unipan.datasets.panoptic_data import PanopticData, Subset
from unipan.datasets.scenes.generator import HELD_OUT, Scenes
from unipan.datasets.scenes.seeds import TEST_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS, use_in_training
from unipan.panoptic.categories import Categories

HOLD_OUT_EVERY = 10
_OPTION_OF_FORMATS = re.compile("|".join(f"--{each.name.replace('_', '-')}\\b" for each in fields(FormatOptions)))
"""What sentences of the readers of formats recommend, and only `unipan data convert` takes."""
LAST_SEED = 10**12
IN_SERIES = 0.7
"""Share of the images whose number is one step after another's, from which they look like frames."""
LONGEST_RUN = 10
"""Of a series of frames, up to this many neighbours are held out together."""


def is_scenes(source: str) -> bool:
    """Whether DATA names the generator; a folder of that name is written ./scenes."""
    return source == "scenes" or source.startswith("scenes:")


def seeds_of(source: str, default: range) -> range:
    """The seeds of `scenes` (`default`) or of `scenes:FIRST-LAST`.

    Raises:
        ValueError: not two numbers in order.
    """
    if source == "scenes":
        return default
    found = re.fullmatch(r"scenes:(\d+)-(\d+)", source)
    if found is None or not int(found[1]) <= int(found[2]) <= LAST_SEED:
        raise ValueError(f"{source}: write scenes:FIRST-LAST with two seeds in order, like scenes:1000000-1000199")
    return range(int(found[1]), int(found[2]) + 1)


def require_data(source: str) -> None:
    """Look whether DATA is there, without reading it.

    Raises:
        FileNotFoundError: it is not.
        ValueError: an unknown format, or see `seeds_of`.
    """
    if is_scenes(source):
        seeds_of(source, TEST_SEEDS)
        return
    name, path = split_prefix(source, readable())
    if name is None and not is_cityscapes(path):
        path = _folder_of(path)
        command = None if (path / "panoptic.json").is_file() else suggested_command(path)
        if command is not None:
            raise FileNotFoundError(f"{source}: not COCO panoptic format, but `{command}` makes it so; then give OUT")
        if (said := what_is_there(path)) is not None:
            raise FileNotFoundError(said)
        require_panoptic_json(path / "panoptic.json")
    elif not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")


def paths_read(source: str) -> list[Path]:
    """The files and folders that DATA stands for, which no output may replace; none for `scenes`."""
    if is_scenes(source):
        return []
    name, path = split_prefix(source, readable())
    if name is None and not is_cityscapes(path):
        return dataset_parts(_folder_of(path))
    return [path]


def train_and_val(source: str) -> tuple[Path, Path]:
    """The two halves of a dataset for `unipan reproduce`.

    Raises:
        FileNotFoundError: the folder has no train/ and val/.
    """
    train, val = Path(source) / "train", Path(source) / "val"
    if not (train.is_dir() and val.is_dir()):
        raise FileNotFoundError(
            f"--data {source}: give `scenes`, or a folder with train/ and val/ in COCO panoptic format"
        )
    return train, val


def open_data(source: str) -> tuple[PanopticData, str]:
    """The data to evaluate on, and one sentence about it.

    Raises:
        FileNotFoundError, ValueError: see `CocoPanoptic` and `seeds_of`.
    """
    if is_scenes(source):
        seeds = seeds_of(source, TEST_SEEDS)
        return Scenes(seeds), f"{len(seeds)} scenes, seeds {spell(seeds)}, {use_in_training(seeds)}"
    data = open_photos(source)
    return data, f"{len(data)} images of {spell_source(data, source)}"


def open_first(source: str, limit: int) -> tuple[PanopticData, range, str]:
    """`open_data` with the first `limit` images chosen (0 takes all), and a sentence that says so."""
    data, note = open_data(source)
    if 0 < limit < len(data):
        return data, range(limit), f"{note}, the first {limit}"
    return data, range(len(data)), note


def open_photos(source: str, split: str | None = None) -> PanopticData:
    """A dataset with photographs: a folder in COCO panoptic format or of Cityscapes, or `FORMAT:PATH`.

    Args:
        source: what to open.
        split: of Cityscapes, where the path names none; by default val.

    Raises:
        FileNotFoundError, ValueError: see `CocoPanoptic` and `open_dataset`; also a dataset without photographs.
    """
    name, path = split_prefix(source, readable())
    if name is None and not is_cityscapes(path):
        return CocoPanoptic(_folder_of(path))
    splits = name in (None, "cityscapes") and not is_split(path)
    try:
        data = open_dataset(source, FormatOptions(split=split if splits else None))
    except (ValueError, FileNotFoundError) as error:
        if _OPTION_OF_FORMATS.search(str(error)) is None:
            raise
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{error}; such options are those of `unipan data convert`") from error
    data.image_path(0)  # raises where there are no photographs, before hours of work
    return data


def _folder_of(path: Path) -> Path:
    """The folder of a dataset, also where its panoptic.json is named, as `data check` and `data show` take it.

    Raises:
        ValueError: another JSON file.
    """
    if path.suffix == ".json" and path.is_file():
        if path.name != "panoptic.json":
            raise ValueError(
                f"{path}: a dataset here is a folder with images/, panoptic/ and panoptic.json; "
                f"`unipan data convert {quote(str(path))} TO --images IMAGES` makes one"
            )
        return path.parent
    return path


def open_training(source: str, val: str | None) -> tuple[PanopticData, PanopticData, str]:
    """The data to train on, the data to validate on, and one sentence about both.

    Raises:
        FileNotFoundError, ValueError: see `CocoPanoptic` and `seeds_of`; also training seeds that are held out, seeds
            that are in both, or lists of classes that differ.
    """
    if is_scenes(source):
        seeds = seeds_of(source, TRAINING_SEEDS)
        checked = seeds_of(val, VALIDATION_SEEDS) if val and is_scenes(val) else VALIDATION_SEEDS
        if seeds[-1] >= HELD_OUT:
            raise ValueError(f"--data {source}: seeds from {HELD_OUT} on are held out; train on smaller ones")
        if seeds[0] <= checked[-1] and checked[0] <= seeds[-1]:
            raise ValueError(f"--data {source}: seeds {spell(checked)} are validated on; leave them out")
        if val is None or is_scenes(val):
            free = max(HELD_OUT, checked.stop)
            note = f"train on scenes {spell(seeds)}, validate on scenes {spell(checked)}; from {free} on: held out"
            return Scenes(seeds), Scenes(checked), note
        data: PanopticData = Scenes(seeds)
    else:
        data = open_photos(source, "train")
        if val is None and is_whole_cityscapes(source):
            val = source
    if val is None:
        return hold_out(data, source)
    other, note = open_data(val)
    if {(c.name, c.isthing) for c in data.categories} != {(c.name, c.isthing) for c in other.categories}:
        raise ValueError(
            f"--val {val}: it has the {spell_classes(other.categories)}, but {source} has the "
            f"{spell_classes(data.categories)}; list the same ones"
        )
    return data, other, f"train on {len(data)} images of {spell_source(data, source)}, validate on {note}"


def is_whole_cityscapes(source: str) -> bool:
    """Whether DATA is a whole Cityscapes folder rather than a split: its train and val are used, respectively."""
    name, path = split_prefix(source, readable())
    return name in (None, "cityscapes") and is_cityscapes(path) and not is_split(path)


def spell_source(data: PanopticData, source: str) -> str:
    """The name of a dataset in notes: with its split if DATA does not name one."""
    return str(data.source) if isinstance(data, ListedDataset) and data.source.is_dir() else source


def hold_out(data: PanopticData, source: str) -> tuple[PanopticData, PanopticData, str]:
    """A tenth of the images for validation, the others for training.

    It is every tenth image; of images that are numbered like the frames of a video, runs of neighbours, since a single
    frame would have its like in training.

    Raises:
        ValueError: fewer than two images.
    """
    order = series_order(data.file_names if isinstance(data, ListedDataset) else [])
    run = max(1, min(LONGEST_RUN, len(order) // (2 * HOLD_OUT_EVERY)))
    places = enumerate(order or range(len(data)))
    held = sorted(index for place, index in places if place // run % HOLD_OUT_EVERY == 0)
    rest = sorted({*range(len(data))} - {*held})
    if not rest:
        raise ValueError(
            f"--data {source}: {len(data)} images cannot be split; give --val (the same folder, if need be)"
        )
    how = f"every {HOLD_OUT_EVERY}th image ({len(held)}) is held out for validation"
    if run > 1:
        how = (
            f"{len(held)} images are held out for validation, in runs of {run}, as they are numbered like the frames "
            "of a video; another video would tell more (--val)"
        )
    note = f"train on {len(rest)} of the {len(data)} images of {source}; without --val {how}"
    return Subset(data, rest), Subset(data, held), note


def series_order(names: Sequence[str]) -> list[int]:
    """Indices of images in the order of their numbers, if most follow one another at one distance; else nothing.

    >>> series_order(["b/8.png", "b/7.png", "b/9.png", "b/10.png"])
    [1, 0, 2, 3]
    >>> series_order(["000000000139.jpg", "000000000285.jpg", "000000000632.jpg"])
    []
    """
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", name, re.DOTALL) for name in names]
    keys = [(found[1], int(found[2])) if found else (name, -1) for found, name in zip(parts, names, strict=True)]
    order = sorted(range(len(keys)), key=lambda index: keys[index])
    steps = Counter(
        keys[after][1] - keys[before][1] if keys[after][0] == keys[before][0] else 0
        for before, after in itertools.pairwise(order)
    )
    step, count = max(steps.items(), key=lambda item: item[1], default=(0, 0))
    return order if step > 0 and count >= IN_SERIES * len(names) else []


def use_window(data: PanopticData, config: DataConfig) -> None:
    """Let a dataset read images of more than 8 bits as the configuration of a network says."""
    if isinstance(data, Subset):
        use_window(data.data, config)
    elif isinstance(data, ListedDataset):
        data.window = config.window


def spell_classes(categories: Categories) -> str:
    """Classes by kind, in their order."""
    kinds = {"things": categories.things, "stuff": categories.stuff}
    return ", the ".join(f"{kind} {', '.join(c.name for c in each) or '(none)'}" for kind, each in kinds.items())


def spell(seeds: range) -> str:
    """A range with its last number included."""
    return f"{seeds[0]}..{seeds[-1]}"
