"""Formats by name, and what a bare path looks like."""

from pathlib import Path

import pytest

from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.maps import same, small_map, write_dataset
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.registry import READERS, WRITERS, ReadOptions, open_dataset, split_name


def test_prefixes(tmp_path: Path) -> None:
    assert split_name("png16:a/b", READERS) == ("png16", Path("a/b"))
    assert split_name("a/b", READERS) == (None, Path("a/b"))
    assert split_name("C:/data", READERS) == (None, Path("C:/data"))
    assert split_name("./odd:name", READERS) == (None, Path("odd:name"))
    with pytest.raises(ValueError, match="there is no format 'pascal' here; choose one of coco, cityscapes"):
        split_name("pascal:a", READERS)
    with pytest.raises(ValueError, match="there is no format 'huggingface' here; choose one of coco, png16"):
        split_name("huggingface:a", WRITERS)
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        open_dataset(f"coco:{tmp_path / 'nowhere'}")


def test_bare_paths(tmp_path: Path) -> None:
    assert open_dataset(str(write_cityscapes(tmp_path / "cs"))).categories == CITYSCAPES
    folder = write_dataset(tmp_path / "coco")
    for given, options in (
        (folder, ReadOptions()),
        (folder / "panoptic.json", ReadOptions(images=folder / "images")),
        (folder, ReadOptions(panoptic=folder / "panoptic", images=folder / "images")),
    ):
        data = open_dataset(str(given), options)
        assert same(data.truth(1), small_map(1))
        assert data[1].image.shape == (8, 13, 3)
    with pytest.raises(ValueError, match="without an images folder"):
        open_dataset(str(folder / "panoptic.json"))[0]
