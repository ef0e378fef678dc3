"""Pictures of numbers as microscopes' tools write them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.formats.shapes_by_hand import SIZE, has, photo, square
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.label_images import label_images
from unipan.datasets.formats.registry import suggested_command

CELLS = np.where(square(2, 2, 9, 9), 1, np.where(square(20, 20, 9, 9), 70_000, 0))
NAMED = FormatOptions(thing="cell", background="medium")


def write(path: Path, numbers: np.ndarray = CELLS, dtype: type = np.int32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, numbers)
    else:
        Image.fromarray(numbers.astype(dtype)).save(path)
    return path


@pytest.mark.parametrize(
    ("picture", "image", "dtype"),
    [
        ("masks/a.tif", "images/a.tif", np.int32),
        ("labels/a_labels.tif", "images/a.png", np.float32),  # QuPath and Fiji save whole numbers as floats
        ("masks/a.npy", "images/a.png", np.int64),
        ("a_masks.tif", "a.tif", np.int32),
        ("a_cp_masks.tif", "a.png", np.int32),
    ],
)
def test_layouts(picture: str, image: str, dtype: type, tmp_path: Path) -> None:
    write(tmp_path / picture, dtype=dtype)
    photo(tmp_path / image)
    data = label_images(tmp_path, NAMED)
    truth = data.truth(0)
    assert has(truth, "cell", square(2, 2, 9, 9))
    assert has(truth, "cell", square(20, 20, 9, 9))
    assert has(truth, "medium", CELLS == 0)
    assert data[0].image.shape == (*SIZE, 3)
    assert data.file_names == [Path(image).name]
    without = label_images(tmp_path).truth(0)
    assert [s.category.name for s in without] == ["object", "object"]
    assert (without.ids == 0).sum() == (CELLS == 0).sum()
    assert suggested_command(tmp_path) == (
        f"unipan data convert label-images:{tmp_path} OUT --thing object --background background"
    )


def test_sixteen_bits_and_many_cells(tmp_path: Path) -> None:
    numbers = np.arange(48 * 64).reshape(SIZE)
    write(tmp_path / "masks" / "a.tif", numbers, np.uint16)
    assert len(label_images(tmp_path).truth(0)) == 48 * 64 - 1


def test_what_is_no_label_picture_is_named(tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.tif", CELLS / 7, np.float32)
    with pytest.raises(ValueError, match=r"a\.tif: labels are whole numbers below"):
        label_images(tmp_path).truth(0)
    write(tmp_path / "masks" / "a.tif", -CELLS)
    with pytest.raises(ValueError, match=r"a\.tif: it holds -70000"):
        label_images(tmp_path).truth(0)
    pages = [Image.fromarray(CELLS.astype(np.int32)) for _ in range(3)]
    pages[0].save(tmp_path / "masks" / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"a\.tif: it has 3 pages"):
        label_images(tmp_path).truth(0)
    (tmp_path / "masks" / "a.tif").unlink()
    with pytest.raises(FileNotFoundError, match="masks: no label pictures here"):
        label_images(tmp_path)


def test_cellposes_own_file_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a_seg.npy").touch()
    with pytest.raises(FileNotFoundError, match="export the masks from Cellpose"):
        label_images(tmp_path)
