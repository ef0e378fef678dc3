"""Formats by name, paths without one, and how a new format is added."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.formats.test_cityscapes import write_cityscapes
from tests.datasets.maps import CLASSES, DOOR, SKY, same, small_map, write_dataset
from unipan.cli import main
from unipan.datasets.formats import registry
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.format import Format, FormatOptions, PanopticDataset
from unipan.datasets.formats.listed_dataset import Entry, ListedDataset
from unipan.datasets.formats.registry import FORMATS, open_dataset, readable, split_prefix, writable
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap, panoptic_map

PAGE = Path(__file__).resolve().parents[3] / "docs" / "data.md"


def test_prefixes(tmp_path: Path) -> None:
    assert split_prefix("png16:a/b", readable()) == ("png16", Path("a/b"))
    assert split_prefix("a/b", readable()) == (None, Path("a/b"))
    assert split_prefix("C:/data", readable()) == (None, Path("C:/data"))
    assert split_prefix("./odd:name", readable()) == (None, Path("odd:name"))
    with pytest.raises(ValueError, match="'pascal' here; choose one of coco, cityscapes"):
        split_prefix("pascal:a", readable())
    with pytest.raises(ValueError, match="'huggingface' here; choose one of coco, png16"):
        split_prefix("huggingface:a", writable())
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        open_dataset(f"coco:{tmp_path / 'nowhere'}")


def test_paths_without_a_format(tmp_path: Path) -> None:
    assert open_dataset(write_cityscapes(tmp_path / "cs")).categories == CITYSCAPES
    folder = write_dataset(tmp_path / "coco")
    for given, options in (
        (folder, FormatOptions()),
        (folder / "panoptic.json", FormatOptions(images=folder / "images")),
        (folder, FormatOptions(panoptic=folder / "panoptic", images=folder / "images")),
    ):
        data = open_dataset(given, options)
        assert same(data.truth(1), small_map(1))
        assert data[1].image.shape == (8, 13, 3)
    with pytest.raises(ValueError, match=r"panoptic\.json: there is no image for 0\.png"):
        open_dataset(folder / "panoptic.json")[0]


def test_the_page_lists_every_format() -> None:
    names = [name for each in FORMATS for name in each.names]
    assert len(names) == len(set(names))
    text = PAGE.read_text()
    for each in FORMATS:
        names = ", ".join(f"`{name}`" for name in each.names)
        row = f"| {names} | {'yes' if each.read else '–'} | {'yes' if each.write else '–'} | {each.help} |"
        assert row in text


def test_the_page_leads_from_tools_to_every_format() -> None:
    """Its table of tools has a command for each format; a folder of `coco` or `cityscapes` needs no name."""
    _, _, rest = PAGE.read_text().partition("## From which tool?")
    table = rest.partition("## Formats")[0]
    lost = [each.name for each in FORMATS if each.read and not any(f" {name}:" in table for name in each.names)]
    assert lost == ["coco", "cityscapes"]
    assert "unipan data check DIR --fix OUT" in table
    assert "unipan train cityscapes --data DIR" in table


class TextWriter:
    """One file per image, `NAME.drawing`, in which D is a door and any other letter is sky."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, image_id: int | str, panoptic: PanopticMap) -> None:
        doors = np.isin(panoptic.ids, [segment.id for segment in panoptic if segment.category == DOOR])
        lines = ("".join("D" if door else "." for door in row) for row in doors)
        (self.folder / f"{Path(name).stem}.drawing").write_text("\n".join(lines))

    def close(self) -> Path:
        return self.folder


def read_drawings(path: Path, _: FormatOptions) -> PanopticDataset:
    def read(file: Path) -> PanopticMap:
        ids = np.array([[2 if letter == "D" else 1 for letter in line] for line in file.read_text().splitlines()])
        return panoptic_map(ids, {1: SKY, 2: DOOR})

    files = sorted(path.glob("*.drawing"))
    entries = [Entry(file.stem, file.name, None, lambda file=file: read(file)) for file in files]  # type: ignore[misc]
    return ListedDataset(path, Categories.of(CLASSES), entries)


def test_a_new_format_is_a_reader_a_writer_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = Format("drawing", "letters", read=read_drawings, write=lambda folder, *_: TextWriter(folder))
    monkeypatch.setattr(registry, "FORMATS", (*FORMATS, drawing))
    folder = write_dataset(tmp_path / "set")
    assert main(["data", "convert", str(folder), f"drawing:{tmp_path / 'text'}"]) == 0
    assert "3 images as drawing" in capsys.readouterr().out
    data = open_dataset(f"drawing:{tmp_path / 'text'}")
    assert data.image_ids == ["0", "1", "2"]
    doors = sum(segment.area for segment in small_map() if segment.category == DOOR)
    assert next(segment.area for segment in data.truth(0) if segment.category == DOOR) == doors
    with pytest.raises(ValueError, match=r"choose one of coco, .*drawing"):
        open_dataset("pascal:a")
